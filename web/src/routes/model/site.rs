//! Sites as pages show them.

use shared::ids::{AccountId, SiteId};
use shared::jobs::{Presence, ResourceKey};
use shared::names::PhpVersion;
use shared::operation::ResourceState;

use super::drift::{drifted_of, watched_at};
use super::operation::{rows as operation_rows, standing_of};
use super::{FEED, ListQuery, at, form_key, state_counts};
use crate::app::site::{SiteCreate, SiteUpdate};
use crate::app::{Actor, AppError, FieldErrors};
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::account::account_fetch;
use crate::store::account_list::{AccountFilter, account_any, account_rows};
use crate::store::list::{Direction, Page, Paging, StateGroup};
use crate::store::operation_list::operation_list_touching;
use crate::store::server::server_fetch;
use crate::store::sftp_key::sftp_key_list;
use crate::store::site::{SiteFilter, SiteRow, SiteSort, site_counts, site_fetch, site_list, site_rows};
use crate::store::site_name::site_aliases;
use crate::views::components::choice::Choice;
use crate::views::model::{AccountRef, PersonRef, ServerRef};
use crate::views::site::{Can, DeleteModel, EditModel, ListModel, NewModel, Row, Sftp, ShowModel, SiteForm};

/// More accounts than this are found by search, not in a list that opens.
const CHOICES: i64 = 500;

/// One line of a list.
///
/// # Errors
/// The database fails.
pub async fn row(state: &AppState, actor: &Actor, site: &SiteRow) -> Result<Row, PageError> {
    let quiet = match site.state {
        ResourceState::Active | ResourceState::Suspended | ResourceState::Deleted => true,
        ResourceState::Provisioning | ResourceState::Updating | ResourceState::Deleting | ResourceState::Failed => false,
    };
    let standing = if quiet { Default::default() } else { standing_of(state, actor, site.last_operation).await? };
    let aliases = if site.aliases > 0 { site_aliases(state.db(), site.id).await? } else { Vec::new() };
    Ok(Row {
        id: site.id,
        domain: site.domain.clone(),
        aliases,
        kind: site.kind,
        state: site.state,
        account: AccountRef { id: site.account_id, user: site.linux_user.clone() },
        server: ServerRef { id: actor.is_admin().then_some(site.server_id), name: site.server_name.clone() },
        created_at: at(site.created_ms),
        waiting: standing.waiting,
        progress: standing.progress,
        failure: standing.failure,
        drifted: site.drifted,
        can: can(site),
    })
}

/// What its owner, or an admin, may do with a site now.
const fn can(site: &SiteRow) -> Can {
    let (active, suspended) = match site.presence {
        Presence::Active => (true, false),
        Presence::Suspended => (false, true),
        Presence::Deleted => (false, false),
    };
    let going = matches!(site.state, ResourceState::Deleting | ResourceState::Deleted);
    Can { edit: (active || suspended) && !going, suspend: active && !going, unsuspend: suspended && !going, delete: !going }
}

/// Lines of a list.
///
/// # Errors
/// The database fails.
pub async fn rows(state: &AppState, actor: &Actor, sites: &[SiteRow]) -> Result<Vec<Row>, PageError> {
    let mut rows = Vec::with_capacity(sites.len());
    for site in sites {
        rows.push(row(state, actor, site).await?);
    }
    Ok(rows)
}

