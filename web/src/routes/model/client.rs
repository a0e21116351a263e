//! Clients as pages show them. For admins.

use shared::ids::UserId;

use super::account::matching;
use super::operation::newest;
use super::{FEED, ListQuery, at, count};
use crate::app::client::{ClientCreate, person_fetch};
use crate::app::{Actor, FieldErrors};
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::account_list::AccountFilter;
use crate::store::list::{Direction, Paging};
use crate::store::operation_list::OperationFilter;
use crate::store::user::{ClientFilter, ClientRow, ClientSort, UserRole, UserRow, UserState, client_counts, client_list};
use crate::views::client::{Can, ClientForm, Counts, DeleteModel, ListModel, NewModel, OneTimePassword, Row, ShowModel};
use crate::views::layout::Audience;

fn row(actor: &Actor, client: &ClientRow) -> Row {
    let user = &client.user;
    let suspended = user.state == UserState::Suspended;
    let is_client = user.role == UserRole::Client && user.id != actor.user;
    Row {
        id: user.id,
        name: user.name.clone(),
        login: user.login.to_string(),
        audience: match user.role {
            UserRole::Admin => Audience::Admin,
            UserRole::Client => Audience::Client,
        },
        suspended,
        accounts: count(client.accounts),
        sites: count(client.sites),
        seen_at: client.seen_ms.map(at),
        can: Can {
            suspend: is_client && !suspended,
            unsuspend: is_client && suspended,
            reset_password: is_client,
            delete: is_client && client.accounts == 0,
        },
    }
}

/// The list.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, or the database fails.
pub async fn client_list_model(state: &AppState, actor: &Actor, query: &ListQuery, live: Option<String>) -> Result<ListModel, PageError> {
    actor.require_admin()?;
    let filter = ClientFilter {
        search: query.q.clone(),
        state: query.state.parse().ok(),
        sort: match query.sort.as_str() {
            "created" => ClientSort::Created,
            "accounts" => ClientSort::Accounts,
            _ => ClientSort::Name,
        },
        direction: query.direction(Direction::Ascending),
    };
    let found = client_list(state.db(), &filter, query.paging()).await?;
    let (active, suspended) = client_counts(state.db()).await?;
    Ok(ListModel {
        now: jiff::Timestamp::now(),
        listing: query.listing(paths::CLIENTS, found.total),
        counts: Counts { all: count(active + suspended), active: count(active), suspended: count(suspended) },
        rows: found.rows.iter().map(|client| row(actor, client)).collect(),
        live,
        toast: None,
    })
}

/// One client's page.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, [`crate::app::AppError::NotFound`], or the database fails.
pub async fn client_show_model(
    state: &AppState,
    actor: &Actor,
    id: UserId,
    new_password: Option<OneTimePassword>,
) -> Result<ShowModel, PageError> {
    let user = person_fetch(&state.app, actor, id).await?;
    let accounts = matching(state, actor, &AccountFilter { owner: Some(id), ..AccountFilter::default() }).await?;
    let found = counted(state, &user).await?;
    let sites = i64::try_from(accounts.iter().map(|account| account.sites).sum::<u64>()).unwrap_or(0);
    let client =
        found.unwrap_or(ClientRow { user: user.clone(), accounts: i64::try_from(accounts.len()).unwrap_or(0), sites, seen_ms: None });
    let operations = newest(state, actor, OperationFilter { owner: Some(id), ..OperationFilter::default() }, FEED).await?;
    Ok(ShowModel {
        now: jiff::Timestamp::now(),
        client: row(actor, &client),
        created_at: at(user.created_ms),
        new_password,
        accounts,
        can_create_account: user.role == UserRole::Client && user.state == UserState::Active,
        operations,
        toast: None,
    })
}

/// Somebody with how many accounts and sites they have.
///
/// # Errors
/// The database fails.
pub(super) async fn counted(state: &AppState, user: &UserRow) -> Result<Option<ClientRow>, PageError> {
    let filter = ClientFilter { search: user.login.to_string(), ..ClientFilter::default() };
    Ok(client_list(state.db(), &filter, Paging::page(1, 500)).await?.rows.into_iter().find(|row| row.user.id == user.id))
}

/// The form for a new client, with what was typed before.
#[must_use]
pub fn client_new_model(form: &ClientCreate, refused: &FieldErrors) -> NewModel {
    NewModel {
        form: ClientForm { name: form.name.clone(), login: form.login.clone(), role: form.role.clone() },
        errors: super::errors(refused),
    }
}

/// The question before a client is deleted.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, [`crate::app::AppError::NotFound`], or the database fails.
pub async fn client_delete_model(
    state: &AppState,
    actor: &Actor,
    id: UserId,
    typed: &str,
    refused: &FieldErrors,
) -> Result<DeleteModel, PageError> {
    let user = crate::app::client::client_fetch(&state.app, actor, id).await?;
    let accounts = matching(state, actor, &AccountFilter { owner: Some(id), ..AccountFilter::default() }).await?;
    Ok(DeleteModel {
        id,
        name: user.name,
        login: user.login.to_string(),
        accounts: accounts.len() as u64,
        typed: typed.to_owned(),
        errors: super::errors(refused),
    })
}
