//! The desired state of a hosting account.

use serde::{Deserialize, Serialize};

use super::Presence;
use crate::names::{LinuxUser, SshPublicKey, Uid};

/// One Linux user with its cell, its slice and its SFTP access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSpec {
    /// The Linux user and the group of the same name.
    pub user: LinuxUser,
    /// The uid and gid, from the panel's registry; never used for another account.
    pub uid: Uid,
    /// Active, suspended or deleted.
    pub presence: Presence,
    /// How files arrive.
    pub sftp: SftpAccess,
    /// What the account's slice may use.
    pub limits: AccountLimits,
}

/// SFTP access, chrooted to the cell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SftpAccess {
    /// The password's hash, sealed to the server's worker. `None`: no sign-in by password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SealedCryptHash>,
    /// Public keys that may sign in.
    #[serde(default)]
    pub keys: Vec<SshPublicKey>,
}

/// A [`crate::names::CryptHash`] that only one worker can read. See `bus::sealing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedCryptHash {
    /// The public x25519 key (`X...`) of the sender, made for this one message.
    pub sender: String,
    /// base64url of the sealed text.
    pub sealed: String,
}

/// Limits of the account's systemd slice. `None` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountLimits {
    /// CPU in percent of one core (`CPUQuota=`).
    #[serde(default)]
    pub cpu_percent: Option<u32>,
    /// Memory in MiB (`MemoryMax=`).
    #[serde(default)]
    pub memory_mib: Option<u32>,
    /// Processes and threads (`TasksMax=`).
    #[serde(default)]
    pub tasks: Option<u32>,
}
