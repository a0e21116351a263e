//! Plans an account: its Linux user, its cell, its slice, how its files arrive.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use shared::jobs::{AccountSpec, Generation, Job, Presence, SiteSpec};
use shared::names::{CryptHash, LinuxUser, PhpVersion};

use super::draft::{Changed, Draft};
use super::{SFTP_GROUP, paths, sshd, systemd, web_uid};
use crate::engine::facts::Facts;
use crate::engine::image::{Acl, Content, DirectoryImage, Entry, FileImage, Owner, UserImage, UserRecord, WebRights};
use crate::engine::plan::{Action, FinishAction, Password, Plan, SignIn};
use crate::roles::PlanError;

const USER: &str = "User";
const FOLDERS: &str = "Folders";
const LIMITS: &str = "Limits";
const SFTP: &str = "SFTP";
const PHP: &str = "PHP pool";
const NGINX_TEST: &str = "nginx test";
const VHOST: &str = "Sites";
const RELOAD: &str = "Reload";
const CLEAN_UP: &str = "Clean-up";

/// Plans an account. `password` is the opened form of the one in the spec.
///
/// # Errors
/// The user, its number or its folder belongs to somebody else, or the host cannot be examined.
pub fn plan(spec: &AccountSpec, password: Option<&CryptHash>, generation: Generation, facts: Facts<'_>) -> Result<Plan, PlanError> {
    let existing = own_user(spec, facts)?;
    match spec.presence {
        Presence::Active => present(spec, password, existing.as_ref(), SignIn::Allowed, facts),
        Presence::Suspended => present(spec, password, existing.as_ref(), SignIn::Barred, facts),
        Presence::Deleted => absent(spec, existing.as_ref(), generation, facts),
    }
}

/// The comment by which Gantry knows its own users.
fn comment(user: &LinuxUser) -> String {
    format!("Gantry account {user}")
}

/// The account's user if it exists and is ours. A group of its name and number without a user is ours too: users are made and
/// removed group and user one after the other, and something may come in between.
fn own_user(spec: &AccountSpec, facts: Facts<'_>) -> Result<Option<UserRecord>, PlanError> {
    let conflict = |reason: String| PlanError::UserConflict { user: spec.user.clone(), reason };
    let uid = spec.uid.get();
    if let Some(record) = facts.user(spec.user.as_str())? {
        let ours = record.uid == uid && record.gid == uid && record.comment == comment(&spec.user);
        return if ours { Ok(Some(record)) } else { Err(conflict(format!("exists with uid {}, wanted {uid}", record.uid))) };
    }
    if let Some(other) = facts.user_of_uid(uid)? {
        return Err(conflict(format!("uid {uid} belongs to {other}")));
    }
    if let Some(other) = facts.group_of_gid(uid)?.filter(|other| other != spec.user.as_str()) {
        return Err(conflict(format!("gid {uid} belongs to {other}")));
    }
    if let Some(other) = facts.group(spec.user.as_str())?.filter(|other| *other != uid) {
        return Err(conflict(format!("a group of this name exists with gid {other}")));
    }
    let cell = paths::cell(&spec.user);
    match facts.entry(&cell)? {
        Entry::Absent => Ok(None),
        // Left by an account of the same number: ours, though its user is gone.
        Entry::Directory { owner, .. } if owner == Owner::root_for(uid) => Ok(None),
        other @ (Entry::File { .. } | Entry::Directory { .. } | Entry::Link { .. } | Entry::Other { .. }) => {
            Err(conflict(format!("{} is {} of somebody else", cell.display(), other.describe())))
        }
    }
}

fn present(
    spec: &AccountSpec,
    password: Option<&CryptHash>,
    existing: Option<&UserRecord>,
    sign_in: SignIn,
    facts: Facts<'_>,
) -> Result<Plan, PlanError> {
    let mut draft = Draft::new(facts);
    user(&mut draft, spec, password, existing, sign_in);
    folders(&mut draft, spec)?;
    limits(&mut draft, spec)?;
    keys(&mut draft, spec)?;
    Ok(draft.plan)
}

