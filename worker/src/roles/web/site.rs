//! Plans a site: its document root and its vhost.
//!
//! Deleting a site takes its vhost away and keeps the tenant's files; only a folder that still holds nothing but our
//! placeholder goes with it. The account's deletion removes everything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use shared::jobs::{Generation, Presence, ResourceKey, SiteKind, SiteSpec};
use shared::names::{DomainName, SiteName};

use super::account::web_logs;
use super::draft::Draft;
use super::php_pool::nginx_pool;
use super::{nginx, pages, paths, web_uid};
use crate::engine::facts::Facts;
use crate::engine::image::{Acl, Content, DirectoryImage, Entry, FileImage, Owner, WebRights};
use crate::engine::plan::{Action, Expect, Plan};
use crate::roles::PlanError;

const STATIC_INDEX: &str = "index.html";
const PHP_INDEX: &str = "index.php";
const FOLDERS: &str = "Folders";
const TEST: &str = "nginx test";
const VHOST: &str = "Site";
const RELOAD: &str = "Reload";
const PROBE: &str = "Test request";

/// Plans a site.
///
/// # Errors
/// A name is taken, the PHP version is not installed, the account is not there, something lies in the way.
pub fn plan(own: ResourceKey, spec: &SiteSpec, generation: Generation, facts: Facts<'_>) -> Result<Plan, PlanError> {
    match spec.presence {
        Presence::Active | Presence::Suspended => present(own, spec, generation, facts),
        Presence::Deleted => absent(own, spec, facts),
    }
}

fn present(own: ResourceKey, spec: &SiteSpec, generation: Generation, facts: Facts<'_>) -> Result<Plan, PlanError> {
    check_names(own, spec, facts)?;
    if facts.user(spec.user.as_str())?.is_none_or(|user| user.uid != spec.uid.get()) {
        return Err(PlanError::Missing(format!("account {}", spec.user)));
    }
    if let Some(version) = spec.kind.php()
        && spec.presence == Presence::Active
        && !facts.php_versions()?.contains(&version)
    {
        return Err(PlanError::PhpMissing(version));
    }
    let mut draft = Draft::new(facts);
    // Before the test, which opens them.
    web_logs(&mut draft, FOLDERS, &spec.user, spec.uid.get())?;
    pool_limits(&mut draft, spec)?;
    let file = vhost_file(spec, generation, facts.has_ipv6())?;
    let link = (enabled(&spec.domain), link_target(&spec.domain));
    let is_proved = facts.proved_of(&spec.user).any(|(key, at, _)| key == own && at == generation);
    if is_proved && facts.holds_file(&file)? && facts.holds_link(&link.0, &link.1)? {
        folders(&mut draft, spec)?;
        no_limits_of_a_pool_that_is_gone(&mut draft, own, spec)?;
        return Ok(draft.plan);
    }
    check_foreign_file(spec, facts)?;
    go_live(&mut draft, own, spec, generation, |draft| {
        folders(draft, spec)?;
        // The file first: a link to nothing would break nginx.
        draft.file(VHOST, file)?;
        draft.link(VHOST, link.0, link.1)?;
        Ok(())
    })?;
    no_limits_of_a_pool_that_is_gone(&mut draft, own, spec)?;
    Ok(draft.plan)
}

/// What the vhost includes is the pool's own; a vhost must not break nginx where the pool has not written it yet.
fn pool_limits(draft: &mut Draft<'_>, spec: &SiteSpec) -> Result<(), PlanError> {
    let (Presence::Active, Some(version)) = (spec.presence, spec.kind.php()) else { return Ok(()) };
    let pool = draft.facts.pools_of(&spec.user).find(|pool| pool.version == version);
    let settings = pool.map(|pool| pool.settings.clone()).unwrap_or_default();
    draft.some_file(FOLDERS, nginx_pool(&spec.user, version, &settings))?;
    Ok(())
}

/// What only this site's vhost has included of a pool that is gone goes with the vhost: where jobs come late and out of order, the pool
/// was deleted before the site, or the site was made after it.
fn no_limits_of_a_pool_that_is_gone(draft: &mut Draft<'_>, own: ResourceKey, spec: &SiteSpec) -> Result<(), PlanError> {
    let facts = draft.facts;
    let php = |site: &SiteSpec| site.kind.php().filter(|_| site.presence == Presence::Active);
    let before = facts.sites_of(&spec.user).filter(|(key, ..)| *key == own).find_map(|(_, _, site)| site.kind.php());
    for version in BTreeSet::from_iter(before.into_iter().chain(spec.kind.php())) {
        let others = facts.sites_of(&spec.user).any(|(key, _, site)| key != own && php(site) == Some(version));
        let path = paths::nginx_pool(&spec.user, version);
        let is_needed = others || php(spec) == Some(version);
        if !is_needed && facts.entry(&path)? != Entry::Absent && facts.pool_is_gone(&spec.user, version) {
            draft.no_file(VHOST, path)?;
        }
    }
    Ok(())
}