/// The list.
///
/// # Errors
/// The database fails.
pub async fn site_list_model(state: &AppState, actor: &Actor, query: &ListQuery, live: Option<String>) -> Result<ListModel, PageError> {
    let filter = SiteFilter {
        search: query.q.clone(),
        state: StateGroup::of(&query.state),
        account: None,
        server: None,
        sort: match query.sort.as_str() {
            "account" => SiteSort::Account,
            "owner" => SiteSort::Owner,
            "server" => SiteSort::Server,
            "state" => SiteSort::State,
            "kind" => SiteSort::Php,
            "created" => SiteSort::Created,
            _ => SiteSort::Domain,
        },
        direction: query.direction(Direction::Ascending),
    };
    let counts = site_counts(state.db(), actor.visible()).await?;
    // The filters' counts tell how many there are, unless somebody searches.
    let found = if filter.search.trim().is_empty() {
        let rows = site_rows(state.db(), actor.visible(), &filter, query.paging()).await?;
        Page { rows, total: counts.of(filter.state) }
    } else {
        site_list(state.db(), actor.visible(), &filter, query.paging()).await?
    };
    Ok(ListModel {
        now: jiff::Timestamp::now(),
        listing: query.listing(paths::SITES, found.total),
        counts: state_counts(counts),
        rows: rows(state, actor, &found.rows).await?,
        can_create: can_create(state, actor).await?,
        live,
        toast: None,
    })
}

/// The sites of an account.
///
/// # Errors
/// The database fails.
pub async fn of_account(state: &AppState, actor: &Actor, account: AccountId) -> Result<Vec<Row>, PageError> {
    let filter = SiteFilter { account: Some(account), ..SiteFilter::default() };
    let found = site_rows(state.db(), actor.visible(), &filter, Paging::page(1, 200)).await?;
    rows(state, actor, &found).await
}

/// Whether there is an account to put a site in.
///
/// # Errors
/// The database fails.
pub async fn can_create(state: &AppState, actor: &Actor) -> Result<bool, PageError> {
    Ok(account_any(state.db(), actor.visible()).await?)
}

/// One site, if it may be seen.
///
/// # Errors
/// [`AppError::NotFound`], or the database fails.
pub async fn fetch(state: &AppState, actor: &Actor, id: SiteId) -> Result<SiteRow, PageError> {
    Ok(site_fetch(state.db(), actor.visible(), id).await?.ok_or(AppError::NotFound)?)
}

/// One site's page.
///
/// # Errors
/// [`AppError::NotFound`], or the database fails.
pub async fn site_show_model(state: &AppState, actor: &Actor, id: SiteId, live: Option<String>) -> Result<ShowModel, PageError> {
    let site = fetch(state, actor, id).await?;
    let account = account_fetch(state.db(), actor.visible(), site.account_id).await?.ok_or(AppError::NotFound)?;
    let server = server_fetch(state.db(), site.server_id).await?.ok_or(AppError::NotFound)?;
    let keys = sftp_key_list(state.db(), account.id).await?;
    let operations = operation_list_touching(state.db(), actor.visible(), ResourceKey::Site(id), FEED).await?;
    let owner = PersonRef { id: Some(site.owner_id), name: site.owner_name.clone() };
    Ok(ShowModel {
        now: jiff::Timestamp::now(),
        document_root: site.document_root.clone(),
        owner: actor.is_admin().then_some(owner),
        hostname: server.hostname.clone(),
        addresses: Some(server.address.clone()).filter(|address| address.parse::<std::net::IpAddr>().is_ok()).into_iter().collect(),
        sftp: Some(Sftp {
            host: sftp_host(&server.address, &server.hostname),
            port: state.config.sftp_port,
            user: account.linux_user.to_string(),
            ready: account.sftp_password.is_some() || !keys.is_empty(),
        }),
        drift: drifted_of(state, actor, ResourceKey::Site(id)).await?,
        watched_at: watched_at(&server, site.created_ms),
        operations: operation_rows(state, actor, &operations).await?,
        site: row(state, actor, &site).await?,
        visit_url: state.config.site_url(&site.domain),
        live,
        toast: None,
    })
}

/// Where SFTP clients connect to.
#[must_use]
pub fn sftp_host(address: &str, hostname: &str) -> String {
    if address.is_empty() { hostname.to_owned() } else { address.to_owned() }
}

