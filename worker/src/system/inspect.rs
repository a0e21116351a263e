//! What the heartbeat tells about the machine. Reading only; what cannot be read is reported as unknown.

use std::fs;
use std::path::Path;

use shared::events::{HostFacts, RoleHealth};
use shared::names::PhpVersion;
use shared::role::Role;

use super::command::Program;
use super::nginx::NGINX;
use super::role_health::runs;
use super::services::NFT;
use super::{HOMES, SystemError};

pub(super) fn php_versions() -> Result<Vec<PhpVersion>, SystemError> {
    let path = Path::new("/usr/sbin");
    let listed = fs::read_dir(path).map_err(|source| SystemError::File { doing: "list", path: path.to_owned(), source })?;
    let version = |name: &str| name.strip_prefix("php-fpm")?.parse().ok();
    let mut versions: Vec<PhpVersion> = listed.flatten().filter_map(|entry| version(entry.file_name().to_str()?)).collect();
    versions.sort_unstable();
    Ok(versions)
}

pub(super) fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

/// None where nginx is not installed: such a host is no web server.
pub(super) fn web_health() -> Option<RoleHealth> {
    if !Path::new(NGINX).exists() {
        return None;
    }
    let version = Program::new(NGINX).arg("-v").finish().ok().and_then(|finished| {
        // nginx version: nginx/1.22.1
        finished.stderr.trim().rsplit('/').next().map(|number| format!("nginx {number}"))
    });
    let (healthy, summary) = match (version, runs(&["nginx.service"])) {
        (Some(_), true) if !Path::new(NFT).exists() => (false, "nftables is not installed".to_owned()),
        (Some(version), true) => (true, version),
        (Some(version), false) => (false, format!("{version} is not running")),
        (None, true | false) => (false, "nginx does not say its version".to_owned()),
    };
    Some(RoleHealth { role: Role::Web, healthy, summary })
}

pub(super) fn host_facts() -> HostFacts {
    let memory = |key: &str| field(&text("/proc/meminfo"), key).unwrap_or(0) / 1024;
    let total = memory("MemTotal:");
    let disk = rustix::fs::statvfs(HOMES).ok();
    let mib = |blocks: fn(&rustix::fs::StatVfs) -> u64| disk.as_ref().map_or(0, |disk| blocks(disk) * disk.f_frsize / 1024 / 1024);
    let size = mib(|disk| disk.f_blocks);
    HostFacts {
        os: os_name(&text("/etc/os-release")),
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        cpus: std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
        load1: text("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        memory_mib: total,
        memory_used_mib: total.saturating_sub(memory("MemAvailable:")),
        disk_mib: size,
        disk_used_mib: size.saturating_sub(mib(|disk| disk.f_bfree)),
        uptime_s: text("/proc/uptime").split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default(),
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The number after a key, as in `MemTotal:  16303428 kB`.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

fn os_name(release: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown");
    name.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{field, os_name};

    #[test]
    fn reads_the_kernels_and_debians_own_formats() {
        assert_eq!(field("MemTotal:       16303428 kB\nMemFree: 5 kB\n", "MemTotal:"), Some(16_303_428));
        assert_eq!(os_name("NAME=\"x\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"), "Debian GNU/Linux 12 (bookworm)");
    }
}
