//! What a new host runs to join: text, not HTML. The script is `script.sh` with the values put in, each in quotes.

use std::fmt::Write;

use shared::names::ServerName;
use shared::role::Role;

use crate::paths;

/// How a host knows that it talks to the panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PanelTrust {
    /// An authority that every Debian trusts has signed the certificate.
    Public,
    /// The certificate is the panel's own: its key and the certificate itself are pinned.
    Pinned {
        /// SHA-256 of the public key, base64, as curl takes it.
        key: String,
        /// SHA-256 of the certificate, as the worker takes it.
        fingerprint: String,
    },
}

impl PanelTrust {
    /// curl's options.
    fn curl(&self) -> String {
        match self {
            Self::Public => String::new(),
            Self::Pinned { key, .. } => format!("--insecure --pinnedpubkey {}", quoted(&format!("sha256//{key}"))),
        }
    }

    /// What a worker pins; empty if it asks the authorities.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        match self {
            Self::Public => "",
            Self::Pinned { fingerprint, .. } => fingerprint,
        }
    }
}

/// The worker's package for one kind of machine.
#[derive(Debug, Clone, Copy)]
pub struct PackageModel<'a> {
    /// Debian's name of the machine, such as `amd64`.
    pub architecture: &'a str,
    /// The file's name, under which the panel serves it.
    pub file: &'a str,
    /// SHA-256 in hexadecimal digits.
    pub sha256: &'a str,
}

/// What the script is made of.
#[derive(Debug, Clone)]
pub struct ScriptModel<'a> {
    /// The panel's address.
    pub panel: &'a str,
    /// How the host knows it.
    pub trust: &'a PanelTrust,
    /// The server's name.
    pub server: &'a ServerName,
    /// Its roles.
    pub roles: &'a [Role],
    /// The token.
    pub token: &'a str,
    /// The worker's packages.
    pub packages: Vec<PackageModel<'a>>,
    /// The panel's clock, epoch seconds.
    pub now_s: i64,
}

/// The command for the host: it fetches the script and runs it. The token is in no address, so that no log has it.
#[must_use]
pub fn command(panel: &str, trust: &PanelTrust, token: &str) -> String {
    let trust = match trust.curl() {
        none if none.is_empty() => none,
        options => format!(" {options} \\\n "),
    };
    let header = quoted(&format!("Authorization: Bearer {token}"));
    format!("curl -sS --proto '=https'{trust} -H {header} \\\n  {} | sh", quoted(&format!("{panel}{}", paths::JOIN)))
}

/// The lines of `/etc/gantry-worker/config.env`, for joining by hand.
#[must_use]
pub fn config(panel: &str, trust: &PanelTrust, token: &str) -> String {
    format!("GANTRY_PANEL={panel}\nGANTRY_TOKEN={token}\nGANTRY_FINGERPRINT={}", trust.fingerprint())
}

/// The script.
#[must_use]
pub fn script(model: &ScriptModel<'_>) -> String {
    let mut packages = String::new();
    for package in &model.packages {
        let (architecture, file, sha256) = (quoted(package.architecture), quoted(package.file), quoted(package.sha256));
        // Writing to a String cannot fail.
        let _ = writeln!(packages, "        {architecture}) file={file} checksum={sha256} ;;");
    }
    let mut role_packages: Vec<&str> = model.roles.iter().flat_map(|role| packages_of(*role)).copied().collect();
    role_packages.dedup();
    let made_at = model.now_s.to_string();
    let values = [
        ("@panel@", quoted(model.panel)),
        ("@server@", quoted(model.server.as_str())),
        ("@token@", quoted(model.token)),
        ("@fingerprint@", quoted(model.trust.fingerprint())),
        ("@made_at@", made_at),
        ("@packages@\n", packages),
        ("@packages_path@", paths::join_package("")),
        ("@role_packages@", role_packages.join(" ")),
        ("@curl_trust@ ", Some(model.trust.curl()).filter(|options| !options.is_empty()).map_or_else(String::new, |options| options + " ")),
    ];
    values.into_iter().fold(include_str!("script.sh").to_owned(), |text, (name, value)| text.replace(name, &value))
}

/// Instead of the script: says why there is none. What runs it shows that.
#[must_use]
pub fn refusal(sentence: &str) -> String {
    format!("printf 'gantry: %s\\n' {} >&2\nexit 1\n", quoted(sentence))
}

/// Debian's packages of a role.
const fn packages_of(role: Role) -> &'static [&'static str] {
    match role {
        Role::Web => &[
            "nginx",
            "php-fpm",
            "php-cli",
            "php-mysql",
            "php-curl",
            "php-mbstring",
            "php-xml",
            "php-gd",
            "php-zip",
            "php-intl",
            "openssh-server",
            "logrotate",
            "nftables",
        ],
        Role::Db => &["mariadb-server"],
        Role::Dns => &["pdns-server", "pdns-backend-sqlite3"],
        Role::Mail => &["postfix", "dovecot-imapd", "dovecot-lmtpd"],
        Role::Backup => &["restic"],
    }
}

/// A word of the shell that means exactly this text.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_quoted_word_holds_whatever_it_holds() {
        assert_eq!(quoted("a b$(c)`d`\"e"), "'a b$(c)`d`\"e'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
