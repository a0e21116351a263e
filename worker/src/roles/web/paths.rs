//! Every place on a web host, derived from validated names. **No path ever comes from a job.**

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use shared::jobs::Generation;
use shared::names::{DocumentRoot, DomainName, LinuxUser, PhpVersion};

/// Where cells lie.
pub const HOMES: &str = "/home";
/// Where deleted cells wait to be removed: root's, on the cells' own file system.
pub const TRASH: &str = "/home/.gantry-trash";
/// The worker's configuration, pools and keys.
pub const CONFIG: &str = "/etc/gantry-worker";
/// What accounts may reach over the network.
pub const FIREWALL: &str = "/etc/gantry-worker/firewall.nft";
/// The unit that loads it.
pub const FIREWALL_UNIT: &str = "gantry-firewall.service";
/// Scripts and pages that vhosts serve.
pub const LIBRARY: &str = "/usr/lib/gantry-worker";
/// Where pools listen: root's, so that no tenant replaces a socket.
pub const SOCKETS: &str = "/run/gantry-php";
/// systemd units of ours.
pub const UNITS: &str = "/etc/systemd/system";
/// Vhosts.
pub const SITES_AVAILABLE: &str = "/etc/nginx/sites-available";
/// Links to the vhosts that nginx reads.
pub const SITES_ENABLED: &str = "/etc/nginx/sites-enabled";

/// nginx configuration of an admin's own, which every vhost includes and no job writes.
pub const INCLUDES: &str = "/etc/nginx/gantry.d";
/// That for every site of the server.
pub const INCLUDES_OF_ALL: &str = "/etc/nginx/gantry.d/server";
/// Where accounts and sites have a directory each.
pub const INCLUDE_GROUPS: [&str; 2] = ["/etc/nginx/gantry.d/account", "/etc/nginx/gantry.d/site"];

/// What vhosts take over from their pools, a file for each pool.
pub const NGINX_POOLS: &str = "/etc/nginx/gantry";

/// An account's cell: its SFTP chroot.
#[must_use]
pub fn cell(user: &LinuxUser) -> PathBuf {
    Path::new(HOMES).join(user.as_str())
}

/// Something in the cell that Gantry makes: `htdocs`, `home`, `tmp`, `logs`.
#[must_use]
pub fn in_cell(user: &LinuxUser, name: &str) -> PathBuf {
    cell(user).join(name)
}

/// The first directory of a document root, the one that Gantry makes.
#[must_use]
pub fn document_top(user: &LinuxUser, root: &DocumentRoot) -> PathBuf {
    in_cell(user, "htdocs").join(root.top())
}

/// A document root.
#[must_use]
pub fn document_root(user: &LinuxUser, root: &DocumentRoot) -> PathBuf {
    in_cell(user, "htdocs").join(root.as_str())
}

/// Where a deleted account's cell waits. uids are never used twice, so the name is its own.
#[must_use]
pub fn trash(user: &LinuxUser, uid: u32, generation: Generation) -> PathBuf {
    Path::new(TRASH).join(format!("{}{generation}", trash_prefix(user, uid)))
}

/// How the names of an account's trees in the trash begin.
#[must_use]
pub fn trash_prefix(user: &LinuxUser, uid: u32) -> String {
    format!("{user}-{uid}-")
}

/// The account's public keys, as sshd reads them.
#[must_use]
pub fn keys(user: &LinuxUser) -> PathBuf {
    Path::new(CONFIG).join("keys").join(user.as_str())
}

/// The account's slice, by its name in systemd.
#[must_use]
pub fn slice(user: &LinuxUser) -> String {
    format!("gantry-{user}.slice")
}

/// A unit file of ours.
#[must_use]
pub fn unit(name: &str) -> PathBuf {
    Path::new(UNITS).join(name)
}

/// The link that has a socket listen after a reboot.
#[must_use]
pub fn socket_wanted(socket_unit: &str) -> PathBuf {
    Path::new(UNITS).join("sockets.target.wants").join(socket_unit)
}

/// The link that has a unit start early at boot.
#[must_use]
pub fn boot_wanted(unit: &str) -> PathBuf {
    Path::new(UNITS).join("sysinit.target.wants").join(unit)
}

/// A pool's socket unit.
#[must_use]
pub fn php_socket_unit(user: &LinuxUser, version: PhpVersion) -> String {
    format!("gantry-php{version}@{user}.socket")
}

/// The template a pool's socket unit is an instance of.
#[must_use]
pub fn php_socket_template(version: PhpVersion) -> String {
    format!("gantry-php{version}@.socket")
}

/// A pool's master.
#[must_use]
pub fn php_service_unit(user: &LinuxUser, version: PhpVersion) -> String {
    format!("gantry-php{version}@{user}.service")
}

/// Every pool's master, as a pattern of systemd's.
pub const PHP_SERVICES: &str = "gantry-php*@*.service";

/// The template a pool's master is an instance of.
#[must_use]
pub fn php_service_template(version: PhpVersion) -> String {
    format!("gantry-php{version}@.service")
}

/// A pool's configuration.
#[must_use]
pub fn php_config(user: &LinuxUser, version: PhpVersion) -> PathBuf {
    Path::new(CONFIG).join("php").join(format!("{user}-{version}.conf"))
}

/// How the names of an account's pools begin.
#[must_use]
pub fn pool_prefix(user: &LinuxUser) -> String {
    format!("{user}-")
}

/// What vhosts take over from a pool.
#[must_use]
pub fn nginx_pool(user: &LinuxUser, version: PhpVersion) -> PathBuf {
    Path::new(NGINX_POOLS).join(format!("{}{version}.conf", pool_prefix(user)))
}

/// A pool's socket.
#[must_use]
pub fn php_socket(user: &LinuxUser, version: PhpVersion) -> PathBuf {
    Path::new(SOCKETS).join(format!("{user}-{version}.sock"))
}

/// A vhost's file name: the domain, shortened with a hash where a file system would not take it (255 bytes).
#[must_use]
pub fn vhost_name(domain: &DomainName) -> String {
    const LONGEST: usize = 200;
    let name = domain.as_str();
    if name.len() <= LONGEST {
        return format!("{name}.conf");
    }
    let hash = HEXLOWER.encode(&Sha256::digest(name)[..16]);
    // A domain is ASCII, so any cut is at a character.
    format!("{}-{hash}.conf", &name[..LONGEST - 40])
}

#[cfg(test)]
mod tests {
    use shared::names::DomainName;

    use super::vhost_name;

    #[test]
    fn a_long_domain_has_a_file_name_of_its_own_that_a_file_system_takes() {
        let long = |end: &str| format!("{}.{end}.example", vec!["a".repeat(60); 3].join(".")).parse::<DomainName>().unwrap();
        let (one, two) = (vhost_name(&long(&"b".repeat(40))), vhost_name(&long(&"c".repeat(40))));
        assert_ne!(one, two);
        assert!(one.len() <= 255 - ".gantry-.ffffffff".len());
        assert_eq!(vhost_name(&"shop.example".parse().unwrap()), "shop.example.conf");
    }
}
