//! People who sign in.

use std::fmt;
use std::str::FromStr;

use shared::ids::UserId;
use shared::secret::Secret;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::list::{Direction, Page, Paging, contains};
use super::{Db, StoreError, Tx, now_ms, parse};

/// What a person may do. The stored spelling is the name in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserRole {
    /// Runs the fleet.
    Admin,
    /// Manages the accounts they own.
    Client,
}

impl UserRole {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Client => "client",
        }
    }
}

/// Whether a person may sign in. The stored spelling is the name in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserState {
    /// May.
    Active,
    /// May not, and nothing of theirs serves.
    Suspended,
}

impl UserState {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// The stored text is no role or state of a user.
#[derive(Debug, thiserror::Error)]
#[error("not a role or state of a user")]
pub struct UnknownUserWord;

impl FromStr for UserRole {
    type Err = UnknownUserWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Admin, Self::Client].into_iter().find(|role| role.as_str() == text).ok_or(UnknownUserWord)
    }
}

impl FromStr for UserState {
    type Err = UnknownUserWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Active, Self::Suspended].into_iter().find(|state| state.as_str() == text).ok_or(UnknownUserWord)
    }
}

/// What a person types to sign in: 2 to 64 of `a-z 0-9 . _ @ + -`, lower case, starting with a letter or digit. An e-mail
/// address is one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Login(String);

/// The text cannot be a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Use 2 to 64 letters, digits and . _ @ + -, starting with a letter or digit.")]
pub struct InvalidLogin;

impl Login {
    /// Gantry's own, where it does something that nobody asked for. Nobody signs in with it.
    #[must_use]
    pub fn of_gantry() -> Self {
        Self(String::new())
    }

    /// The text in its one normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Login {
    type Err = InvalidLogin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().to_ascii_lowercase();
        let plain =
            text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'@' | b'+' | b'-'));
        let starts = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        if (2..=64).contains(&text.len()) && plain && starts { Ok(Self(text)) } else { Err(InvalidLogin) }
    }
}

/// A person as stored.
#[derive(Debug, Clone)]
pub struct UserRow {
    /// Their id.
    pub id: UserId,
    /// What they type to sign in.
    pub login: Login,
    /// How pages call them.
    pub name: String,
    /// What they may do.
    pub role: UserRole,
    /// Whether they may sign in.
    pub state: UserState,
    /// The argon2id hash.
    pub password_hash: Secret<String>,
    /// Whether they see nothing before they have chosen a password.
    pub must_change_password: bool,
    /// When they were added.
    pub created_ms: i64,
}

macro_rules! user_columns {
    () => {
        "u.id, u.login, u.name, u.role, u.state, u.password_hash, u.must_change_password, u.created_ms"
    };
}

impl TryFrom<&AnyRow> for UserRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("users.id", row.try_get("id")?)?,
            login: parse("users.login", row.try_get("login")?)?,
            name: row.try_get("name")?,
            role: parse("users.role", row.try_get("role")?)?,
            state: parse("users.state", row.try_get("state")?)?,
            password_hash: Secret::new(row.try_get("password_hash")?),
            must_change_password: row.try_get::<i32, _>("must_change_password")? != 0,
            created_ms: row.try_get("created_ms")?,
        })
    }
}

/// A person to be added. They must change the password at their first sign-in.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Their id.
    pub id: UserId,
    /// What they type to sign in.
    pub login: Login,
    /// How pages call them.
    pub name: String,
    /// What they may do.
    pub role: UserRole,
    /// The argon2id hash of a password that is used once.
    pub password_hash: Secret<String>,
}

/// Adds a person.
///
/// # Errors
/// [`StoreError::Duplicate`] on `users.login`, or the database fails.
pub async fn user_insert_in_tx(tx: &mut Tx, new: &NewUser) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO users (id, login, name, role, state, password_hash, must_change_password, created_ms) \
         VALUES ($1, $2, $3, $4, 'active', $5, 1, $6)",
    )
    .bind(new.id.to_string())
    .bind(new.login.as_str())
    .bind(&new.name)
    .bind(new.role.as_str())
    .bind(new.password_hash.expose())
    .bind(now_ms())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One person.
///
/// # Errors
/// The database fails.
pub async fn user_fetch(db: &Db, id: UserId) -> Result<Option<UserRow>, StoreError> {
    let row = sqlx::query(concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = $1"))
        .bind(id.to_string())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(UserRow::try_from).transpose()
}

/// One person, locked until the transaction ends, so that what is decided about them stays true.
///
/// # Errors
/// The database fails.
pub async fn user_lock_in_tx(tx: &mut Tx, id: UserId) -> Result<Option<UserRow>, StoreError> {
    sqlx::query("UPDATE users SET state = state WHERE id = $1").bind(id.to_string()).execute(&mut **tx).await?;
    let row = sqlx::query(concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = $1"))
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(UserRow::try_from).transpose()
}

/// The person who signs in with a login.
///
/// # Errors
/// The database fails.
pub async fn user_fetch_by_login(db: &Db, login: &Login) -> Result<Option<UserRow>, StoreError> {
    let row = sqlx::query(concat!("SELECT ", user_columns!(), " FROM users u WHERE u.login = $1"))
        .bind(login.as_str())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(UserRow::try_from).transpose()
}

/// How many people have a role.
///
/// # Errors
/// The database fails.
pub async fn user_count(db: &Db, role: UserRole) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM users WHERE role = $1").bind(role.as_str()).fetch_one(db.read()).await?;
    Ok(row.try_get("n")?)
}

/// Whether the next sign-in has to choose a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordLife {
    /// The person chose it.
    Lasting,
    /// Somebody else made it, for one use.
    Once,
}

