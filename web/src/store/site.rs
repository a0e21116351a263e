//! Sites: their desired state and how far it has come. Their names are in [`super::site_name`].

use shared::ids::{AccountId, OperationId, ServerId, SiteId, UserId};
use shared::jobs::{Generation, Presence, SiteKind};
use shared::names::{DocumentRoot, DomainName, LinuxUser, ServerName};
use shared::operation::{EverApplied, ResourceState};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::account::{presence, presence_word};
use super::list::{Direction, GroupCounts, Page, Paging, StateGroup, Visible, contains, state_group};
use super::{Db, StoreError, Tx, now_ms, parse};

/// A site as stored, with its account and server.
#[derive(Debug, Clone)]
pub struct SiteRow {
    /// Its id.
    pub id: SiteId,
    /// Its account.
    pub account_id: AccountId,
    /// Its account's Linux user.
    pub linux_user: LinuxUser,
    /// Who owns the account.
    pub owner_id: UserId,
    /// Their name.
    pub owner_name: String,
    /// The account's server.
    pub server_id: ServerId,
    /// That server's name.
    pub server_name: ServerName,
    /// Where that server's sites answer.
    pub server_address: String,
    /// Whether that server's worker is connected.
    pub server_online: bool,
    /// Its primary domain.
    pub domain: DomainName,
    /// Where its files are.
    pub document_root: DocumentRoot,
    /// What serves it.
    pub kind: SiteKind,
    /// How its owner wants it; a suspended account is not written here.
    pub presence: Presence,
    /// Its badge.
    pub state: ResourceState,
    /// Its newest desired state.
    pub generation: Generation,
    /// The newest that was applied; 0 for none.
    pub applied_generation: Generation,
    /// The newest generation that is wanted: `generation`, unless newer ones were taken back.
    pub wanted_generation: Generation,
    /// The newest request about it.
    pub last_operation: OperationId,
    /// When it was asked for.
    pub created_ms: i64,
    /// How many further names it answers to.
    pub aliases: i64,
    /// Whether it is on its server other than it was applied.
    pub drifted: bool,
}

impl SiteRow {
    /// Whether it was ever applied.
    #[must_use]
    pub const fn ever_applied(&self) -> EverApplied {
        if self.applied_generation.0 > 0 { EverApplied::Yes } else { EverApplied::No }
    }
}

macro_rules! site_select {
    () => {
        "SELECT s.id, s.account_id, a.linux_user, a.owner_id, u.name AS owner_name, v.id AS server_id, v.name AS server_name, \
         v.address AS server_address, v.online AS server_online, s.domain, s.document_root, s.php_version, s.presence, s.state, \
         s.generation, s.applied_generation, s.wanted_generation, s.last_operation_id, s.created_ms, \
         (SELECT COUNT(*) FROM site_names n WHERE n.site_id = s.id AND n.position > 0) AS aliases, \
         (SELECT COUNT(*) FROM drifts d WHERE d.resource = 'site:' || s.id) AS drifted "
    };
}

macro_rules! site_from {
    () => {
        "FROM sites s JOIN accounts a ON a.id = s.account_id JOIN users u ON u.id = a.owner_id \
         JOIN account_servers p ON p.account_id = a.id AND p.role = 'web' JOIN servers v ON v.id = p.server_id "
    };
}

impl TryFrom<&AnyRow> for SiteRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        let php: Option<String> = row.try_get("php_version")?;
        Ok(Self {
            id: parse("sites.id", row.try_get("id")?)?,
            account_id: parse("sites.account_id", row.try_get("account_id")?)?,
            linux_user: parse("accounts.linux_user", row.try_get("linux_user")?)?,
            owner_id: parse("accounts.owner_id", row.try_get("owner_id")?)?,
            owner_name: row.try_get("owner_name")?,
            server_id: parse("servers.id", row.try_get("server_id")?)?,
            server_name: parse("servers.name", row.try_get("server_name")?)?,
            server_address: row.try_get("server_address")?,
            server_online: row.try_get::<i32, _>("server_online")? != 0,
            domain: parse("sites.domain", row.try_get("domain")?)?,
            document_root: parse("sites.document_root", row.try_get("document_root")?)?,
            kind: match php {
                Some(version) => SiteKind::Php { version: parse("sites.php_version", &version)? },
                None => SiteKind::Static,
            },
            presence: presence("sites.presence", row.try_get("presence")?)?,
            state: parse("sites.state", row.try_get("state")?)?,
            generation: Generation(row.try_get("generation")?),
            applied_generation: Generation(row.try_get("applied_generation")?),
            wanted_generation: Generation(row.try_get("wanted_generation")?),
            last_operation: parse("sites.last_operation_id", row.try_get("last_operation_id")?)?,
            created_ms: row.try_get("created_ms")?,
            aliases: row.try_get("aliases")?,
            drifted: row.try_get::<i64, _>("drifted")? > 0,
        })
    }
}

