//! What names a Debian package: its version and the machine it is for.

use std::cmp::Ordering;
use std::str::FromStr;

use super::{InvalidName, string_name};

/// The version of a Debian package, such as `0.2.0` or `0.2.0~rc1-1`, without an epoch. It is part of file names.
///
/// **Ordered as dpkg orders versions** (deb-version(7)); two spellings of one version, such as `1.0` and `1.00`, are equal.
#[derive(Debug, Clone)]
pub struct PackageVersion(String);

impl FromStr for PackageVersion {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'~' | b'-');
        if text.len() > 64 || !text.starts_with(|first: char| first.is_ascii_digit()) || !text.bytes().all(plain) {
            return Err(InvalidName::new("A version starts with a digit and has up to 64 letters, digits and the signs . + ~ and -."));
        }
        Ok(Self(text.to_owned()))
    }
}

string_name!(PackageVersion);

impl PackageVersion {
    /// Upstream's version and Debian's revision.
    fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('-').unwrap_or((&self.0, ""))
    }
}

impl Ord for PackageVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((upstream, revision), (other_upstream, other_revision)) = (self.parts(), other.parts());
        part_order(upstream, other_upstream).then_with(|| part_order(revision, other_revision))
    }
}

impl PartialOrd for PackageVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PackageVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PackageVersion {}

/// Compares text and numbers in turn, from the left.
fn part_order(mut one: &str, mut other: &str) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let (text, rest) = split(one, |c| !c.is_ascii_digit());
        let (other_text, other_rest) = split(other, |c| !c.is_ascii_digit());
        let (number, rest) = split(rest, |c| c.is_ascii_digit());
        let (other_number, other_rest) = split(other_rest, |c| c.is_ascii_digit());
        let order = text_order(text, other_text).then_with(|| number_order(number, other_number));
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
    Ordering::Equal
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn text_order(one: &str, other: &str) -> Ordering {
    let weight = |text: &str, at: usize| match text.as_bytes().get(at) {
        None => 0,
        // Before the end: 1.0~rc1 comes before 1.0.
        Some(b'~') => -1,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        // Signs come after letters.
        Some(sign) => i32::from(*sign) + 256,
    };
    let longest = one.len().max(other.len());
    (0..longest).map(|at| weight(one, at).cmp(&weight(other, at))).find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
}

fn number_order(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// Debian's name of a kind of machine, such as `amd64`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Architecture(String);

impl FromStr for Architecture {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if text.is_empty() || text.len() > 16 || !plain {
            return Err(InvalidName::new("An architecture has up to 16 letters a to z and digits, such as amd64."));
        }
        Ok(Self(text.to_owned()))
    }
}

string_name!(Architecture);

impl Architecture {
    /// That of the machine this program was built for.
    ///
    /// # Errors
    /// Debian has no such machine.
    pub fn own() -> Result<Self, InvalidName> {
        match std::env::consts::ARCH {
            "x86_64" => "amd64".parse(),
            "aarch64" => "arm64".parse(),
            other => other.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Architecture, PackageVersion};

    fn version(text: &str) -> PackageVersion {
        text.parse().unwrap()
    }

    /// Each pair was put to `dpkg --compare-versions`.
    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        for (older, newer) in [
            ("0.1.0", "0.1.1"),
            ("0.9.0", "0.10.0"),
            ("0.2.0~rc1", "0.2.0"),
            ("0.2.0~rc1", "0.2.0~rc2"),
            ("0.2.0~~", "0.2.0~"),
            ("0.2.0", "0.2.0-1"),
            ("0.2.0-9", "0.2.0-10"),
            ("0.2.0", "0.2.0+git1"),
            ("0.2.0a", "0.2.0+"),
            ("0.2.0-1", "0.2.0.1-1"),
            ("1.2a", "1.2b"),
            ("1", "1.0"),
        ] {
            assert!(version(older) < version(newer), "{older} comes before {newer}");
            assert!(version(newer) > version(older), "{newer} comes after {older}");
        }
        for (one, other) in [("1.0", "1.0"), ("1.00", "1.0"), ("1.0-0", "1.0")] {
            assert_eq!(version(one), version(other));
        }
    }

    #[test]
    fn a_version_is_a_part_of_a_file_name_and_nothing_else() {
        for bad in ["", "v1", "1:2.0", "1/2", "1 2", "../1", "1_2", &"1".repeat(65)] {
            assert!(bad.parse::<PackageVersion>().is_err(), "{bad:?} was accepted");
        }
        for bad in ["", "AMD64", "a/b", "a-b", &"a".repeat(17)] {
            assert!(bad.parse::<Architecture>().is_err(), "{bad:?} was accepted");
        }
        assert!(Architecture::own().is_ok());
    }
}
