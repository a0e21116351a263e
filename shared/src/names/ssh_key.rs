//! Public keys for SFTP.

use std::str::FromStr;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use super::{InvalidName, string_name};

/// One line of an `authorized_keys` file without options: type, base64 blob, and a comment of plain characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SshPublicKey(String);

/// What OpenSSH 9 accepts by default, without the weak ones.
const TYPES: &[&str] = &[
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

impl SshPublicKey {
    /// The comment at the end, often `user@machine`; empty if there is none.
    #[must_use]
    pub fn comment(&self) -> &str {
        self.0.splitn(3, ' ').nth(2).unwrap_or_default()
    }

    /// The key's type, such as `ssh-ed25519`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// The fingerprint as OpenSSH prints it: `SHA256:` and unpadded base64.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let blob = self.0.split(' ').nth(1).and_then(|blob| BASE64.decode(blob.as_bytes()).ok()).unwrap_or_default();
        format!("SHA256:{}", data_encoding::BASE64_NOPAD.encode(&Sha256::digest(blob)))
    }
}

impl FromStr for SshPublicKey {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("PRIVATE KEY") {
            return Err(InvalidName::new("This is a private key. Paste the public one; its file name ends in .pub."));
        }
        let refused = || InvalidName::new("Paste one public key, such as: ssh-ed25519 AAAA... name@computer.");
        let text = text.trim();
        if text.len() > 8192 || text.contains(['\n', '\r', '\0']) {
            return Err(refused());
        }
        let mut parts = text.split_ascii_whitespace();
        let kind = parts.next().ok_or_else(refused)?;
        let blob = parts.next().ok_or_else(refused)?;
        let comment = parts.collect::<Vec<_>>().join(" ");
        if !TYPES.contains(&kind) {
            return Err(refused());
        }
        let decoded = BASE64.decode(blob.as_bytes()).map_err(|_| refused())?;
        // The blob starts with the length-prefixed type, which must agree with the text before it.
        let named = decoded.get(4..4 + kind.len());
        if decoded.get(..4) != Some(&u32::try_from(kind.len()).unwrap_or(0).to_be_bytes()) || named != Some(kind.as_bytes()) {
            return Err(refused());
        }
        if kind == "ssh-rsa" && decoded.len() < 270 {
            return Err(InvalidName::new("This RSA key is too short. Use at least 2048 bits, or better an Ed25519 key."));
        }
        let plain: String = comment.chars().filter(|c| c.is_ascii_alphanumeric() || " ._@+-".contains(*c)).take(100).collect();
        let plain = plain.trim();
        Ok(Self(if plain.is_empty() { format!("{kind} {blob}") } else { format!("{kind} {blob} {plain}") }))
    }
}

string_name!(SshPublicKey);

#[cfg(test)]
mod tests {
    use super::SshPublicKey;

    const GOOD: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4Yb0yVw8jYkT0o1Yp2rSQqJm8a5L0yS9Jx3X5cV0aB me@laptop";

    #[test]
    fn a_key_keeps_its_type_blob_and_comment() {
        let key: SshPublicKey = GOOD.parse().unwrap();
        assert_eq!((key.kind(), key.comment()), ("ssh-ed25519", "me@laptop"));
        assert!(key.fingerprint().starts_with("SHA256:"));
    }

    #[test]
    fn options_private_keys_second_lines_and_lying_types_are_refused() {
        for bad in [
            "",
            "ssh-ed25519",
            "hello world",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            &format!("command=\"id\" {GOOD}"),
            &format!("{GOOD}\n{GOOD}"),
            &GOOD.replace("ssh-ed25519 ", "ssh-rsa "),
            &GOOD.replace("ssh-ed25519 ", "ssh-dss "),
        ] {
            assert!(bad.parse::<SshPublicKey>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_comment_keeps_only_plain_characters() {
        let key: SshPublicKey = GOOD.replace("me@laptop", "a\";$(x) b").parse().unwrap();
        assert_eq!(key.comment(), "ax b");
    }
}