fn user(draft: &mut Draft<'_>, spec: &AccountSpec, password: Option<&CryptHash>, existing: Option<&UserRecord>, sign_in: SignIn) {
    let user = &spec.user;
    if existing.is_none() {
        draft.plan.step(
            USER,
            Action::EnsureUser(UserImage {
                name: user.clone(),
                uid: spec.uid.get(),
                comment: comment(user),
                home: paths::in_cell(user, "home"),
                shell: PathBuf::from("/usr/sbin/nologin"),
                member_of: SFTP_GROUP.to_owned(),
            }),
        );
    }
    let field = existing.map_or(Password::LOCKED, |record| &record.password);
    match password {
        Some(hash) if field != hash.expose() => {
            draft.plan.step(USER, Action::SetPassword { user: user.clone(), password: Password::Hash(hash.clone()) });
        }
        None if !field.starts_with(['!', '*']) => {
            draft.plan.step(USER, Action::SetPassword { user: user.clone(), password: Password::Locked });
        }
        Some(_) | None => {}
    }
    if existing.and_then(|record| record.expires) != sign_in.expiry_day() {
        draft.plan.step(USER, Action::SetSignIn { user: user.clone(), sign_in });
        if sign_in == SignIn::Barred {
            draft.plan.step(USER, Action::EndProcesses { uid: spec.uid.get() });
        }
    }
}

/// The cell. A tenant owns what is in it, never the cell itself nor a directory that root enters.
fn folders(draft: &mut Draft<'_>, spec: &AccountSpec) -> Result<(), PlanError> {
    let web = web_uid(draft.facts)?;
    let (user, uid) = (&spec.user, spec.uid.get());
    let entered = Acl::for_web_server(WebRights::Enter, web);
    let directory = |path, owner, mode, acl| DirectoryImage { path, owner, mode, acl };
    let (shared, own) = (Owner::root_for(uid), Owner::tenant(uid));
    draft.directory(FOLDERS, directory(paths::cell(user), shared, 0o750, entered.clone()))?;
    draft.directory(FOLDERS, directory(paths::in_cell(user, "htdocs"), shared, 0o750, entered.clone()))?;
    // nginx's workers open their logs again, as the web server's user, when Debian rotates its own.
    draft.directory(FOLDERS, directory(paths::in_cell(user, "logs"), shared, 0o750, entered))?;
    draft.directory(FOLDERS, directory(paths::in_cell(user, "home"), own, 0o750, Acl::default()))?;
    draft.directory(FOLDERS, directory(paths::in_cell(user, "tmp"), own, 0o700, Acl::default()))?;
    web_logs(draft, FOLDERS, user, uid)
}

/// nginx opens its logs as root and would make them root's alone: they are made before it does.
pub(super) fn web_logs(draft: &mut Draft<'_>, step: &'static str, user: &LinuxUser, uid: u32) -> Result<(), PlanError> {
    for name in ["access.log", "error.log"] {
        let path = paths::in_cell(user, "logs").join(name);
        draft.some_file(step, FileImage { path, owner: Owner::root_for(uid), mode: 0o640, content: Content::from("") })?;
    }
    Ok(())
}

/// systemd reads the file of a slice that it knows only when told to; of one that it does not, when it is used.
fn limits(draft: &mut Draft<'_>, spec: &AccountSpec) -> Result<(), PlanError> {
    let path = paths::unit(&paths::slice(&spec.user));
    let known = draft.facts.entry(&path)? != Entry::Absent;
    let content = Content::from(systemd::slice(&spec.user, spec.limits));
    let changed = draft.file(LIMITS, FileImage { path, owner: Owner::ROOT, mode: 0o644, content })?;
    let same = |job: &Job| matches!(job, Job::Account(account) if account.limits == spec.limits);
    let read = draft.facts.proved_of(&spec.user).any(|(_, _, job)| same(job));
    if known && (changed.yes() || !read) {
        draft.plan.step(LIMITS, Action::ReloadUnit { unit: paths::slice(&spec.user) });
    }
    Ok(())
}

fn keys(draft: &mut Draft<'_>, spec: &AccountSpec) -> Result<(), PlanError> {
    let path = paths::keys(&spec.user);
    if spec.sftp.keys.is_empty() {
        draft.no_file(SFTP, path)?;
        return Ok(());
    }
    // sshd reads it with the user's own rights.
    let owner = Owner::root_for(spec.uid.get());
    let content = Content::from(sshd::authorized_keys(&spec.sftp.keys));
    draft.file(SFTP, FileImage { path, owner, mode: 0o640, content })?;
    Ok(())
}

