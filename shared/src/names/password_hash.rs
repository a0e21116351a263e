//! A crypt(3) password hash, as `/etc/shadow` holds it.

use std::fmt;
use std::str::FromStr;

use super::InvalidName;

/// A SHA-512 crypt hash (`$6$...`). Its `Debug` shows nothing; it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct CryptHash(String);

impl CryptHash {
    /// The hash, for the line that sets it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for CryptHash {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || InvalidName::new("not a SHA-512 crypt hash");
        let rest = text.strip_prefix("$6$").ok_or_else(refused)?;
        let crypt64 = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
        let mut parts = rest.split('$').collect::<Vec<_>>();
        if let Some(rounds) = parts.first().and_then(|first| first.strip_prefix("rounds=")) {
            if rounds.is_empty() || rounds.len() > 7 || !rounds.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(refused());
            }
            parts.remove(0);
        }
        match parts[..] {
            [salt, hash] if !salt.is_empty() && salt.len() <= 16 && hash.len() == 86 && crypt64(salt) && crypt64(hash) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(refused()),
        }
    }
}

impl fmt::Debug for CryptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CryptHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::CryptHash;

    #[test]
    fn only_a_whole_sha512_crypt_hash_is_accepted() {
        let good = format!("$6$rounds=10000$abcdefgh$./{}", "A".repeat(84));
        assert_eq!(good.parse::<CryptHash>().unwrap().expose(), good);
        for bad in [
            "",
            "!",
            "*",
            "$6$",
            "$1$a$b",
            &good.replace("$6$", "$5$"),
            &format!("{good}\n"),
            &format!("{good}:x"),
            &good.replace("./", ":/"),
        ] {
            assert!(bad.parse::<CryptHash>().is_err(), "{bad:?} was accepted");
        }
    }
}
