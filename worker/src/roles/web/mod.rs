//! The role `web`: accounts, PHP pools and sites on nginx and PHP-FPM.
//!
//! Planning: [`account`], [`php_pool`], [`site`], and [`host`] for what every web host needs. Formats: [`nginx`],
//! [`php_fpm`], [`systemd`], [`sshd`], [`firewall`], [`pages`]; nothing is escaped or quoted anywhere else. Places: [`paths`].

pub mod account;
mod draft;
pub mod firewall;
pub mod host;
pub mod nginx;
pub mod pages;
pub mod paths;
pub mod php_fpm;
pub mod php_pool;
pub mod site;
pub mod sshd;
pub mod systemd;

use crate::engine::facts::Facts;
use crate::roles::PlanError;

/// The web server's user and group on Debian.
pub const WEB_USER: &str = "www-data";
/// Members are chrooted to their cell. No account's name can be this one: it has a hyphen.
pub const SFTP_GROUP: &str = "gantry-sftp";

/// The number of the web server's user.
fn web_uid(facts: Facts<'_>) -> Result<u32, PlanError> {
    facts.user(WEB_USER)?.map(|user| user.uid).ok_or(PlanError::NotInstalled("nginx"))
}
