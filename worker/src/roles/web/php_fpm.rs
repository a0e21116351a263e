//! PHP-FPM configuration as text. Every value is a number, a name without special characters, or a path made of such.

use std::fmt::Write;
use std::path::PathBuf;

use shared::jobs::{PhpSettings, ProcessManager};
use shared::names::{LinuxUser, PhpVersion};

use super::paths;

/// Where a pool's master and scripts write.
#[must_use]
pub fn log(user: &LinuxUser, version: PhpVersion) -> PathBuf {
    paths::in_cell(user, "logs").join(format!("php-{version}.log"))
}

/// A reload waits this long for requests under way.
const RELOAD_PATIENCE_S: u32 = 30;
/// FPM ends a request this much after PHP's own limit: PHP counts only its own time, not that of waiting.
const TERMINATE_AFTER_S: u32 = 10;
/// Children that wait for requests while a master runs that was started on demand. FPM adds at most so many in a second.
const SPARE: u32 = 2;

/// The whole configuration of a master with one pool. No user, group or pid: the master runs as the account's user already,
/// under systemd.
#[must_use]
pub fn pool(user: &LinuxUser, version: PhpVersion, settings: &PhpSettings) -> String {
    let cell = paths::cell(user);
    let cell = cell.display();
    let log = log(user, version);
    let log = log.display();
    let socket = paths::php_socket(user, version);
    let mut text = format!(
        "; Made by Gantry. Changes here are overwritten.\n[global]\nerror_log = {log}\nlog_level = notice\n\
         process_control_timeout = {RELOAD_PATIENCE_S}s\ndaemonize = no\n\n[{user}]\nlisten = {}\n{}",
        socket.display(),
        process_manager(&settings.process_manager)
    );
    // No slow log: FPM would trace its children, which the master's own confinement forbids.
    let terminate = settings.max_execution_time_s + TERMINATE_AFTER_S;
    let _ = write!(
        text,
        "pm.status_path = /.gantry/php-status\nping.path = /.gantry/php-ping\n\
         request_terminate_timeout = {terminate}s\n\
         catch_workers_output = yes\ndecorate_workers_output = no\nclear_env = yes\nchdir = {cell}\n\
         security.limit_extensions = .php\n\
         env[PATH] = /usr/local/bin:/usr/bin:/bin\nenv[HOME] = {cell}/home\nenv[USER] = {user}\nenv[TMPDIR] = {cell}/tmp\n"
    );
    let open = format!("{cell}/htdocs:{cell}/home:{cell}/tmp:{}:/usr/share/php", paths::LIBRARY);
    let _ = write!(
        text,
        "php_admin_value[open_basedir] = {open}\nphp_admin_value[upload_tmp_dir] = {cell}/tmp\n\
         php_admin_value[sys_temp_dir] = {cell}/tmp\nphp_value[session.save_path] = {cell}/tmp\n\
         php_admin_value[error_log] = {log}\nphp_admin_flag[log_errors] = on\n"
    );
    text.push_str(&values(settings));
    text
}

fn values(settings: &PhpSettings) -> String {
    let PhpSettings {
        memory_limit_mib,
        max_execution_time_s,
        max_input_time_s,
        max_input_vars,
        post_max_size_mib,
        upload_max_filesize_mib,
        process_manager: _,
    } = settings;
    format!(
        "php_admin_value[memory_limit] = {memory_limit_mib}M\nphp_value[max_execution_time] = {max_execution_time_s}\n\
         php_value[max_input_time] = {max_input_time_s}\nphp_value[max_input_vars] = {max_input_vars}\n\
         php_value[post_max_size] = {post_max_size_mib}M\nphp_value[upload_max_filesize] = {upload_max_filesize_mib}M\n"
    )
}

fn process_manager(manager: &ProcessManager) -> String {
    match manager {
        // Not FPM's own `ondemand`, which starts one child when it wakes up and none for what came meanwhile: fourteen slow
        // requests at once had three of ten children. The socket starts the master on demand, and the worker ends it when it
        // has been idle for the time given.
        ProcessManager::Ondemand { max_children, idle_timeout_s: _, max_requests } => {
            let spare = SPARE.min(*max_children);
            format!(
                "pm = dynamic\npm.max_children = {max_children}\npm.start_servers = {spare}\n\
                 pm.min_spare_servers = {spare}\npm.max_spare_servers = {spare}\npm.max_requests = {max_requests}\n"
            )
        }
        ProcessManager::Static { max_children, max_requests } => {
            format!("pm = static\npm.max_children = {max_children}\npm.max_requests = {max_requests}\n")
        }
        ProcessManager::Dynamic { max_children, start_servers, min_spare, max_spare, max_requests } => format!(
            "pm = dynamic\npm.max_children = {max_children}\npm.start_servers = {start_servers}\n\
             pm.min_spare_servers = {min_spare}\npm.max_spare_servers = {max_spare}\npm.max_requests = {max_requests}\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use shared::jobs::ProcessManager;

    use super::process_manager;

    /// FPM refuses spare children beyond the most there may be, and starts too few of its own `ondemand` ones.
    #[test]
    fn a_pool_on_demand_keeps_no_more_children_ready_than_it_may_have() {
        for (max_children, spare) in [(1, 1), (2, 2), (10, 2)] {
            let text = process_manager(&ProcessManager::Ondemand { max_children, idle_timeout_s: 5, max_requests: 0 });
            assert!(text.starts_with("pm = dynamic\n"), "{text}");
            for key in ["start_servers", "min_spare_servers", "max_spare_servers"] {
                assert!(text.contains(&format!("pm.{key} = {spare}\n")), "{text}");
            }
        }
    }
}