/// Test, change, reload, prove; and the neighbour serves as before.
fn go_live<'a>(
    draft: &mut Draft<'a>,
    own: ResourceKey,
    spec: &SiteSpec,
    generation: Generation,
    change: impl FnOnce(&mut Draft<'a>) -> Result<(), PlanError>,
) -> Result<(), PlanError> {
    let neighbour = draft.facts.neighbour().cloned();
    if let Some(domain) = neighbour.clone() {
        draft.plan.step(TEST, Action::RememberNeighbour { domain });
    }
    draft.plan.step(TEST, Action::TestNginx);
    change(draft)?;
    draft.plan.step(RELOAD, Action::ReloadNginx);
    let expect = match (spec.presence, spec.kind) {
        (Presence::Deleted, SiteKind::Static | SiteKind::Php { .. }) => Expect::Gone,
        (Presence::Active, SiteKind::Php { version }) if !was_active(own, spec, draft.facts) => {
            let service = paths::php_service_unit(&spec.user, version);
            Expect::Php { generation, uid: spec.uid.get(), service }
        }
        (Presence::Active | Presence::Suspended, SiteKind::Static | SiteKind::Php { .. }) => Expect::Serving { generation },
    };
    // The neighbour first: the site's own answer may take its tenant long.
    if let Some(domain) = neighbour {
        draft.plan.step(PROBE, Action::CompareNeighbour { domain });
    }
    draft.plan.step(PROBE, Action::Probe { domain: spec.domain.clone(), expect });
    Ok(())
}

/// Whether the site served by this very pool before: then its PHP has been proved, and the change does not concern it.
fn was_active(own: ResourceKey, spec: &SiteSpec, facts: Facts<'_>) -> bool {
    facts.sites_of(&spec.user).any(|(key, _, site)| key == own && site.presence == Presence::Active && site.kind == spec.kind)
}

/// The vhost's file.
///
/// # Errors
/// A value would change the structure.
pub fn vhost_file(spec: &SiteSpec, generation: Generation, ipv6: bool) -> Result<FileImage, PlanError> {
    let content = Content::from(nginx::vhost(spec, generation, ipv6)?);
    Ok(FileImage { path: available(&spec.domain), owner: Owner::ROOT, mode: 0o644, content })
}

fn available(domain: &DomainName) -> PathBuf {
    Path::new(paths::SITES_AVAILABLE).join(paths::vhost_name(domain))
}

fn enabled(domain: &DomainName) -> PathBuf {
    Path::new(paths::SITES_ENABLED).join(paths::vhost_name(domain))
}

fn link_target(domain: &DomainName) -> PathBuf {
    Path::new("../sites-available").join(paths::vhost_name(domain))
}

/// nginx would only warn, and the file that sorts first would win.
fn check_names(own: ResourceKey, spec: &SiteSpec, facts: Facts<'_>) -> Result<(), PlanError> {
    let mut names = vec![SiteName::from(spec.domain.clone())];
    names.extend(spec.aliases.iter().cloned());
    match facts.site_answering(own, &names) {
        Some((other, name)) => Err(PlanError::taken_by_site(name, &other.domain)),
        None => Ok(()),
    }
}

/// A vhost file of this name that somebody wrote by hand is not overwritten.
fn check_foreign_file(spec: &SiteSpec, facts: Facts<'_>) -> Result<(), PlanError> {
    let path = available(&spec.domain);
    match facts.entry(&path)? {
        Entry::Absent | Entry::Link { .. } | Entry::Directory { .. } | Entry::Other { .. } => return Ok(()),
        Entry::File { .. } => {}
    }
    if facts.content(&path)?.starts_with(nginx::MARK.as_bytes()) {
        return Ok(());
    }
    Err(PlanError::NameTaken { name: SiteName::from(spec.domain.clone()), by: path.display().to_string() })
}

/// The top of the document root is the tenant's, in a directory that is root's: he cannot swap it. What lies below is his;
/// only when the top is new, what the document root needs is made with it.
fn folders(draft: &mut Draft<'_>, spec: &SiteSpec) -> Result<(), PlanError> {
    let top = paths::document_top(&spec.user, &spec.document_root);
    let fresh = draft.facts.entry(&top)? == Entry::Absent;
    draft.directory(FOLDERS, tenant_directory(draft.facts, top.clone(), spec)?)?;
    if !fresh {
        return other_placeholder(draft, spec);
    }
    let mut path = top;
    for part in spec.document_root.below_top().into_iter().flat_map(|below| below.split('/')) {
        path = path.join(part);
        draft.directory(FOLDERS, tenant_directory(draft.facts, path.clone(), spec)?)?;
    }
    draft.some_file(FOLDERS, placeholder(spec, path))?;
    Ok(())
}

