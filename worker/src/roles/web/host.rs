//! Plans what every web host needs before the first job: done at the worker's start, and nothing to do when it is so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use shared::names::PhpVersion;

use super::draft::{Changed, Draft};
use super::{WEB_USER, firewall, nginx, pages, paths, sshd, systemd};
use crate::engine::facts::Facts;
use crate::engine::image::{Acl, Content, DirectoryImage, Entry, FileImage, Owner};
use crate::engine::plan::{Action, Plan, Step};
use crate::roles::PlanError;
use crate::system::{NFT, NGINX as NGINX_PROGRAM};

const FOLDERS: &str = "Folders";
const UNITS: &str = "Units";
const FIREWALL: &str = "Firewall";
const SSHD: &str = "SFTP";
const NGINX: &str = "nginx";
const NGINX_UNIT: &str = "nginx.service";

/// Plans the base of a web host. **A host without nginx is none**, so there is nothing to do on it: a server for databases or
/// mail alone.
///
/// # Errors
/// nftables is not installed, nginx is gone although accounts live here, or something lies in the way.
pub fn plan(facts: Facts<'_>) -> Result<Plan, PlanError> {
    if facts.entry(Path::new(NGINX_PROGRAM))? == Entry::Absent {
        return if facts.accounts() == 0 { Ok(Plan::default()) } else { Err(PlanError::NotInstalled("nginx")) };
    }
    if facts.entry(Path::new(NFT))? == Entry::Absent {
        return Err(PlanError::NotInstalled("nftables"));
    }
    let web_gid = facts.group(WEB_USER)?.ok_or(PlanError::NotInstalled("nginx"))?;
    let mut draft = Draft::new(facts);
    folders(&mut draft, web_gid)?;
    files(&mut draft)?;
    units(&mut draft, &facts.php_versions()?)?;
    firewall(&mut draft)?;
    sftp(&mut draft)?;
    web_server(&mut draft)?;
    Ok(draft.plan)
}

/// As [`plan`], while the worker goes on: whoever has stopped nginx since wants it stopped, so it is not started.
///
/// # Errors
/// As those of [`plan`].
pub fn upkeep(facts: Facts<'_>) -> Result<Plan, PlanError> {
    let mut plan = plan(facts)?;
    plan.steps.retain(|step| !matches!(&step.action, Action::StartUnit { unit } if unit == NGINX_UNIT));
    Ok(plan)
}

fn root_file(path: impl Into<PathBuf>, content: String) -> FileImage {
    FileImage { path: path.into(), owner: Owner::ROOT, mode: 0o644, content: Content::from(content) }
}

fn folders(draft: &mut Draft<'_>, web_gid: u32) -> Result<(), PlanError> {
    let mut directory = |path: String, gid, mode| {
        let owner = Owner { uid: 0, gid };
        draft.directory(FOLDERS, DirectoryImage { path: path.into(), owner, mode, acl: Acl::default() })
    };
    directory(paths::CONFIG.to_owned(), 0, 0o755)?;
    // Passable, so that a pool's user reads its own file; not listable, so that it learns of no other.
    directory(format!("{}/php", paths::CONFIG), 0, 0o711)?;
    directory(format!("{}/keys", paths::CONFIG), 0, 0o711)?;
    directory(paths::LIBRARY.to_owned(), 0, 0o755)?;
    directory(paths::NGINX_POOLS.to_owned(), 0, 0o755)?;
    // Read by nginx's master alone: what an admin writes there may hold secrets.
    directory(paths::INCLUDES.to_owned(), 0, 0o700)?;
    directory(paths::INCLUDES_OF_ALL.to_owned(), 0, 0o700)?;
    for group in paths::INCLUDE_GROUPS {
        directory(group.to_owned(), 0, 0o700)?;
    }
    directory(paths::TRASH.to_owned(), 0, 0o700)?;
    directory(paths::SOCKETS.to_owned(), web_gid, 0o710)?;
    Ok(())
}

fn files(draft: &mut Draft<'_>) -> Result<(), PlanError> {
    draft.file(FOLDERS, root_file(format!("{}/probe.php", paths::LIBRARY), pages::PROBE_SCRIPT.to_owned()))?;
    draft.file(FOLDERS, root_file(format!("{}/suspended.html", paths::LIBRARY), pages::suspended()))?;
    draft.file(FOLDERS, root_file("/etc/tmpfiles.d/gantry.conf", systemd::tmpfiles()))?;
    draft.file(FOLDERS, root_file("/etc/sysctl.d/60-gantry.conf", SYSCTL.to_owned()))?;
    if draft.facts.entry(Path::new("/etc/logrotate.d"))? != Entry::Absent {
        draft.file(FOLDERS, root_file("/etc/logrotate.d/gantry", LOGROTATE.to_owned()))?;
    }
    Ok(())
}

