//! The name of a server on the bus.

use std::str::FromStr;

use super::{InvalidName, string_name};

/// A server's name: `[a-z][a-z0-9-]{0,31}`. It is one token of a NATS subject, and starts with a letter because a
/// numeric token could be read as a position in an acknowledgement subject.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerName(String);

impl FromStr for ServerName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let tail_ok = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if text.is_empty() || text.len() > 32 || !tail_ok || !text.starts_with(|c: char| c.is_ascii_lowercase()) || text.ends_with('-') {
            return Err(InvalidName::new("Use up to 32 of the letters a to z, digits and hyphens, starting with a letter."));
        }
        Ok(Self(text.to_owned()))
    }
}

string_name!(ServerName);

#[cfg(test)]
mod tests {
    use super::ServerName;

    #[test]
    fn a_server_name_is_one_subject_token_that_starts_with_a_letter() {
        for good in ["web1", "a", "db-2-eu"] {
            assert!(good.parse::<ServerName>().is_ok());
        }
        for bad in ["", "1", "12", "Web", "a.b", "a*", ">", "a b", "a-", "-a", "a_b", &"a".repeat(33)] {
            assert!(bad.parse::<ServerName>().is_err(), "{bad:?} was accepted");
        }
    }
}
