//! Accounts as pages show them.

use shared::ids::AccountId;
use shared::jobs::{PoolPresence, Presence, ResourceKey};
use shared::names::PhpVersion;
use shared::operation::ResourceState;

use super::drift::drifted_of_account;
use super::operation::{newest, standing_of};
use super::server::word as server_word;
use super::sftp::key_row;
use super::site::{newest_first, of_account, sftp_host};
use super::{FEED, ListQuery, at, count, form_key, server, state_counts};
use crate::app::account::{AccountCreate, LimitsForm};
use crate::app::php::PhpForm;
use crate::app::{Actor, AppError, FieldErrors};
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::account::{AccountRow, account_fetch};
use crate::store::account_list::{AccountFilter, AccountSort, account_counts, account_list, account_rows};
use crate::store::fleet::fleet_php_versions;
use crate::store::list::{Direction, Page, Paging, StateGroup};
use crate::store::operation_list::{OperationFilter, operation_list_of_resource};
use crate::store::php_pool::{PhpPoolRow, php_pool_list};
use crate::store::placement::placement_list;
use crate::store::server::server_fetch;
use crate::store::sftp_key::sftp_key_list;
use crate::store::user::{ClientFilter, UserRole, UserState, client_list, user_fetch};
use crate::views::account::{
    AccountForm, DeleteModel, LimitsForm as LimitsFields, LimitsModel, ListModel, NewModel, PhpForm as PhpFields, PhpModel, PoolRow, Row,
    SftpModel, ShowModel,
};
use crate::views::components::choice::Choice;
use crate::views::model::{PersonRef, ServerRef};
use crate::views::site::{Can, Row as SiteLine};

/// One line of a list.
///
/// # Errors
/// The database fails.
pub async fn row(state: &AppState, actor: &Actor, account: &AccountRow) -> Result<Row, PageError> {
    let quiet = match account.state {
        ResourceState::Active | ResourceState::Suspended | ResourceState::Deleted => true,
        ResourceState::Provisioning | ResourceState::Updating | ResourceState::Deleting | ResourceState::Failed => false,
    };
    let standing = if quiet { Default::default() } else { standing_of(state, actor, account.last_operation).await? };
    Ok(Row {
        id: account.id,
        user: account.linux_user.clone(),
        state: account.state,
        owner: PersonRef { id: actor.is_admin().then_some(account.owner_id), name: account.owner_name.clone() },
        server: ServerRef { id: actor.is_admin().then_some(account.server_id), name: account.server_name.clone() },
        sites: count(account.sites),
        created_at: at(account.created_ms),
        waiting: standing.waiting,
        progress: standing.progress,
        failure: standing.failure,
        drifted: account.drifted,
        can: can(actor, account),
    })
}

/// Limits, suspension and deletion are for admins.
const fn can(actor: &Actor, account: &AccountRow) -> Can {
    let (active, suspended) = match account.presence {
        Presence::Active => (true, false),
        Presence::Suspended => (false, true),
        Presence::Deleted => (false, false),
    };
    let may = actor.is_admin() && !matches!(account.state, ResourceState::Deleting | ResourceState::Deleted);
    Can { edit: may && (active || suspended), suspend: may && active, unsuspend: may && suspended, delete: may }
}

/// Lines of a list.
///
/// # Errors
/// The database fails.
pub async fn rows(state: &AppState, actor: &Actor, accounts: &[AccountRow]) -> Result<Vec<Row>, PageError> {
    let mut rows = Vec::with_capacity(accounts.len());
    for account in accounts {
        rows.push(row(state, actor, account).await?);
    }
    Ok(rows)
}

/// The list.
///
/// # Errors
/// The database fails.
pub async fn account_list_model(state: &AppState, actor: &Actor, query: &ListQuery, live: Option<String>) -> Result<ListModel, PageError> {
    let filter = AccountFilter {
        search: query.q.clone(),
        state: StateGroup::of(&query.state),
        owner: None,
        server: query.server.parse().ok(),
        sort: match query.sort.as_str() {
            "owner" => AccountSort::Owner,
            "server" => AccountSort::Server,
            "state" => AccountSort::State,
            "sites" => AccountSort::Sites,
            "created" => AccountSort::Created,
            _ => AccountSort::User,
        },
        direction: query.direction(Direction::Ascending),
    };
    let counts = account_counts(state.db(), actor.visible()).await?;
    // The filters' counts tell how many there are, unless something else narrows the list.
    let found = if filter.search.trim().is_empty() && filter.server.is_none() {
        let rows = account_rows(state.db(), actor.visible(), &filter, query.paging()).await?;
        Page { rows, total: counts.of(filter.state) }
    } else {
        account_list(state.db(), actor.visible(), &filter, query.paging()).await?
    };
    Ok(ListModel {
        now: jiff::Timestamp::now(),
        listing: query.listing(paths::ACCOUNTS, found.total),
        counts: state_counts(counts),
        rows: rows(state, actor, &found.rows).await?,
        servers: server::choices(state, actor).await?,
        can_create: actor.is_admin(),
        live,
        toast: None,
    })
}

