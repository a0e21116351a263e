//! Plans a PHP pool: one unprivileged, socket-activated PHP-FPM master per account and version.

use std::path::PathBuf;

use shared::jobs::{Generation, Job, PhpPoolSpec, PhpSettings, PoolPresence, Presence, SiteSpec};
use shared::names::{LinuxUser, PhpVersion};

use super::account::no_pool;
use super::draft::{Changed, Draft};
use super::{nginx, paths, php_fpm};
use crate::engine::facts::Facts;
use crate::engine::image::{Content, FileImage, Owner};
use crate::engine::plan::{Action, Expect, Plan};
use crate::roles::PlanError;

const LOGS: &str = "Logs";
const TEST: &str = "PHP test";
const NGINX_TEST: &str = "nginx test";
const POOL: &str = "PHP pool";
const RELOAD: &str = "Reload";
const PROBE: &str = "Test request";

/// Plans a pool.
///
/// # Errors
/// A setting is out of range, the version is not installed, the account is not there.
pub fn plan(spec: &PhpPoolSpec, facts: Facts<'_>) -> Result<Plan, PlanError> {
    let mut draft = Draft::new(facts);
    if spec.presence == PoolPresence::Deleted {
        no_pool(&mut draft, &spec.user, spec.version)?;
        // A vhost that includes a file which is gone would break nginx for everybody.
        if active_site(spec, facts).is_none() {
            draft.no_file(POOL, paths::nginx_pool(&spec.user, spec.version))?;
        }
        return Ok(draft.plan);
    }
    spec.settings.check()?;
    if !facts.php_versions()?.contains(&spec.version) {
        return Err(PlanError::PhpMissing(spec.version));
    }
    if facts.user(spec.user.as_str())?.is_none_or(|user| user.uid != spec.uid.get()) {
        return Err(PlanError::Missing(format!("account {}", spec.user)));
    }
    if spec.presence == PoolPresence::Present {
        logs(&mut draft, spec)?;
    }
    let changed = config(&mut draft, spec)?;
    let limits = limits(&mut draft, spec)?;
    match spec.presence {
        PoolPresence::Present => serve(&mut draft, spec, changed)?,
        PoolPresence::Suspended | PoolPresence::Deleted => rest(&mut draft, spec)?,
    }
    if limits.yes() && active_site(spec, facts).is_some() {
        draft.plan.step(RELOAD, Action::ReloadNginx);
    }
    if spec.presence == PoolPresence::Present {
        prove(&mut draft, spec);
    }
    Ok(draft.plan)
}

/// The master runs as the account's user, which may not make files in `logs`. What the tenant has made of one keeps no pool from
/// being suspended, which needs none.
fn logs(draft: &mut Draft<'_>, spec: &PhpPoolSpec) -> Result<(), PlanError> {
    let path = php_fpm::log(&spec.user, spec.version);
    let owner = Owner::tenant(spec.uid.get());
    draft.some_file(LOGS, FileImage { path, owner, mode: 0o640, content: Content::from("") })?;
    Ok(())
}

fn config(draft: &mut Draft<'_>, spec: &PhpPoolSpec) -> Result<Changed, PlanError> {
    let config = php_fpm::pool(&spec.user, spec.version, &spec.settings);
    let image = FileImage {
        path: paths::php_config(&spec.user, spec.version),
        owner: Owner::root_for(spec.uid.get()),
        mode: 0o640,
        content: Content::from(config.as_str()),
    };
    let unread = unread(spec, draft.facts, |settings| php_fpm::pool(&spec.user, spec.version, settings) == config);
    if !unread.yes() && draft.facts.holds_file(&image)? {
        return Ok(Changed::No);
    }
    draft.plan.step(TEST, Action::TestPhp { version: spec.version, user: spec.user.clone(), config });
    Ok(draft.file(POOL, image)?.or(unread))
}

/// Whether what reads the host's file of the pool may not have read it yet. `same`: settings that make the same of it.
fn unread(spec: &PhpPoolSpec, facts: Facts<'_>, same: impl Fn(&PhpSettings) -> bool) -> Changed {
    let same = |pool: &PhpPoolSpec| pool.version == spec.version && same(&pool.settings);
    let read = facts.proved_of(&spec.user).any(|(_, _, job)| matches!(job, Job::PhpPool(pool) if same(pool)));
    if read { Changed::No } else { Changed::Yes }
}

/// What the pool's vhosts take over from it.
pub(super) fn nginx_pool(user: &LinuxUser, version: PhpVersion, settings: &PhpSettings) -> FileImage {
    let content = Content::from(nginx::pool(settings));
    FileImage { path: paths::nginx_pool(user, version), owner: Owner::ROOT, mode: 0o644, content }
}

fn limits(draft: &mut Draft<'_>, spec: &PhpPoolSpec) -> Result<Changed, PlanError> {
    let image = nginx_pool(&spec.user, spec.version, &spec.settings);
    let unread = unread(spec, draft.facts, |settings| nginx::pool(settings) == nginx::pool(&spec.settings));
    if (unread.yes() || !draft.facts.holds_file(&image)?) && active_site(spec, draft.facts).is_some() {
        draft.plan.step(NGINX_TEST, Action::TestNginx);
    }
    Ok(draft.file(POOL, image)?.or(unread))
}

/// A site that the pool serves, with its applied generation.
fn active_site<'a>(spec: &PhpPoolSpec, facts: Facts<'a>) -> Option<(Generation, &'a SiteSpec)> {
    let served = |site: &SiteSpec| site.kind.php() == Some(spec.version) && site.presence == Presence::Active;
    facts.sites_of(&spec.user).find(|(_, _, site)| served(site)).map(|(_, generation, site)| (generation, site))
}

fn serve(draft: &mut Draft<'_>, spec: &PhpPoolSpec, changed: Changed) -> Result<(), PlanError> {
    let socket = paths::php_socket_unit(&spec.user, spec.version);
    let template = paths::unit(&paths::php_socket_template(spec.version));
    draft.link(POOL, paths::socket_wanted(&socket), template)?;
    let started = draft.running(POOL, &socket)?;
    let service = paths::php_service_unit(&spec.user, spec.version);
    // A master that is not running reads the new file when it starts; none runs without its socket.
    if changed.yes() && !started.yes() && draft.facts.runs(&service)? {
        draft.plan.step(RELOAD, Action::ReloadUnit { unit: service });
    }
    Ok(())
}

/// A site of the pool proves that what was reloaded came back.
fn prove(draft: &mut Draft<'_>, spec: &PhpPoolSpec) {
    if !draft.plan.steps.iter().any(|step| step.name == RELOAD) {
        return;
    }
    if let Some((generation, site)) = active_site(spec, draft.facts) {
        let service = paths::php_service_unit(&spec.user, spec.version);
        let expect = Expect::Php { generation, uid: spec.uid.get(), service };
        draft.plan.step(PROBE, Action::Probe { domain: site.domain.clone(), expect });
    }
}

/// Nothing listens, everything stays. As for the order, see [`super::account::no_pool`].
fn rest(draft: &mut Draft<'_>, spec: &PhpPoolSpec) -> Result<(), PlanError> {
    let socket = paths::php_socket_unit(&spec.user, spec.version);
    draft.stopped(POOL, &paths::php_service_unit(&spec.user, spec.version))?;
    draft.stopped(POOL, &socket)?;
    let wanted: PathBuf = paths::socket_wanted(&socket);
    draft.no_file(POOL, wanted)?;
    Ok(())
}
