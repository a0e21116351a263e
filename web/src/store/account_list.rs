//! Lists of accounts.

use shared::ids::UserId;
use shared::names::ServerName;
use sqlx::{AssertSqlSafe, Row};

use super::account::{AccountRow, account_from, account_select};
use super::list::{Direction, GroupCounts, Page, Paging, StateGroup, Visible, contains, state_group};
use super::{Db, StoreError};

/// How accounts are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccountSort {
    /// By Linux user.
    #[default]
    User,
    /// By owner.
    Owner,
    /// By server.
    Server,
    /// By state.
    State,
    /// By number of sites.
    Sites,
    /// By when they were asked for.
    Created,
}

/// Which accounts.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// In the Linux user or the owner's name; empty for all.
    pub search: String,
    /// In this state only.
    pub state: Option<StateGroup>,
    /// Of this owner only.
    pub owner: Option<UserId>,
    /// On this server only.
    pub server: Option<ServerName>,
    /// Sorted by.
    pub sort: AccountSort,
    /// Which way.
    pub direction: Direction,
}

macro_rules! account_where {
    () => {
        concat!(
            "WHERE ($1 = '' OR a.owner_id = $1) AND ($2 = '' OR ",
            state_group!("a.state"),
            " = $2) AND ($3 = '' OR a.owner_id = $3) AND ($4 = '' OR v.name = $4) \
         AND ($5 = '' OR LOWER(a.linux_user) LIKE $5 ESCAPE '\\' OR LOWER(u.name) LIKE $5 ESCAPE '\\')"
        )
    };
}

/// Accounts that may be seen.
///
/// # Errors
/// The database fails.
pub async fn account_list(db: &Db, visible: Visible, filter: &AccountFilter, paging: Paging) -> Result<Page<AccountRow>, StoreError> {
    let rows = account_rows(db, visible, filter, paging).await?;
    let visible = visible.owner();
    let state = filter.state.map_or("", StateGroup::as_str);
    let owner = filter.owner.map(|id| id.to_string()).unwrap_or_default();
    let server = filter.server.as_ref().map(ServerName::as_str).unwrap_or_default();
    let search = contains(&filter.search);
    let total = sqlx::query(concat!("SELECT COUNT(*) AS n ", account_from!(), account_where!()))
        .bind(&visible)
        .bind(state)
        .bind(&owner)
        .bind(server)
        .bind(&search)
        .fetch_one(db.read())
        .await?;
    Ok(Page { rows, total: total.try_get("n")? })
}

/// Accounts that may be seen, for where nobody asks how many there are.
///
/// # Errors
/// The database fails.
pub async fn account_rows(db: &Db, visible: Visible, filter: &AccountFilter, paging: Paging) -> Result<Vec<AccountRow>, StoreError> {
    let visible = visible.owner();
    let state = filter.state.map_or("", StateGroup::as_str);
    let owner = filter.owner.map(|id| id.to_string()).unwrap_or_default();
    let server = filter.server.as_ref().map(ServerName::as_str).unwrap_or_default();
    let search = contains(&filter.search);
    let order = match filter.sort {
        AccountSort::User => "a.linux_user",
        AccountSort::Owner => "LOWER(u.name)",
        AccountSort::Server => "v.name",
        AccountSort::State => "a.state",
        AccountSort::Sites => "sites",
        AccountSort::Created => "a.created_ms",
    };
    let sql = format!(
        concat!(account_select!(), account_from!(), account_where!(), " ORDER BY {order} {direction}, a.id LIMIT $6 OFFSET $7"),
        order = order,
        direction = filter.direction.sql()
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(&visible)
        .bind(state)
        .bind(&owner)
        .bind(server)
        .bind(&search)
        .bind(paging.limit)
        .bind(paging.offset)
        .fetch_all(db.read())
        .await?;
    rows.iter().map(AccountRow::try_from).collect()
}

/// How many accounts of each group may be seen.
///
/// # Errors
/// The database fails.
pub async fn account_counts(db: &Db, visible: Visible) -> Result<GroupCounts, StoreError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        state_group!("a.state"),
        " AS state_group, COUNT(*) AS n FROM accounts a WHERE ($1 = '' OR a.owner_id = $1) GROUP BY state_group"
    ))
    .bind(visible.owner())
    .fetch_all(db.read())
    .await?;
    GroupCounts::of_rows(&rows)
}

/// Whether any account may be seen.
///
/// # Errors
/// The database fails.
pub async fn account_any(db: &Db, visible: Visible) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 AS one FROM accounts a WHERE ($1 = '' OR a.owner_id = $1) LIMIT 1")
        .bind(visible.owner())
        .fetch_optional(db.read())
        .await?;
    Ok(row.is_some())
}