fn tenant_directory(facts: Facts<'_>, path: PathBuf, spec: &SiteSpec) -> Result<DirectoryImage, PlanError> {
    let acl = Acl::for_web_server(WebRights::Read, web_uid(facts)?);
    Ok(DirectoryImage { path, owner: Owner::tenant(spec.uid.get()), mode: 0o750, acl })
}

/// A site that becomes static, or PHP, while nothing but our placeholder lies there gets the placeholder of its new kind:
/// nginx would refuse the folder of the one, and show the source of none.
fn other_placeholder(draft: &mut Draft<'_>, spec: &SiteSpec) -> Result<(), PlanError> {
    let directory = paths::document_root(&spec.user, &spec.document_root);
    let wanted = placeholder(spec, directory.clone());
    let other = match spec.kind {
        SiteKind::Static => PHP_INDEX,
        SiteKind::Php { .. } => STATIC_INDEX,
    };
    let before = FileImage { path: directory.join(other), ..wanted.clone() };
    let facts = draft.facts;
    if holds_quietly(facts, &before) && facts.holds_one(&directory).unwrap_or(false) {
        draft.some_file(FOLDERS, wanted)?;
        draft.plan.step(FOLDERS, Action::Remove { path: before.path });
    }
    Ok(())
}

fn placeholder(spec: &SiteSpec, directory: PathBuf) -> FileImage {
    let name = match spec.kind {
        SiteKind::Static => STATIC_INDEX,
        SiteKind::Php { .. } => PHP_INDEX,
    };
    let content = Content::from(pages::placeholder(&spec.domain));
    FileImage { path: directory.join(name), owner: Owner::tenant(spec.uid.get()), mode: 0o644, content }
}

fn absent(own: ResourceKey, spec: &SiteSpec, facts: Facts<'_>) -> Result<Plan, PlanError> {
    let mut draft = Draft::new(facts);
    let (file, link) = (available(&spec.domain), enabled(&spec.domain));
    let is_applied = facts.sites_of(&spec.user).any(|(key, _, _)| key == own);
    let ours = match facts.entry(&file)? {
        // Where nothing is left of what was applied, nginx may still serve it.
        Entry::Absent => facts.holds_link(&link, &link_target(&spec.domain))? || (is_applied && facts.entry(&link)? == Entry::Absent),
        Entry::File { .. } => facts.content(&file)?.starts_with(nginx::MARK.as_bytes()),
        Entry::Directory { .. } | Entry::Link { .. } | Entry::Other { .. } => false,
    };
    if ours {
        go_live(&mut draft, own, spec, Generation::FIRST, |draft| {
            // The link first: a link to nothing would break nginx.
            draft.no_file(VHOST, link)?;
            draft.no_file(VHOST, file)?;
            Ok(())
        })?;
    }
    no_limits_of_a_pool_that_is_gone(&mut draft, own, spec)?;
    untouched_placeholder(&mut draft, own, spec)?;
    Ok(draft.plan)
}

/// Takes the document root away if it holds our placeholder and nothing else, and no other site uses it.
fn untouched_placeholder(draft: &mut Draft<'_>, own: ResourceKey, spec: &SiteSpec) -> Result<(), PlanError> {
    let facts = draft.facts;
    let shared = facts.sites_of(&spec.user).any(|(key, _, site)| key != own && site.document_root.top() == spec.document_root.top());
    let mut directories = vec![paths::document_top(&spec.user, &spec.document_root)];
    for part in spec.document_root.below_top().into_iter().flat_map(|below| below.split('/')) {
        let deeper = directories.last().map(|path| path.join(part)).unwrap_or_default();
        directories.push(deeper);
    }
    let file = placeholder(spec, directories.last().cloned().unwrap_or_default());
    if shared || !matches!(facts.entry(&directories[0])?, Entry::Directory { .. }) || !holds_quietly(facts, &file) {
        return Ok(());
    }
    // Each directory holds exactly one thing: the next, or the placeholder.
    let alone = directories.iter().all(|path| facts.holds_one(path).unwrap_or(false));
    if !alone {
        return Ok(());
    }
    draft.plan.step(FOLDERS, Action::Remove { path: file.path });
    for path in directories.into_iter().rev() {
        draft.plan.step(FOLDERS, Action::RemoveDirectory { path });
    }
    Ok(())
}

/// What a tenant has made of his folder must not keep his site from being changed or deleted.
fn holds_quietly(facts: Facts<'_>, file: &FileImage) -> bool {
    facts.holds_file(file).unwrap_or(false)
}
