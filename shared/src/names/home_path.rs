//! Paths inside an account's cell.

use std::str::FromStr;

use super::{InvalidName, string_name};

/// A document root relative to the account's `htdocs`: one to six plain directory names.
///
/// Each is `[A-Za-z0-9._-]`, none is `.` or `..` or hidden, so joining it to a directory cannot leave that directory
/// and writing it into a configuration cannot change that configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentRoot(String);

/// Deep enough for `shop.example.com/current/public`, shallow enough to read.
const MAX_DEPTH: usize = 6;
/// `NAME_MAX` of common file systems is 255; the whole path stays below it.
const MAX_LENGTH: usize = 255;

impl DocumentRoot {
    /// The first directory: the one Gantry makes; the rest is the tenant's.
    #[must_use]
    pub fn top(&self) -> &str {
        self.0.split('/').next().unwrap_or(&self.0)
    }

    /// The part below [`Self::top`], made by the tenant; `None` if the root is the top itself.
    #[must_use]
    pub fn below_top(&self) -> Option<&str> {
        self.0.split_once('/').map(|(_, rest)| rest)
    }
}

impl FromStr for DocumentRoot {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().trim_end_matches('/');
        let text = text.strip_prefix("htdocs/").unwrap_or(text);
        if text.is_empty() {
            return Err(InvalidName::new("Enter a folder, such as example.com or example.com/public."));
        }
        if text.starts_with('/') {
            return Err(InvalidName::new("Enter the folder as it lies below htdocs, without a leading slash."));
        }
        if text.len() > MAX_LENGTH || text.split('/').count() > MAX_DEPTH {
            return Err(InvalidName::new(format!("Use at most {MAX_DEPTH} folders and {MAX_LENGTH} characters.")));
        }
        for part in text.split('/') {
            let plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
            if part.is_empty() || !plain || part.starts_with(['.', '-']) {
                return Err(InvalidName::new(
                    "Folder names have letters, digits, dots, hyphens and underscores, and start with a letter or digit.",
                ));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

string_name!(DocumentRoot);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::DocumentRoot;

    #[test]
    fn refuses_every_way_out_of_the_directory() {
        for bad in [
            "",
            "/",
            "/etc",
            "..",
            "../x",
            "a/../b",
            "a/./b",
            "a//b",
            ".git",
            "a/.ssh",
            "a b",
            "a\0b",
            "a\\b",
            "a;b",
            "a$b",
            "a{b",
            "a\nb",
            "a/b/c/d/e/f/g",
            "%2e%2e",
            "-rf",
            "ä",
        ] {
            assert!(bad.parse::<DocumentRoot>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_leading_htdocs_and_a_trailing_slash_are_understood() {
        assert_eq!("htdocs/example.com/public/".parse::<DocumentRoot>().unwrap().as_str(), "example.com/public");
    }

    #[test]
    fn the_top_is_what_gantry_makes() {
        let root: DocumentRoot = "example.com/current/public".parse().unwrap();
        assert_eq!((root.top(), root.below_top()), ("example.com", Some("current/public")));
    }

    proptest! {
        #[test]
        fn an_accepted_root_stays_beneath_its_directory(text in "\\PC{0,80}") {
            if let Ok(root) = text.parse::<DocumentRoot>() {
                let path = std::path::Path::new(root.as_str());
                prop_assert!(path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
            }
        }
    }
}
