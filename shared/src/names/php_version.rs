//! PHP versions.

use std::fmt;
use std::str::FromStr;

use super::InvalidName;

/// A PHP branch such as `8.2`, as Debian names its packages and paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhpVersion {
    major: u8,
    minor: u8,
}

impl FromStr for PhpVersion {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || InvalidName::new("A PHP version has two numbers, such as 8.2.");
        let (major, minor) = text.split_once('.').ok_or_else(refused)?;
        let number = |part: &str, most: u8| {
            let canonical = part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            part.parse::<u8>().ok().filter(|value| canonical && *value <= most)
        };
        // Nothing older than PHP 5 runs under a master per account, and no branch has reached x.20.
        let major = number(major, 9).filter(|value| *value >= 5).ok_or_else(refused)?;
        let minor = number(minor, 20).ok_or_else(refused)?;
        Ok(Self { major, minor })
    }
}

impl fmt::Display for PhpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl TryFrom<String> for PhpVersion {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PhpVersion> for String {
    fn from(version: PhpVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::PhpVersion;

    #[test]
    fn reads_what_it_prints_and_nothing_else() {
        for good in ["5.6", "7.4", "8.2", "8.10"] {
            assert_eq!(good.parse::<PhpVersion>().unwrap().to_string(), good);
        }
        for bad in ["", "8", "8.", ".2", "8.2.1", "08.2", "8.02", "4.4", "8.2 ", "8/2", "../8.2", "8.21"] {
            assert!(bad.parse::<PhpVersion>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn versions_sort_by_number() {
        assert!("8.10".parse::<PhpVersion>().unwrap() > "8.2".parse::<PhpVersion>().unwrap());
    }
}
