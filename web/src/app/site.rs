//! Making and changing sites.

use serde::Deserialize;
use shared::ids::{AccountId, SiteId};
use shared::jobs::{Presence, ResourceKey, SiteKind};
use shared::names::{DocumentRoot, DomainName, LinuxUser, SiteName};
use shared::operation::{EverApplied, ResourceEvent, ResourceState};

use super::desired::{account_presence, needs_account, site_job};
use super::pool::{pool_release, pool_want};
use super::preview::{Preview, preview_of};
use super::site_rules::{check_reserved, claim_all, names_error, parse_aliases, parse_kind};
use super::unit::{Asked, Open, Place, Unit, finish, once, settle};
use super::{Actor, App, AppError, FieldErrors, Requested};
use crate::store::account::{AccountRow, account_fetch_by_user, account_lock_in_tx};
use crate::store::operation::OperationKind;
use crate::store::site::{
    NewSite, SiteChange, SiteRow, site_account_in_tx, site_insert_in_tx, site_list_of_account_in_tx, site_update_in_tx,
};
use crate::store::site_name::{domain_claims_release_in_tx, site_aliases_in_tx, site_names_replace_in_tx};

/// The form for a new site, as typed.
#[derive(Debug, Clone, Default, Hash, Deserialize)]
#[serde(default)]
pub struct SiteCreate {
    /// The account's Linux user, or its id.
    pub account: String,
    /// The primary domain.
    pub domain: String,
    /// Further names, one a line.
    pub aliases: String,
    /// The folder below `htdocs`; empty is the domain.
    pub document_root: String,
    /// A PHP version, or `static` or nothing.
    pub php: String,
    /// The form's key.
    pub key: Option<String>,
}

/// The form for a site's settings, as typed.
#[derive(Debug, Clone, Default, Hash, Deserialize)]
#[serde(default)]
pub struct SiteUpdate {
    /// Further names, one a line.
    pub aliases: String,
    /// The folder below `htdocs`; empty is the domain.
    pub document_root: String,
    /// A PHP version, or `static` or nothing.
    pub php: String,
    /// The form's key.
    pub key: Option<String>,
}

/// Asks for a new site.
///
/// # Errors
/// [`AppError::Invalid`] on `account`, `domain`, `aliases`, `document_root` or `php`.
pub async fn site_create(app: &App, actor: &Actor, form: &SiteCreate) -> Result<Requested, AppError> {
    settle(app, actor, once(form.key.as_deref(), form).as_deref(), finish(create_open(app, actor, form).await).await).await
}

/// Which account is meant by what a form says: a Linux user, or an id.
async fn account_named(app: &App, actor: &Actor, text: &str) -> Result<Option<AccountId>, AppError> {
    if let Ok(id) = text.trim().parse() {
        return Ok(Some(id));
    }
    let Ok(user) = text.trim().parse::<LinuxUser>() else { return Ok(None) };
    Ok(account_fetch_by_user(&app.db, actor.visible(), &user).await?.map(|account| account.id))
}

/// What a new site would change on its server.
///
/// # Errors
/// As [`site_create`].
pub async fn site_create_preview(app: &App, actor: &Actor, form: &SiteCreate) -> Result<Preview, AppError> {
    let form = SiteCreate { key: None, ..form.clone() };
    preview_of(app, create_open(app, actor, &form).await).await
}

/// The request, not committed.
async fn create_open<'a>(app: &'a App, actor: &'a Actor, form: &SiteCreate) -> Result<(Unit<'a>, Open), AppError> {
    let mut errors = FieldErrors::new();
    let id =
        errors.take("account", account_named(app, actor, &form.account).await?.ok_or("There is no such account. Choose one of the list."));
    let domain = errors.take("domain", form.domain.parse::<DomainName>());
    let aliases = parse_aliases(&form.aliases, domain.as_ref(), &mut errors);
    let root = parse_root(&form.document_root, domain.as_ref(), &mut errors);
    errors.check()?;
    let (Some(id), Some(domain), Some(root)) = (id, domain, root) else { return Err(AppError::Invalid(errors)) };
    check_reserved(app, actor, Some(&domain), &aliases).await?;

    let mut unit = Unit::begin(app, actor).await?;
    let account = account_lock_in_tx(&mut unit.tx, actor.visible(), id).await?;
    let account = account.ok_or_else(|| AppError::invalid("account", "Choose an account."))?;
    takes_sites(&account)?;
    let kind = parse_kind(&account, &form.php, None)?;
    let site = SiteId::new();
    let key = once(form.key.as_deref(), form);
    let asked = Asked { kind: OperationKind::SiteCreate, resource: ResourceKey::Site(site), subject: domain.as_str(), key: key.as_deref() };
    let mut open = unit.operation(Place::from(&account), asked).await?;
    site_create_in(&mut unit, &mut open, &account, Wanted { id: site, domain, aliases, root, kind }).await?;
    Ok((unit, open))
}