/// Accounts that match a filter, for other pages.
///
/// # Errors
/// The database fails.
pub async fn matching(state: &AppState, actor: &Actor, filter: &AccountFilter) -> Result<Vec<Row>, PageError> {
    let found = account_rows(state.db(), actor.visible(), filter, Paging::page(1, 200)).await?;
    rows(state, actor, &found).await
}

/// One account, if it may be seen.
///
/// # Errors
/// [`AppError::NotFound`], or the database fails.
pub async fn fetch(state: &AppState, actor: &Actor, id: AccountId) -> Result<AccountRow, PageError> {
    Ok(account_fetch(state.db(), actor.visible(), id).await?.ok_or(AppError::NotFound)?)
}

/// What an SFTP form brings to the page.
#[derive(Debug, Default)]
pub struct SftpTyped<'a> {
    /// A password that was just made.
    pub new_password: Option<String>,
    /// The key that was refused.
    pub key: &'a str,
    /// Why.
    pub refused: FieldErrors,
}

/// One account's page.
///
/// # Errors
/// [`AppError::NotFound`], or the database fails.
pub async fn account_show_model(
    state: &AppState,
    actor: &Actor,
    id: AccountId,
    typed: SftpTyped<'_>,
    live: Option<String>,
) -> Result<ShowModel, PageError> {
    let account = fetch(state, actor, id).await?;
    let server = server_fetch(state.db(), account.server_id).await?.ok_or(AppError::NotFound)?;
    let keys = sftp_key_list(state.db(), id).await?;
    let sites = of_account(state, actor, id).await?;
    let pools = php_pool_list(state.db(), id).await?;
    let operations = OperationFilter { account: Some(id), ..OperationFilter::default() };
    let alive = account.presence != Presence::Deleted && account.state != ResourceState::Deleting;
    Ok(ShowModel {
        now: jiff::Timestamp::now(),
        uid: actor.is_admin().then_some(account.uid.get()),
        hostname: server.hostname.clone(),
        sftp: SftpModel {
            host: sftp_host(&server.address, &server.hostname),
            port: state.config.sftp_port,
            has_password: account.sftp_password.is_some(),
            new_password: typed.new_password,
            password_key: form_key(),
            keys: keys.iter().map(|row| key_row(&row.key)).collect(),
            key: typed.key.to_owned(),
            errors: super::errors(&typed.refused),
            can_edit: alive,
        },
        pools: pools.iter().filter(|pool| pool.presence != PoolPresence::Deleted).map(|pool| pool_row(pool, &sites)).collect(),
        limits: account.limits,
        usage: Vec::new(),
        can_create_site: alive && account.presence == Presence::Active,
        drift: drifted_of_account(state, actor, id).await?,
        operations: newest(state, actor, operations, FEED).await?,
        account: row(state, actor, &account).await?,
        sites,
        preview: None,
        live,
        toast: None,
    })
}

fn pool_row(pool: &PhpPoolRow, sites: &[SiteLine]) -> PoolRow {
    let state = match (pool.applied_generation == pool.wanted_generation, pool.applied_generation.0) {
        (true, _) => ResourceState::Active,
        (false, 0) => ResourceState::Provisioning,
        (false, _) => ResourceState::Updating,
    };
    let used = sites.iter().filter(|site| site.kind.php() == Some(pool.version)).count();
    PoolRow { version: pool.version, state, sites: used as u64 }
}

/// The form for a new account, with what was typed before.
///
/// # Errors
/// [`AppError::Forbidden`] for clients, or the database fails.
pub async fn account_new_model(
    state: &AppState,
    actor: &Actor,
    form: &AccountCreate,
    refused: &FieldErrors,
) -> Result<NewModel, PageError> {
    actor.require_admin()?;
    let clients =
        client_list(state.db(), &ClientFilter { state: Some(UserState::Active), ..ClientFilter::default() }, Paging::page(1, 500)).await?;
    let owners = clients.rows.iter().filter(|client| client.user.role == UserRole::Client);
    let owners = owners.map(|client| Choice::new(client.user.login.as_str(), client.user.name.clone()).note(client.user.login.as_str()));
    let servers = placement_list(state.db()).await?.into_iter().filter(|server| server.active && server.enrolled && server.has_room());
    let servers = servers.map(|server| {
        let most = server.max_accounts.map_or_else(|| "no limit".to_owned(), |most| format!("of {most}"));
        let online = if server.online { "" } else { ", offline" };
        Choice::new(server.id.to_string(), server_word(&server.name, &server.label))
            .note(format!("{} accounts, {most}{online}", server.accounts))
    });
    Ok(NewModel {
        form: AccountForm {
            owner: owner_login(state, &form.owner).await?,
            user: form.user.clone(),
            server: form.server.clone(),
            domain: form.domain.clone(),
            php: form.php.clone(),
            limits: limits_fields(&form.limits),
        },
        key: form_key(),
        errors: super::errors(refused),
        owners: owners.collect(),
        servers: servers.collect(),
        php_versions: newest_first(fleet_php_versions(state.db()).await?),
        preview: None,
    })
}

