//! What a server can do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A role of a server. In this version only [`Role::Web`] provisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// nginx and PHP-FPM.
    Web,
    /// MariaDB.
    Db,
    /// PowerDNS.
    Dns,
    /// Postfix and Dovecot.
    Mail,
    /// restic repositories.
    Backup,
}

impl Role {
    /// All roles, in the order in which pages show them.
    pub const ALL: [Self; 5] = [Self::Web, Self::Db, Self::Dns, Self::Mail, Self::Backup];

    /// The stored and wire spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Db => "db",
            Self::Dns => "dns",
            Self::Mail => "mail",
            Self::Backup => "backup",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role; roles are web, db, dns, mail, backup")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn every_role_reads_back_what_it_is_spelled_as() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
    }
}