/// Sets a password.
///
/// # Errors
/// The database fails.
pub async fn user_set_password_in_tx(tx: &mut Tx, id: UserId, hash: &Secret<String>, life: PasswordLife) -> Result<(), StoreError> {
    sqlx::query("UPDATE users SET password_hash = $1, must_change_password = $2 WHERE id = $3")
        .bind(hash.expose())
        .bind(i32::from(life == PasswordLife::Once))
        .bind(id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Lets a person in, or not.
///
/// # Errors
/// The database fails.
pub async fn user_set_state_in_tx(tx: &mut Tx, id: UserId, state: UserState) -> Result<(), StoreError> {
    sqlx::query("UPDATE users SET state = $1 WHERE id = $2").bind(state.as_str()).bind(id.to_string()).execute(&mut **tx).await?;
    Ok(())
}

/// Removes a client who owns no account. False if they own one, or are no client.
///
/// # Errors
/// The database fails.
pub async fn client_delete_in_tx(tx: &mut Tx, id: UserId) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "DELETE FROM users WHERE id = $1 AND role = 'client' AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.owner_id = users.id)",
    )
    .bind(id.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How clients are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientSort {
    /// By name.
    #[default]
    Name,
    /// By when they were added.
    Created,
    /// By how many accounts they own.
    Accounts,
}

/// Which clients.
#[derive(Debug, Clone, Default)]
pub struct ClientFilter {
    /// In login or name; empty for all.
    pub search: String,
    /// In this state only.
    pub state: Option<UserState>,
    /// Sorted by.
    pub sort: ClientSort,
    /// Which way.
    pub direction: Direction,
}

/// A client in a list.
#[derive(Debug, Clone)]
pub struct ClientRow {
    /// The person.
    pub user: UserRow,
    /// How many accounts they own.
    pub accounts: i64,
    /// How many sites those have.
    pub sites: i64,
    /// When a session of theirs was last used, if one is left.
    pub seen_ms: Option<i64>,
}

macro_rules! client_where {
    () => {
        " FROM users u WHERE ($1 = '' OR u.state = $1) \
         AND ($2 = '' OR LOWER(u.login) LIKE $2 ESCAPE '\\' OR LOWER(u.name) LIKE $2 ESCAPE '\\')"
    };
}

/// People, with what they own and when they were last seen.
///
/// # Errors
/// The database fails.
pub async fn client_list(db: &Db, filter: &ClientFilter, paging: Paging) -> Result<Page<ClientRow>, StoreError> {
    let (state, search) = (filter.state.map_or("", UserState::as_str), contains(&filter.search));
    let total = sqlx::query(concat!("SELECT COUNT(*) AS n", client_where!())).bind(state).bind(&search).fetch_one(db.read()).await?;
    let order = match filter.sort {
        ClientSort::Name => "LOWER(u.name)",
        ClientSort::Created => "u.created_ms",
        ClientSort::Accounts => "accounts",
    };
    let sql = format!(
        concat!(
            "SELECT ",
            user_columns!(),
            ", (SELECT COUNT(*) FROM accounts a WHERE a.owner_id = u.id) AS accounts, \
             (SELECT COUNT(*) FROM sites s JOIN accounts a ON a.id = s.account_id WHERE a.owner_id = u.id) AS sites, \
             (SELECT MAX(x.last_seen_ms) FROM sessions x WHERE x.user_id = u.id) AS seen_ms",
            client_where!(),
            " ORDER BY {order} {direction}, u.id LIMIT $3 OFFSET $4"
        ),
        order = order,
        direction = filter.direction.sql()
    );
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(state).bind(&search).bind(paging.limit).bind(paging.offset).fetch_all(db.read()).await?;
    let rows = rows.iter().map(client_row).collect::<Result<_, _>>()?;
    Ok(Page { rows, total: total.try_get("n")? })
}

fn client_row(row: &AnyRow) -> Result<ClientRow, StoreError> {
    Ok(ClientRow {
        user: UserRow::try_from(row)?,
        accounts: row.try_get("accounts")?,
        sites: row.try_get("sites")?,
        seen_ms: row.try_get("seen_ms")?,
    })
}

/// How many people are active, and how many suspended.
///
/// # Errors
/// The database fails.
pub async fn client_counts(db: &Db) -> Result<(i64, i64), StoreError> {
    let rows = sqlx::query("SELECT state, COUNT(*) AS n FROM users GROUP BY state").fetch_all(db.read()).await?;
    let mut counts = (0, 0);
    for row in &rows {
        match parse("users.state", row.try_get("state")?)? {
            UserState::Active => counts.0 = row.try_get("n")?,
            UserState::Suspended => counts.1 = row.try_get("n")?,
        }
    }
    Ok(counts)
}