/// What a form calls a client, who may have been chosen by a link with their id.
async fn owner_login(state: &AppState, owner: &str) -> Result<String, PageError> {
    let Ok(id) = owner.parse() else { return Ok(owner.to_owned()) };
    Ok(user_fetch(state.db(), id).await?.map(|user| user.login.to_string()).unwrap_or_default())
}

fn limits_fields(form: &LimitsForm) -> LimitsFields {
    LimitsFields { cpu_percent: form.cpu_percent.clone(), memory_mib: form.memory_mib.clone(), tasks: form.tasks.clone() }
}

/// The form for limits, with what was typed before or the limits.
///
/// # Errors
/// [`AppError::Forbidden`] for clients, [`AppError::NotFound`], or the database fails.
pub async fn account_limits_model(
    state: &AppState,
    actor: &Actor,
    id: AccountId,
    typed: Option<(&LimitsForm, &FieldErrors)>,
) -> Result<LimitsModel, PageError> {
    actor.require_admin()?;
    let account = fetch(state, actor, id).await?;
    let text = |limit: Option<u32>| limit.map(|limit| limit.to_string()).unwrap_or_default();
    let form = match typed {
        Some((form, _)) => limits_fields(form),
        None => LimitsFields {
            cpu_percent: text(account.limits.cpu_percent),
            memory_mib: text(account.limits.memory_mib),
            tasks: text(account.limits.tasks),
        },
    };
    Ok(LimitsModel {
        id,
        user: account.linux_user,
        form,
        errors: typed.map(|(_, refused)| super::errors(refused)).unwrap_or_default(),
        preview: None,
    })
}

/// The question before an account is deleted.
///
/// # Errors
/// [`AppError::Forbidden`] for clients, [`AppError::NotFound`], or the database fails.
pub async fn account_delete_model(
    state: &AppState,
    actor: &Actor,
    id: AccountId,
    typed: &str,
    refused: &FieldErrors,
) -> Result<DeleteModel, PageError> {
    actor.require_admin()?;
    let account = fetch(state, actor, id).await?;
    Ok(DeleteModel {
        id,
        user: account.linux_user,
        sites: count(account.sites),
        key: form_key(),
        typed: typed.to_owned(),
        errors: super::errors(refused),
        preview: None,
    })
}

/// The form for PHP settings, with what was typed before or the settings.
///
/// # Errors
/// [`AppError::NotFound`] if no site of the account uses the version, or the database fails.
pub async fn account_php_model(
    state: &AppState,
    actor: &Actor,
    id: AccountId,
    version: PhpVersion,
    typed: Option<(&PhpForm, &FieldErrors)>,
) -> Result<PhpModel, PageError> {
    let account = fetch(state, actor, id).await?;
    let pools = php_pool_list(state.db(), id).await?;
    let pool = pools.into_iter().find(|pool| pool.version == version && pool.presence != PoolPresence::Deleted);
    let pool = pool.ok_or(AppError::NotFound)?;
    let sites = of_account(state, actor, id).await?;
    let newest = operation_list_of_resource(state.db(), actor.visible(), ResourceKey::PhpPool(pool.id), 1).await?;
    let failure = match newest.first() {
        Some(operation) => super::operation::standing(state, actor, operation).await?.failure,
        None => None,
    };
    let form = typed.map_or_else(|| PhpForm::of(&pool.settings), |(form, _)| form.clone());
    Ok(PhpModel {
        id,
        user: account.linux_user,
        version,
        sites: sites.into_iter().filter(|site| site.kind.php() == Some(version)).map(|site| site.domain).collect(),
        form: php_fields(form),
        key: form_key(),
        errors: typed.map(|(_, refused)| super::errors(refused)).unwrap_or_default(),
        failure,
        preview: None,
    })
}

fn php_fields(form: PhpForm) -> PhpFields {
    PhpFields {
        memory_limit_mib: form.memory_limit_mib,
        max_execution_time_s: form.max_execution_time_s,
        max_input_time_s: form.max_input_time_s,
        max_input_vars: form.max_input_vars,
        post_max_size_mib: form.post_max_size_mib,
        upload_max_filesize_mib: form.upload_max_filesize_mib,
        pm: form.pm,
        max_children: form.max_children,
        max_requests: form.max_requests,
        idle_timeout_s: form.idle_timeout_s,
        start_servers: form.start_servers,
        min_spare: form.min_spare,
        max_spare: form.max_spare,
    }
}
