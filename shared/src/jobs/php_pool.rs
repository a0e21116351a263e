//! The desired state of an account's PHP-FPM master for one PHP version. One resource, shared by the account's sites.

use serde::{Deserialize, Serialize};

use crate::names::{LinuxUser, PhpVersion, Uid};

/// Whether the pool is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolPresence {
    /// Some site uses it.
    Present,
    /// The account is suspended: nothing listens, everything stays.
    Suspended,
    /// No site uses it any more.
    Deleted,
}

/// An account's PHP pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhpPoolSpec {
    /// The account's Linux user; the master runs as this user.
    pub user: LinuxUser,
    /// Its uid.
    pub uid: Uid,
    /// The PHP version.
    pub version: PhpVersion,
    /// Whether it is wanted.
    pub presence: PoolPresence,
    /// php.ini values and the process manager.
    pub settings: PhpSettings,
}

/// Values of php.ini and of the pool's process manager. Units are in the names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhpSettings {
    /// `memory_limit`, 32 to 1024.
    pub memory_limit_mib: u32,
    /// `max_execution_time`, 1 to 3600.
    pub max_execution_time_s: u32,
    /// `max_input_time`, 1 to 3600.
    pub max_input_time_s: u32,
    /// `max_input_vars`, 100 to 100000.
    pub max_input_vars: u32,
    /// `post_max_size`, 1 to 2048.
    pub post_max_size_mib: u32,
    /// `upload_max_filesize`, 1 to 2048.
    pub upload_max_filesize_mib: u32,
    /// How many requests run at once, and how workers come and go.
    pub process_manager: ProcessManager,
}

/// `pm` and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "pm", rename_all = "snake_case")]
pub enum ProcessManager {
    /// Workers start on demand, and all of them leave when the pool has been idle for a time.
    Ondemand {
        /// `pm.max_children`, 1 to 200.
        max_children: u32,
        /// That time, 1 to 3600; it is looked at once a minute.
        idle_timeout_s: u32,
        /// `pm.max_requests`, 0 (no limit) to 100000.
        max_requests: u32,
    },
    /// A fixed number of workers.
    Static {
        /// `pm.max_children`, 1 to 200.
        max_children: u32,
        /// `pm.max_requests`, 0 (no limit) to 100000.
        max_requests: u32,
    },
    /// Between a smallest and a largest number of spare workers.
    Dynamic {
        /// `pm.max_children`, 1 to 200.
        max_children: u32,
        /// `pm.start_servers`.
        start_servers: u32,
        /// `pm.min_spare_servers`.
        min_spare: u32,
        /// `pm.max_spare_servers`.
        max_spare: u32,
        /// `pm.max_requests`, 0 (no limit) to 100000.
        max_requests: u32,
    },
}

impl Default for PhpSettings {
    /// CloudPanel's and WordPress's comfort zone: enough for a shop, small enough for a shared host.
    fn default() -> Self {
        Self {
            memory_limit_mib: 256,
            max_execution_time_s: 60,
            max_input_time_s: 60,
            max_input_vars: 5000,
            post_max_size_mib: 64,
            upload_max_filesize_mib: 64,
            process_manager: ProcessManager::Ondemand { max_children: 10, idle_timeout_s: 600, max_requests: 1000 },
        }
    }
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {least} to {most}")]
pub struct SettingOutOfRange {
    /// The field's name as it is spelled here.
    pub field: &'static str,
    /// The least value allowed.
    pub least: u32,
    /// The greatest value allowed.
    pub most: u32,
}

impl PhpSettings {
    /// Checks every range. Both sides call this: the form, and the worker before it plans.
    ///
    /// # Errors
    /// The first field that is outside its range.
    pub fn check(&self) -> Result<(), SettingOutOfRange> {
        within("memory_limit_mib", self.memory_limit_mib, 32, 1024)?;
        within("max_execution_time_s", self.max_execution_time_s, 1, 3600)?;
        within("max_input_time_s", self.max_input_time_s, 1, 3600)?;
        within("max_input_vars", self.max_input_vars, 100, 100_000)?;
        within("post_max_size_mib", self.post_max_size_mib, 1, 2048)?;
        within("upload_max_filesize_mib", self.upload_max_filesize_mib, 1, 2048)?;
        match self.process_manager {
            ProcessManager::Ondemand { max_children, idle_timeout_s, max_requests } => {
                within("max_children", max_children, 1, 200)?;
                within("idle_timeout_s", idle_timeout_s, 1, 3600)?;
                within("max_requests", max_requests, 0, 100_000)
            }
            ProcessManager::Static { max_children, max_requests } => {
                within("max_children", max_children, 1, 200)?;
                within("max_requests", max_requests, 0, 100_000)
            }
            ProcessManager::Dynamic { max_children, start_servers, min_spare, max_spare, max_requests } => {
                within("max_children", max_children, 1, 200)?;
                within("max_spare", max_spare, 1, max_children)?;
                within("min_spare", min_spare, 1, max_spare)?;
                within("start_servers", start_servers, min_spare, max_spare)?;
                within("max_requests", max_requests, 0, 100_000)
            }
        }
    }
}

fn within(field: &'static str, value: u32, least: u32, most: u32) -> Result<(), SettingOutOfRange> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(SettingOutOfRange { field, least, most }) }
}
