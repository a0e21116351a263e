//! The Linux user of a hosting account, and its uid.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidName, string_name};

/// A Linux user name: 3 to 31 of `[a-z][a-z0-9]*`.
///
/// No `_`, so that `<user>_<database>` splits in one way only; no `-` or `.`, so that a systemd instance name needs
/// no escaping. 31 is what utmp holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinuxUser(String);

/// Names that Debian, its daemons or Gantry itself own, that mean something else in a file they are written to (`[global]` in one of
/// PHP-FPM), or that would confuse a reader of a log.
const RESERVED: &[&str] = &[
    "adm",
    "admin",
    "administrator",
    "apache",
    "apt",
    "avahi",
    "backup",
    "bin",
    "bind",
    "clamav",
    "cyrus",
    "daemon",
    "debian",
    "dev",
    "dhcpcd",
    "dns",
    "docker",
    "dovecot",
    "dovenull",
    "exim",
    "ftp",
    "games",
    "gantry",
    "gantryftp",
    "git",
    "global",
    "gnats",
    "guest",
    "host",
    "hosting",
    "httpd",
    "irc",
    "list",
    "localhost",
    "lost",
    "mail",
    "mailman",
    "man",
    "mariadb",
    "memcache",
    "messagebus",
    "mysql",
    "nats",
    "news",
    "nginx",
    "nobody",
    "nogroup",
    "opendkim",
    "operator",
    "panel",
    "pdns",
    "php",
    "polkitd",
    "postfix",
    "postgres",
    "postmaster",
    "proxy",
    "redis",
    "root",
    "rspamd",
    "rtkit",
    "shadow",
    "shutdown",
    "ssh",
    "sshd",
    "staff",
    "sudo",
    "support",
    "sync",
    "sys",
    "syslog",
    "system",
    "systemd",
    "tape",
    "test",
    "tty",
    "users",
    "utmp",
    "uucp",
    "vmail",
    "webmaster",
    "wheel",
    "worker",
    "www",
];

impl FromStr for LinuxUser {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !(3..=31).contains(&text.len()) {
            return Err(InvalidName::new("Use 3 to 31 characters."));
        }
        if !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return Err(InvalidName::new("Use only the letters a to z and the digits 0 to 9."));
        }
        if !text.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Err(InvalidName::new("Start with a letter."));
        }
        if RESERVED.contains(&text) || text.starts_with("systemd") {
            return Err(InvalidName::new(format!("The name {text} belongs to the system. Choose another.")));
        }
        Ok(Self(text.to_owned()))
    }
}

string_name!(LinuxUser);

/// A uid from the panel's own range; the group of the same name has the same number.
///
/// The range starts above Debian's (1000 to 59999), systemd's dynamic users (61184 to 65519) and below the ids that
/// containers map (524288 and up), so nothing else on a host hands one out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Uid(u32);

impl Uid {
    /// The first uid of the panel's range.
    pub const FIRST: u32 = 200_000;
    /// The last uid of the panel's range: room for 300,000 accounts in a fleet's lifetime, since none is used twice.
    pub const LAST: u32 = 499_999;

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Uid {
    type Error = InvalidName;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        if (Self::FIRST..=Self::LAST).contains(&number) {
            Ok(Self(number))
        } else {
            Err(InvalidName::new(format!("uid {number} is outside {} to {}", Self::FIRST, Self::LAST)))
        }
    }
}

impl From<Uid> for u32 {
    fn from(uid: Uid) -> Self {
        uid.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LinuxUser, Uid};

    #[test]
    fn refuses_names_that_are_short_long_reserved_or_outside_the_alphabet() {
        for bad in [
            "",
            "ab",
            &"a".repeat(32),
            "root",
            "global",
            "systemdx",
            "1abc",
            "a_b",
            "a-b",
            "a.b",
            "Abc",
            "abc ",
            "abc\n",
            "ábc",
            "a/b",
            "abc\0",
        ] {
            assert!(bad.parse::<LinuxUser>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_uid_outside_the_range_does_not_decode() {
        assert!(serde_json::from_str::<Uid>("0").is_err());
        assert!(serde_json::from_str::<Uid>("1000").is_err());
        assert_eq!(serde_json::from_str::<Uid>("200000").unwrap().get(), 200_000);
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_safe_everywhere_it_is_written(text in "\\PC{0,40}") {
            if let Ok(user) = text.parse::<LinuxUser>() {
                prop_assert!(user.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
                prop_assert_eq!(user.as_str(), text);
            }
        }
    }
}