/// The form for a new site, with what was typed before.
///
/// # Errors
/// The database fails.
pub async fn site_new_model(state: &AppState, actor: &Actor, form: &SiteCreate, refused: &FieldErrors) -> Result<NewModel, PageError> {
    let accounts = account_rows(state.db(), actor.visible(), &AccountFilter::default(), Paging::page(1, CHOICES)).await?;
    let choices = accounts.iter().map(|account| {
        let note =
            if actor.is_admin() { format!("{} on {}", account.owner_name, account.server_name) } else { account.server_name.to_string() };
        Choice::new(account.linux_user.as_str(), account.linux_user.as_str()).note(note)
    });
    let choices: Vec<Choice> = choices.collect();
    let versions = newest_first(accounts.iter().flat_map(|account| account.server_php.iter().copied()));
    // The newest PHP is what most people want; whoever typed something keeps it.
    let php = if form.php.is_empty() { versions.first().map(ToString::to_string).unwrap_or_default() } else { form.php.clone() };
    Ok(NewModel {
        form: SiteForm {
            account: account_user(state, actor, &form.account).await?,
            domain: form.domain.clone(),
            aliases: form.aliases.clone(),
            document_root: form.document_root.clone(),
            php,
        },
        key: form_key(),
        errors: super::errors(refused),
        accounts: choices,
        php_versions: versions,
        preview: None,
    })
}

/// What a form calls an account, which may have been chosen by a link with its id.
async fn account_user(state: &AppState, actor: &Actor, account: &str) -> Result<String, PageError> {
    let Ok(id) = account.parse() else { return Ok(account.to_owned()) };
    Ok(account_fetch(state.db(), actor.visible(), id).await?.map(|account| account.linux_user.to_string()).unwrap_or_default())
}

/// Versions once each, newest first.
pub fn newest_first(versions: impl IntoIterator<Item = PhpVersion>) -> Vec<PhpVersion> {
    let mut versions: Vec<PhpVersion> = versions.into_iter().collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    versions.dedup();
    versions
}

/// The form for a site's settings, with what was typed before or the settings.
///
/// # Errors
/// [`AppError::NotFound`], or the database fails.
pub async fn site_edit_model(
    state: &AppState,
    actor: &Actor,
    id: SiteId,
    typed: Option<(&SiteUpdate, &FieldErrors)>,
) -> Result<EditModel, PageError> {
    let site = fetch(state, actor, id).await?;
    let account = account_fetch(state.db(), actor.visible(), site.account_id).await?.ok_or(AppError::NotFound)?;
    let form = match typed {
        Some((form, _)) => SiteForm {
            aliases: form.aliases.clone(),
            document_root: form.document_root.clone(),
            php: form.php.clone(),
            ..SiteForm::default()
        },
        None => SiteForm {
            aliases: site_aliases(state.db(), id).await?.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            document_root: site.document_root.to_string(),
            php: site.kind.php().map_or_else(|| "static".to_owned(), |version| version.to_string()),
            ..SiteForm::default()
        },
    };
    Ok(EditModel {
        id,
        domain: site.domain.clone(),
        form,
        key: form_key(),
        errors: typed.map(|(_, refused)| super::errors(refused)).unwrap_or_default(),
        php_versions: newest_first(account.server_php.into_iter().chain(site.kind.php())),
        preview: None,
    })
}

/// The question before a site is deleted.
///
/// # Errors
/// [`AppError::NotFound`], or the database fails.
pub async fn site_delete_model(
    state: &AppState,
    actor: &Actor,
    id: SiteId,
    typed: &str,
    refused: &FieldErrors,
) -> Result<DeleteModel, PageError> {
    let site = fetch(state, actor, id).await?;
    Ok(DeleteModel {
        id,
        domain: site.domain,
        folder: format!("htdocs/{}", site.document_root.top()),
        key: form_key(),
        typed: typed.to_owned(),
        errors: super::errors(refused),
        preview: None,
    })
}