/// Nothing stays: what the account's own sites and pools have left goes too, since a vhost that logs into a cell that is
/// gone would break nginx for everybody.
fn absent(spec: &AccountSpec, existing: Option<&UserRecord>, generation: Generation, facts: Facts<'_>) -> Result<Plan, PlanError> {
    let (user, uid) = (&spec.user, spec.uid.get());
    let mut draft = Draft::new(facts);
    if existing.is_some_and(|record| record.expires != SignIn::Barred.expiry_day()) {
        draft.plan.step(USER, Action::SetSignIn { user: user.clone(), sign_in: SignIn::Barred });
    }
    let sites = facts.sites_of(user).map(|(_, _, site)| site).collect::<Vec<_>>();
    no_sites(&mut draft, &sites)?;
    for version in versions(user, facts)? {
        no_pool(&mut draft, user, version)?;
    }
    no_pool_limits(&mut draft, user)?;
    if existing.is_some() {
        draft.plan.step(USER, Action::EndProcesses { uid });
    }
    draft.no_file(SFTP, paths::keys(user))?;
    // A slice that is stopped is forgotten, and the next account of this name has its own limits: systemd need not read all its
    // units again, which takes long where there are thousands.
    draft.stopped(LIMITS, &paths::slice(user))?;
    draft.no_file(LIMITS, paths::unit(&paths::slice(user)))?;
    no_cell(&mut draft, spec, generation)?;
    if existing.is_some() {
        draft.plan.finally(CLEAN_UP, FinishAction::EndProcesses { uid });
    }
    if existing.is_some() || facts.group(user.as_str())?.is_some() {
        draft.plan.finally(CLEAN_UP, FinishAction::RemoveUser { user: user.clone(), uid });
    }
    Ok(draft.plan)
}

fn no_sites(draft: &mut Draft<'_>, sites: &[&SiteSpec]) -> Result<(), PlanError> {
    if sites.is_empty() {
        return Ok(());
    }
    let (at, mut changed) = (draft.plan.steps.len(), Changed::No);
    for site in sites {
        let name = paths::vhost_name(&site.domain);
        changed = changed.or(draft.no_file(VHOST, PathBuf::from(paths::SITES_ENABLED).join(&name))?);
        changed = changed.or(draft.no_file(VHOST, PathBuf::from(paths::SITES_AVAILABLE).join(&name))?);
    }
    // Where nothing is left of them, nginx may still serve them.
    if changed.yes() || draft.facts.has_account(&sites[0].user) {
        draft.plan.steps.insert(at, crate::engine::plan::Step { name: NGINX_TEST.into(), action: Action::TestNginx });
        draft.plan.step(RELOAD, Action::ReloadNginx);
    }
    Ok(())
}

/// Versions the account may have a pool of: those installed now, and those whose configuration is still there.
fn versions(user: &LinuxUser, facts: Facts<'_>) -> Result<BTreeSet<PhpVersion>, PlanError> {
    let mut versions: BTreeSet<PhpVersion> = facts.pools_of(user).map(|pool| pool.version).collect();
    for version in facts.php_versions()? {
        if facts.entry(&paths::php_config(user, version))? != Entry::Absent {
            versions.insert(version);
        }
    }
    Ok(versions)
}

/// The socket takes along a master that a request has started meanwhile, and is waited for until that one has ended too. The master goes
/// first, so that both come back if this is undone.
pub(super) fn no_pool(draft: &mut Draft<'_>, user: &LinuxUser, version: PhpVersion) -> Result<(), PlanError> {
    let socket = paths::php_socket_unit(user, version);
    draft.stopped(PHP, &paths::php_service_unit(user, version))?;
    draft.stopped(PHP, &socket)?;
    draft.no_file(PHP, paths::socket_wanted(&socket))?;
    draft.no_file(PHP, paths::php_config(user, version))?;
    Ok(())
}

/// No vhost includes them any more.
fn no_pool_limits(draft: &mut Draft<'_>, user: &LinuxUser) -> Result<(), PlanError> {
    let directory = Path::new(paths::NGINX_POOLS);
    if draft.facts.entry(directory)? == Entry::Absent {
        return Ok(());
    }
    for name in draft.facts.list(directory)?.into_iter().filter(|name| name.starts_with(&paths::pool_prefix(user))) {
        draft.no_file(PHP, directory.join(name))?;
    }
    Ok(())
}

/// The cell goes by one rename, however large it is; the trash is emptied beside the jobs.
fn no_cell(draft: &mut Draft<'_>, spec: &AccountSpec, generation: Generation) -> Result<(), PlanError> {
    let cell = paths::cell(&spec.user);
    if draft.facts.entry(&cell)? != Entry::Absent {
        let to = paths::trash(&spec.user, spec.uid.get(), generation);
        draft.plan.step(FOLDERS, Action::MoveAside { from: cell, to });
    }
    Ok(())
}