/// A site to be made.
#[derive(Debug, Clone)]
pub struct NewSite {
    /// Its id.
    pub id: SiteId,
    /// Its account.
    pub account: AccountId,
    /// Its primary domain.
    pub domain: DomainName,
    /// Where its files are.
    pub document_root: DocumentRoot,
    /// What serves it.
    pub kind: SiteKind,
    /// The request that makes it.
    pub operation: OperationId,
}

/// Makes a site. Its names are claimed with [`super::site_name::site_names_replace_in_tx`].
///
/// # Errors
/// The database fails.
pub async fn site_insert_in_tx(tx: &mut Tx, new: &NewSite) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sites (id, account_id, domain, document_root, php_version, presence, state, generation, last_operation_id, created_ms) \
         VALUES ($1, $2, $3, $4, $5, 'active', 'provisioning', 1, $6, $7)",
    )
    .bind(new.id.to_string())
    .bind(new.account.to_string())
    .bind(new.domain.as_str())
    .bind(new.document_root.as_str())
    .bind(new.kind.php().map(|version| version.to_string()))
    .bind(new.operation.to_string())
    .bind(now_ms())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One site, if it may be seen.
///
/// # Errors
/// The database fails.
pub async fn site_fetch(db: &Db, visible: Visible, id: SiteId) -> Result<Option<SiteRow>, StoreError> {
    let row = sqlx::query(concat!(site_select!(), site_from!(), "WHERE s.id = $1 AND ($2 = '' OR a.owner_id = $2)"))
        .bind(id.to_string())
        .bind(visible.owner())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(SiteRow::try_from).transpose()
}

/// The account of a site, if it may be seen: what to lock before the site is changed.
///
/// # Errors
/// The database fails.
pub async fn site_account_in_tx(tx: &mut Tx, visible: Visible, id: SiteId) -> Result<Option<AccountId>, StoreError> {
    let row = sqlx::query(
        "SELECT s.account_id FROM sites s JOIN accounts a ON a.id = s.account_id WHERE s.id = $1 AND ($2 = '' OR a.owner_id = $2)",
    )
    .bind(id.to_string())
    .bind(visible.owner())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| parse("sites.account_id", row.try_get("account_id")?)).transpose()
}

/// The sites of an account by domain.
///
/// # Errors
/// The database fails.
pub async fn site_list_of_account_in_tx(tx: &mut Tx, account: AccountId) -> Result<Vec<SiteRow>, StoreError> {
    let rows = sqlx::query(concat!(site_select!(), site_from!(), "WHERE s.account_id = $1 ORDER BY s.domain"))
        .bind(account.to_string())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(SiteRow::try_from).collect()
}

/// What a request changes about a site.
#[derive(Debug, Clone)]
pub struct SiteChange<'a> {
    /// Where its files are.
    pub document_root: &'a DocumentRoot,
    /// What serves it.
    pub kind: SiteKind,
    /// Wanted so from now on.
    pub presence: Presence,
    /// Its badge.
    pub state: ResourceState,
    /// Its new desired state's number.
    pub generation: Generation,
    /// The request.
    pub operation: OperationId,
}