/// A site to be made, checked.
pub(super) struct Wanted {
    pub(super) id: SiteId,
    pub(super) domain: DomainName,
    pub(super) aliases: Vec<SiteName>,
    pub(super) root: DocumentRoot,
    pub(super) kind: SiteKind,
}

/// Claims a site's names, makes it, and queues its jobs.
pub(super) async fn site_create_in(unit: &mut Unit<'_>, open: &mut Open, account: &AccountRow, wanted: Wanted) -> Result<(), AppError> {
    let Wanted { id, domain, aliases, root, kind } = wanted;
    claim_all(&mut unit.tx, account, &domain, &aliases).await?;
    let new = NewSite { id, account: account.id, domain: domain.clone(), document_root: root, kind, operation: open.id };
    site_insert_in_tx(&mut unit.tx, &new).await?;
    site_names_replace_in_tx(&mut unit.tx, id, &domain, &aliases).await.map_err(|error| names_error(error, &domain))?;
    let mut requires = vec![needs_account(account)];
    if let Some(version) = kind.php() {
        requires.push(pool_want(unit, open, account, version).await?);
    }
    let row = sites_of(unit, account).await?.into_iter().find(|row| row.id == id).ok_or(AppError::NotFound)?;
    unit.job(open, &site_job(account, &row, aliases, requires)).await
}

/// Asks for other settings of a site. What serves goes on until the new ones are proved to work.
///
/// # Errors
/// [`AppError::Invalid`] on `aliases`, `document_root` or `php`; [`AppError::Conflict`] if it is being deleted.
pub async fn site_update(app: &App, actor: &Actor, id: SiteId, form: &SiteUpdate) -> Result<Requested, AppError> {
    settle(
        app,
        actor,
        once(form.key.as_deref(), form).as_deref(),
        finish(update_open(app, actor, id, form, OperationKind::SiteUpdate).await).await,
    )
    .await
}

/// What other settings would change on the site's server.
///
/// # Errors
/// As [`site_update`].
pub async fn site_update_preview(app: &App, actor: &Actor, id: SiteId, form: &SiteUpdate) -> Result<Preview, AppError> {
    let form = SiteUpdate { key: None, ..form.clone() };
    preview_of(app, update_open(app, actor, id, &form, OperationKind::SiteUpdate).await).await
}

/// The request, not committed.
pub(super) async fn update_open<'a>(
    app: &'a App,
    actor: &'a Actor,
    id: SiteId,
    form: &SiteUpdate,
    kind_asked: OperationKind,
) -> Result<(Unit<'a>, Open), AppError> {
    // Outside the transaction: nothing inside one waits for a second connection.
    check_reserved(app, actor, None, &parse_aliases(&form.aliases, None, &mut FieldErrors::new())).await?;
    let mut unit = Unit::begin(app, actor).await?;
    let (account, site, sites) = site_for_change(&mut unit, actor, id).await?;
    let state = change_state(&site)?;
    let mut errors = FieldErrors::new();
    let aliases = parse_aliases(&form.aliases, Some(&site.domain), &mut errors);
    let root = parse_root(&form.document_root, Some(&site.domain), &mut errors);
    errors.check()?;
    let Some(root) = root else { return Err(AppError::Invalid(errors)) };
    let old = site.kind.php();
    let kind = parse_kind(&account, &form.php, old)?;

    let key = once(form.key.as_deref(), form);
    let asked = Asked { kind: kind_asked, resource: ResourceKey::Site(id), subject: site.domain.as_str(), key: key.as_deref() };
    let mut open = unit.operation(Place::from(&account), asked).await?;
    claim_all(&mut unit.tx, &account, &site.domain, &aliases).await?;
    site_names_replace_in_tx(&mut unit.tx, id, &site.domain, &aliases).await.map_err(|error| names_error(error, &site.domain))?;
    domain_claims_release_in_tx(&mut unit.tx, account.id).await?;

    let mut requires = vec![needs_account(&account)];
    if let Some(version) = kind.php() {
        requires.push(pool_want(&mut unit, &mut open, &account, version).await?);
    }
    let generation = site.generation.next();
    let site = SiteRow { document_root: root, kind, generation, state, last_operation: open.id, ..site };
    write(&mut unit, &site).await?;
    unit.job(&mut open, &site_job(&account, &site, aliases, requires)).await?;
    if let Some(old) = old.filter(|old| kind.php() != Some(*old)) {
        pool_release(&mut unit, &mut open, &account, old, &sites, (id, generation)).await?;
    }
    Ok((unit, open))
}

