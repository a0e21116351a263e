//! The desired state of a site.

use serde::{Deserialize, Serialize};

use super::Presence;
use crate::names::{DocumentRoot, DomainName, LinuxUser, PhpVersion, SiteName, Uid};

/// One vhost of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteSpec {
    /// The account's Linux user.
    pub user: LinuxUser,
    /// Its uid: what PHP must answer with before the site counts as active.
    pub uid: Uid,
    /// The primary domain. It names the vhost's file and never changes; another primary domain is another site.
    pub domain: DomainName,
    /// Further names the site answers to.
    #[serde(default)]
    pub aliases: Vec<SiteName>,
    /// The document root, below the account's `htdocs`.
    pub document_root: DocumentRoot,
    /// Static files, or PHP.
    pub kind: SiteKind,
    /// Active, suspended (a page says so) or deleted.
    pub presence: Presence,
}

/// What serves the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SiteKind {
    /// Files only.
    Static,
    /// PHP through the account's pool of this version.
    Php {
        /// The PHP version.
        version: PhpVersion,
    },
}

impl SiteKind {
    /// The PHP version, for a PHP site.
    #[must_use]
    pub const fn php(self) -> Option<PhpVersion> {
        match self {
            Self::Static => None,
            Self::Php { version } => Some(version),
        }
    }
}