/// Writes a new desired state.
///
/// # Errors
/// The database fails.
pub async fn site_update_in_tx(tx: &mut Tx, id: SiteId, change: &SiteChange<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE sites SET document_root = $1, php_version = $2, presence = $3, state = $4, generation = $5, wanted_generation = $5, last_operation_id = $6 \
         WHERE id = $7",
    )
    .bind(change.document_root.as_str())
    .bind(change.kind.php().map(|version| version.to_string()))
    .bind(presence_word(change.presence))
    .bind(change.state.as_str())
    .bind(change.generation.0)
    .bind(change.operation.to_string())
    .bind(id.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How sites are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SiteSort {
    /// By domain.
    #[default]
    Domain,
    /// By Linux user.
    Account,
    /// By owner.
    Owner,
    /// By server.
    Server,
    /// By state.
    State,
    /// By PHP version.
    Php,
    /// By when they were asked for.
    Created,
}

/// Which sites.
#[derive(Debug, Clone, Default)]
pub struct SiteFilter {
    /// In any name of the site, or its Linux user; empty for all.
    pub search: String,
    /// In this state only.
    pub state: Option<StateGroup>,
    /// Of this account only.
    pub account: Option<AccountId>,
    /// On this server only.
    pub server: Option<ServerId>,
    /// Sorted by.
    pub sort: SiteSort,
    /// Which way.
    pub direction: Direction,
}

macro_rules! site_where {
    () => {
        concat!(
            "WHERE ($1 = '' OR a.owner_id = $1) AND ($2 = '' OR ",
            state_group!("s.state"),
            " = $2) AND ($3 = '' OR s.account_id = $3) AND ($4 = '' OR v.id = $4) \
         AND ($5 = '' OR LOWER(a.linux_user) LIKE $5 ESCAPE '\\' \
         OR EXISTS (SELECT 1 FROM site_names n WHERE n.site_id = s.id AND LOWER(n.name) LIKE $5 ESCAPE '\\'))"
        )
    };
}

/// Sites that may be seen.
///
/// # Errors
/// The database fails.
pub async fn site_list(db: &Db, visible: Visible, filter: &SiteFilter, paging: Paging) -> Result<Page<SiteRow>, StoreError> {
    let rows = site_rows(db, visible, filter, paging).await?;
    let visible = visible.owner();
    let state = filter.state.map_or("", StateGroup::as_str);
    let account = filter.account.map(|id| id.to_string()).unwrap_or_default();
    let server = filter.server.map(|id| id.to_string()).unwrap_or_default();
    let search = contains(&filter.search);
    let total = sqlx::query(concat!("SELECT COUNT(*) AS n ", site_from!(), site_where!()))
        .bind(&visible)
        .bind(state)
        .bind(&account)
        .bind(&server)
        .bind(&search)
        .fetch_one(db.read())
        .await?;
    Ok(Page { rows, total: total.try_get("n")? })
}

/// Sites that may be seen, for where nobody asks how many there are.
///
/// # Errors
/// The database fails.
pub async fn site_rows(db: &Db, visible: Visible, filter: &SiteFilter, paging: Paging) -> Result<Vec<SiteRow>, StoreError> {
    let visible = visible.owner();
    let state = filter.state.map_or("", StateGroup::as_str);
    let account = filter.account.map(|id| id.to_string()).unwrap_or_default();
    let server = filter.server.map(|id| id.to_string()).unwrap_or_default();
    let search = contains(&filter.search);
    let order = match filter.sort {
        SiteSort::Domain => "s.domain",
        SiteSort::Account => "a.linux_user",
        SiteSort::Owner => "LOWER(u.name)",
        SiteSort::Server => "v.name",
        SiteSort::State => "s.state",
        SiteSort::Php => "COALESCE(s.php_version, '')",
        SiteSort::Created => "s.created_ms",
    };
    let sql = format!(
        concat!(site_select!(), site_from!(), site_where!(), " ORDER BY {order} {direction}, s.id LIMIT $6 OFFSET $7"),
        order = order,
        direction = filter.direction.sql()
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(&visible)
        .bind(state)
        .bind(&account)
        .bind(&server)
        .bind(&search)
        .bind(paging.limit)
        .bind(paging.offset)
        .fetch_all(db.read())
        .await?;
    rows.iter().map(SiteRow::try_from).collect()
}

/// How many sites of each group may be seen.
///
/// # Errors
/// The database fails.
pub async fn site_counts(db: &Db, visible: Visible) -> Result<GroupCounts, StoreError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        state_group!("s.state"),
        " AS state_group, COUNT(*) AS n FROM sites s JOIN accounts a ON a.id = s.account_id WHERE ($1 = '' OR a.owner_id = $1) GROUP BY state_group"
    ))
    .bind(visible.owner())
    .fetch_all(db.read())
    .await?;
    GroupCounts::of_rows(&rows)
}