/// Tenants cannot make root follow their links or open their pipes, should a program forget to guard itself (proc(5)).
const SYSCTL: &str = "# Made by Gantry. Changes here are overwritten.\nfs.protected_hardlinks = 1\nfs.protected_symlinks = 1\n\
    fs.protected_fifos = 2\nfs.protected_regular = 2\n";

/// The web server's logs are copied and cut rather than renamed: nginx would give a new file to its own user, and PHP could
/// make none. PHP's own logs are their tenant's, who may make them as long as he likes without filling a disk: root only
/// renames those and never reads them.
const LOGROTATE: &str = "# Made by Gantry. Changes here are overwritten.\n/home/*/logs/access.log /home/*/logs/error.log {\n    \
    daily\n    rotate 14\n    maxsize 100M\n    missingok\n    notifempty\n    compress\n    delaycompress\n    copytruncate\n}\n\
    /home/*/logs/php-*.log {\n    daily\n    rotate 7\n    maxsize 100M\n    missingok\n    notifempty\n    nocompress\n    \
    create\n    sharedscripts\n    postrotate\n        /usr/bin/systemctl kill --kill-who=main --signal=USR1 'gantry-php*@*.service' || true\n    \
    endscript\n}\n";

fn units(draft: &mut Draft<'_>, versions: &[PhpVersion]) -> Result<(), PlanError> {
    let directory = |path: &str| DirectoryImage { path: path.into(), owner: Owner::ROOT, mode: 0o755, acl: Acl::default() };
    draft.directory(UNITS, directory("/etc/systemd/system/sockets.target.wants"))?;
    draft.directory(UNITS, directory("/etc/systemd/system/sysinit.target.wants"))?;
    draft.directory(UNITS, directory("/etc/systemd/system/nginx.service.d"))?;
    draft.directory(UNITS, directory("/etc/systemd/system/user@.service.d"))?;
    let mut changed = draft.file(UNITS, root_file(paths::unit("gantry.slice"), systemd::outer_slice()))?;
    let limits = paths::unit("nginx.service.d/gantry.conf");
    let descriptors = nginx::descriptors(draft.facts.accounts());
    changed = changed.or(draft.file(UNITS, root_file(limits, systemd::nginx_limits(descriptors)))?);
    changed = changed.or(draft.file(UNITS, root_file(paths::unit(paths::FIREWALL_UNIT), firewall::unit()))?);
    let managers = paths::unit("user@.service.d/50-gantry.conf");
    changed = changed.or(draft.file(UNITS, root_file(managers, systemd::no_user_managers()))?);
    for version in versions {
        let socket = paths::unit(&paths::php_socket_template(*version));
        let service = paths::unit(&paths::php_service_template(*version));
        changed = changed.or(draft.file(UNITS, root_file(socket, systemd::php_socket(*version)))?);
        changed = changed.or(draft.file(UNITS, root_file(service, systemd::php_service(*version)))?);
    }
    if changed.yes() {
        draft.plan.step(UNITS, Action::LoadUnits);
    }
    Ok(())
}

/// The rules are loaded again where something has flushed them, such as an administrator's own rules that begin with that.
fn firewall(draft: &mut Draft<'_>) -> Result<(), PlanError> {
    let file = root_file(paths::FIREWALL, firewall::rules());
    if !draft.facts.holds_file(&file)? {
        draft.plan.step(FIREWALL, Action::TestPacketFilter { rules: firewall::rules() });
    }
    let changed = draft.file(FIREWALL, file)?;
    draft.link(FIREWALL, paths::boot_wanted(paths::FIREWALL_UNIT), paths::unit(paths::FIREWALL_UNIT))?;
    let started = draft.running(FIREWALL, paths::FIREWALL_UNIT)?;
    if !started.yes() && (changed.yes() || !draft.facts.filters_packets(firewall::TABLE)?) {
        draft.plan.step(FIREWALL, Action::ReloadUnit { unit: paths::FIREWALL_UNIT.to_owned() });
    }
    Ok(())
}

fn sftp(draft: &mut Draft<'_>) -> Result<(), PlanError> {
    if draft.facts.entry(Path::new(SSHD_PARTS))? == Entry::Absent {
        return Ok(());
    }
    let text = sshd::baseline(&administrators_limits(draft.facts)?);
    let changed = draft.file(SSHD, root_file(Path::new(SSHD_PARTS).join(SSHD_OWN), text))?;
    if changed.yes() {
        draft.plan.step(SSHD, Action::TestSshd);
        if draft.facts.runs("ssh.service")? {
            draft.plan.step(SSHD, Action::ReloadUnit { unit: "ssh.service".to_owned() });
        }
    }
    Ok(())
}