/// The document root as typed; empty is the domain's own folder.
fn parse_root(text: &str, domain: Option<&DomainName>, errors: &mut FieldErrors) -> Option<DocumentRoot> {
    let text = text.trim();
    let text = if text.is_empty() { domain?.as_str() } else { text };
    errors.take("document_root", text.parse::<DocumentRoot>())
}

/// Whether an account can get a site now.
fn takes_sites(account: &AccountRow) -> Result<(), AppError> {
    let refused = |message: &str| Err(AppError::invalid("account", message));
    match account_presence(account) {
        Presence::Deleted => refused("This account is being deleted."),
        Presence::Suspended => refused("This account is suspended."),
        Presence::Active if account.state == ResourceState::Failed && account.ever_applied() == EverApplied::No => {
            refused("This account could not be set up yet. Retry that first.")
        }
        Presence::Active => Ok(()),
    }
}

/// A site and its account, locked, with the account's other sites.
pub(super) async fn site_for_change(
    unit: &mut Unit<'_>,
    actor: &Actor,
    id: SiteId,
) -> Result<(AccountRow, SiteRow, Vec<SiteRow>), AppError> {
    let account = site_account_in_tx(&mut unit.tx, actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    let account = account_lock_in_tx(&mut unit.tx, actor.visible(), account).await?.ok_or(AppError::NotFound)?;
    let sites = sites_of(unit, &account).await?;
    let site = sites.iter().find(|site| site.id == id).cloned().ok_or(AppError::NotFound)?;
    Ok((account, site, sites))
}

async fn sites_of(unit: &mut Unit<'_>, account: &AccountRow) -> Result<Vec<SiteRow>, AppError> {
    Ok(site_list_of_account_in_tx(&mut unit.tx, account.id).await?)
}

/// The state of a site that is asked to change, unless it is on its way out.
pub(super) fn change_state(site: &SiteRow) -> Result<ResourceState, AppError> {
    let gone = || AppError::conflict("This site is being deleted.");
    if site.presence == Presence::Deleted {
        return Err(gone());
    }
    site.state.advance(ResourceEvent::ChangeRequested, site.ever_applied()).map_err(|_| gone())
}

/// Writes a site whose names are as they were, and queues its job behind what it needs.
pub(super) async fn send(unit: &mut Unit<'_>, open: &mut Open, account: &AccountRow, site: &SiteRow) -> Result<(), AppError> {
    let mut requires = vec![needs_account(account)];
    if let Some(version) = site.kind.php() {
        requires.push(pool_want(unit, open, account, version).await?);
    }
    write(unit, site).await?;
    let aliases = site_aliases_in_tx(&mut unit.tx, site.id).await?;
    unit.job(open, &site_job(account, site, aliases, requires)).await
}

/// Writes a site as it now is.
pub(super) async fn write(unit: &mut Unit<'_>, site: &SiteRow) -> Result<(), AppError> {
    let change = SiteChange {
        document_root: &site.document_root,
        kind: site.kind,
        presence: site.presence,
        state: site.state,
        generation: site.generation,
        operation: site.last_operation,
    };
    Ok(site_update_in_tx(&mut unit.tx, site.id, &change).await?)
}