const SSHD_PARTS: &str = "/etc/ssh/sshd_config.d";
const SSHD_OWN: &str = "50-gantry.conf";

/// The limits at sshd's door that somebody else's configuration gives.
fn administrators_limits(facts: Facts<'_>) -> Result<BTreeSet<&'static str>, PlanError> {
    let parts = facts.list(Path::new(SSHD_PARTS))?.into_iter().filter(|name| name.ends_with(".conf") && name != SSHD_OWN);
    let mut files = vec![PathBuf::from("/etc/ssh/sshd_config")];
    files.extend(parts.map(|name| Path::new(SSHD_PARTS).join(name)));
    let mut given = BTreeSet::new();
    for file in files {
        if let Entry::File { .. } = facts.entry(&file)? {
            given.extend(sshd::given(String::from_utf8_lossy(&facts.content(&file)?).lines()));
        }
    }
    Ok(given)
}

/// Debian's own default site claims the place of the default server, so its link goes; its file stays.
fn web_server(draft: &mut Draft<'_>) -> Result<(), PlanError> {
    let at = draft.plan.steps.len();
    let stock = Path::new(paths::SITES_ENABLED).join("default");
    let mut changed = Changed::No;
    if draft.facts.holds_link(&stock, Path::new("/etc/nginx/sites-available/default"))? {
        changed = draft.no_file(NGINX, stock)?;
    }
    let text = nginx::baseline(draft.facts.has_ipv6());
    changed = changed.or(draft.file(NGINX, root_file("/etc/nginx/conf.d/gantry.conf", text))?);
    changed = changed.or(main_level(draft)?);
    if changed.yes() {
        draft.plan.steps.insert(at, Step { name: NGINX.into(), action: Action::TestNginx });
    }
    let started = draft.running(NGINX, NGINX_UNIT)?;
    if changed.yes() && !started.yes() {
        draft.plan.step(NGINX, Action::ReloadNginx);
    }
    Ok(())
}

const NGINX_CONF: &str = "/etc/nginx/nginx.conf";
/// Debian's nginx.conf includes what lies here at its main level.
const MAIN_PARTS: &str = "/etc/nginx/modules-enabled";
const MAIN_OWN: &str = "60-gantry.conf";

/// What can be said in no part of `http`: descriptors, connections, how long a replaced process may go on.
fn main_level(draft: &mut Draft<'_>) -> Result<Changed, PlanError> {
    let Entry::File { owner, mode, .. } = draft.facts.entry(Path::new(NGINX_CONF))? else { return Ok(Changed::No) };
    let bytes = draft.facts.content(Path::new(NGINX_CONF))?;
    let conf = String::from_utf8_lossy(&bytes);
    let mut changed = Changed::No;
    // What is in another encoding is left alone: it could not be written back as it was.
    if let Some(text) = std::str::from_utf8(&bytes).ok().and_then(nginx::with_connections) {
        changed = draft.file(NGINX, FileImage { path: NGINX_CONF.into(), owner, mode, content: Content::from(text) })?;
    }
    let included = conf.lines().any(|line| line.trim_start().starts_with("include") && line.contains("modules-enabled/*.conf"));
    if !included || draft.facts.entry(Path::new(MAIN_PARTS))? == Entry::Absent {
        return Ok(changed);
    }
    let mut given = nginx::given(conf.lines());
    for name in draft.facts.list(Path::new(MAIN_PARTS))?.into_iter().filter(|name| name.ends_with(".conf") && name != MAIN_OWN) {
        let path = Path::new(MAIN_PARTS).join(name);
        // Links lead to the modules that packages bring, which say nothing else.
        if let Entry::File { .. } = draft.facts.entry(&path)? {
            given.extend(nginx::given(String::from_utf8_lossy(&draft.facts.content(&path)?).lines()));
        }
    }
    let text = nginx::main_level(nginx::descriptors(draft.facts.accounts()), &given);
    Ok(changed.or(draft.file(NGINX, root_file(Path::new(MAIN_PARTS).join(MAIN_OWN), text))?))
}

#[cfg(test)]
mod tests {
    use super::LOGROTATE;

    #[test]
    fn root_renames_a_tenants_own_logs_and_never_reads_them() {
        let (web, php) = LOGROTATE.split_once("/home/*/logs/php-").unwrap();
        assert!(web.contains("copytruncate") && !web.contains("*.log"));
        assert!(php.contains(" create\n") && php.contains(" nocompress\n") && !php.contains("copytruncate"));
    }
}
