//! Who did what, from where. **Lines are only added.**

use std::str::FromStr;

use shared::ids::{OperationId, UserId};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::ids::AuditId;
use super::list::{Page, Paging, contains};
use super::operation::OperationKind;
use super::user::Login;
use super::{Db, StoreError, Tx, now_ms, parse};

/// What was done. The stored spelling is `subject.verb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAction {
    /// Something was asked of a server.
    Operation(OperationKind),
    /// A failed operation was tried again.
    OperationRetry,
    /// Somebody signed in.
    SessionBegin,
    /// A sign-in was refused.
    SessionRefused,
    /// A device was signed out.
    SessionEnd,
    /// Every other device was signed out.
    SessionEndOthers,
    /// Somebody changed their password.
    PasswordChange,
    /// A client was made.
    ClientCreate,
    /// A client was given a one-time password.
    ClientResetPassword,
    /// A client was suspended.
    ClientSuspend,
    /// A client was let in again.
    ClientUnsuspend,
    /// A client was deleted.
    ClientDelete,
    /// A server was added.
    ServerAdd,
    /// A server's settings changed.
    ServerUpdate,
    /// A server's worker was given a token to join with.
    ServerToken,
    /// A server's worker was shut out.
    ServerShutOut,
    /// A server was deleted.
    ServerDelete,
    /// A server's queue was paused.
    QueuePause,
    /// A server's queue goes on.
    QueueResume,
    /// A request was moved forward in its queue.
    QueueSooner,
    /// A request was moved back in its queue.
    QueueLater,
    /// A request was taken back before it was sent.
    QueueCancel,
    /// Security events were marked as seen.
    SecuritySeen,
    /// On the command line the bus was told to serve this panel.
    BusAdopt,
    /// What becomes of drift on a server was changed.
    DriftPolicySet,
    /// Every server's worker is to be updated.
    RolloutStart,
    /// No further worker is to be updated.
    RolloutCancel,
    /// After a failure, updating goes on.
    RolloutResume,
    /// An admin was added on the command line.
    UserAdd,
    /// A password was reset on the command line.
    UserResetPassword,
}

impl AuditAction {
    /// Those that are no operations.
    const OTHERS: [Self; 29] = [
        Self::OperationRetry,
        Self::SessionBegin,
        Self::SessionRefused,
        Self::SessionEnd,
        Self::SessionEndOthers,
        Self::PasswordChange,
        Self::ClientCreate,
        Self::ClientResetPassword,
        Self::ClientSuspend,
        Self::ClientUnsuspend,
        Self::ClientDelete,
        Self::ServerAdd,
        Self::ServerUpdate,
        Self::ServerToken,
        Self::ServerShutOut,
        Self::ServerDelete,
        Self::QueuePause,
        Self::QueueResume,
        Self::QueueSooner,
        Self::QueueLater,
        Self::QueueCancel,
        Self::SecuritySeen,
        Self::BusAdopt,
        Self::DriftPolicySet,
        Self::RolloutStart,
        Self::RolloutCancel,
        Self::RolloutResume,
        Self::UserAdd,
        Self::UserResetPassword,
    ];

    /// All actions.
    pub fn all() -> impl Iterator<Item = Self> {
        OperationKind::ALL.into_iter().map(Self::Operation).chain(Self::OTHERS)
    }

    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operation(kind) => kind.as_str(),
            Self::OperationRetry => "operation.retry",
            Self::SessionBegin => "session.begin",
            Self::SessionRefused => "session.refused",
            Self::SessionEnd => "session.end",
            Self::SessionEndOthers => "session.end_others",
            Self::PasswordChange => "password.change",
            Self::ClientCreate => "client.create",
            Self::ClientResetPassword => "client.reset_password",
            Self::ClientSuspend => "client.suspend",
            Self::ClientUnsuspend => "client.unsuspend",
            Self::ClientDelete => "client.delete",
            Self::ServerAdd => "server.add",
            Self::ServerUpdate => "server.update",
            Self::ServerToken => "server.token",
            Self::ServerShutOut => "server.shut_out",
            Self::ServerDelete => "server.delete",
            Self::QueuePause => "queue.pause",
            Self::QueueResume => "queue.resume",
            Self::QueueSooner => "queue.sooner",
            Self::QueueLater => "queue.later",
            Self::QueueCancel => "queue.cancel",
            Self::SecuritySeen => "security.seen",
            Self::BusAdopt => "bus.adopt",
            Self::DriftPolicySet => "drift_policy.set",
            Self::RolloutStart => "rollout.start",
            Self::RolloutCancel => "rollout.cancel",
            Self::RolloutResume => "rollout.resume",
            Self::UserAdd => "user.add",
            Self::UserResetPassword => "user.reset_password",
        }
    }

    /// What a page says.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Operation(kind) => kind.label(),
            Self::OperationRetry => "Retry operation",
            Self::SessionBegin => "Sign in",
            Self::SessionRefused => "Sign-in refused",
            Self::SessionEnd => "Sign out",
            Self::SessionEndOthers => "Sign out everywhere else",
            Self::PasswordChange => "Change password",
            Self::ClientCreate => "Create client",
            Self::ClientResetPassword => "New one-time password",
            Self::ClientSuspend => "Suspend client",
            Self::ClientUnsuspend => "Let client in again",
            Self::ClientDelete => "Delete client",
            Self::ServerAdd => "Add server",
            Self::ServerUpdate => "Change server",
            Self::ServerToken => "New token for a worker",
            Self::ServerShutOut => "Shut out worker",
            Self::ServerDelete => "Delete server",
            Self::QueuePause => "Pause queue",
            Self::QueueResume => "Resume queue",
            Self::QueueSooner => "Let a change go out sooner",
            Self::QueueLater => "Let a change go out later",
            Self::QueueCancel => "Cancel operation",
            Self::SecuritySeen => "Security events seen",
            Self::BusAdopt => "Let the bus serve this panel",
            Self::DriftPolicySet => "Change what becomes of drift",
            Self::RolloutStart => "Update all workers",
            Self::RolloutCancel => "Stop updating workers",
            Self::RolloutResume => "Go on updating workers",
            Self::UserAdd => "Add administrator",
            Self::UserResetPassword => "Reset password",
        }
    }
}

/// The stored text is no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an action of the audit log")]
pub struct UnknownAuditAction;

impl FromStr for AuditAction {
    type Err = UnknownAuditAction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::all().find(|action| action.as_str() == text).ok_or(UnknownAuditAction)
    }
}

/// A line to be added.
#[derive(Debug, Clone)]
pub struct NewAudit<'a> {
    /// Who; `None` if nobody was signed in.
    pub user: Option<UserId>,
    /// Their name, or what was typed as a login.
    pub user_name: &'a str,
    /// What.
    pub action: AuditAction,
    /// On what: a domain, a login, a server.
    pub subject: &'a str,
    /// The peer's address.
    pub address: &'a str,
    /// Anything more, without secrets.
    pub detail: &'a str,
}

impl<'a> NewAudit<'a> {
    /// What the panel's operator did on the command line.
    #[must_use]
    pub const fn on_command_line(action: AuditAction, subject: &'a str) -> Self {
        Self { user: None, user_name: "command line", action, subject, address: "", detail: "" }
    }
}

/// Adds a line.
///
/// # Errors
/// The database fails.
pub async fn audit_insert_in_tx(tx: &mut Tx, line: &NewAudit<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit (id, at_ms, user_id, user_name, action, subject, address, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(AuditId::new().as_str())
    .bind(now_ms())
    .bind(line.user.map(|user| user.to_string()).unwrap_or_default())
    .bind(line.user_name)
    .bind(line.action.as_str())
    .bind(line.subject)
    .bind(line.address)
    .bind(line.detail)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A line as stored.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at_ms: i64,
    /// Who; `None` if nobody was signed in.
    pub user: Option<UserId>,
    /// Their name at the time, or what was typed as a login.
    pub user_name: String,
    /// What, as it is spelled. Text, so that a line of another release still shows.
    pub action: String,
    /// On what.
    pub subject: String,
    /// The peer's address; empty for the command line.
    pub address: String,
    /// Anything more.
    pub detail: String,
}

impl TryFrom<&AnyRow> for AuditRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("audit.id", row.try_get("id")?)?,
            at_ms: row.try_get("at_ms")?,
            user: row.try_get::<String, _>("user_id")?.parse().ok(),
            user_name: row.try_get("user_name")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            address: row.try_get("address")?,
            detail: row.try_get("detail")?,
        })
    }
}

/// Whose lines may be seen. **Part of every query.**
#[derive(Debug, Clone, Copy)]
pub enum AuditScope<'a> {
    /// Everybody's.
    All,
    /// What one person did, and what was done to their sign-in.
    Of(UserId, &'a Login),
}

/// Which lines.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// In the name, the subject or the address; empty for all.
    pub search: String,
    /// Of this person only: an id, or what was typed as a login; empty for all.
    pub who: String,
    /// This action only; empty for all.
    pub action: String,
    /// On this only; empty for all.
    pub object: String,
}

/// Lines that may be seen, newest first.
///
/// # Errors
/// The database fails.
pub async fn audit_list(db: &Db, scope: AuditScope<'_>, filter: &AuditFilter, paging: Paging) -> Result<Page<AuditRow>, StoreError> {
    // Written out for each scope, so that a person's own lines are found by index.
    let (seen, user, login) = match scope {
        AuditScope::All => ("$1 = '' AND $2 = ''", String::new(), ""),
        AuditScope::Of(user, login) => (
            "(a.user_id = $1 OR (a.subject = $2 AND (a.action = 'session.refused' OR a.action LIKE 'client.%' OR a.action LIKE 'user.%') \
             AND a.at_ms >= (SELECT u.created_ms FROM users u WHERE u.id = $1)))",
            user.to_string(),
            login.as_str(),
        ),
    };
    let from = format!(
        "FROM audit a WHERE {seen} AND ($3 = '' OR a.user_id = $3 OR (a.user_id = '' AND a.user_name = $3)) AND ($4 = '' OR a.action = $4) \
         AND ($5 = '' OR a.subject = $5) AND ($6 = '' OR LOWER(a.user_name) LIKE $6 ESCAPE '\\' OR LOWER(a.subject) LIKE $6 ESCAPE '\\' \
         OR LOWER(a.address) LIKE $6 ESCAPE '\\')"
    );
    let search = contains(&filter.search);
    let total = sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) AS n {from}")))
        .bind(&user)
        .bind(login)
        .bind(&filter.who)
        .bind(&filter.action)
        .bind(&filter.object)
        .bind(&search)
        .fetch_one(db.read())
        .await?;
    let columns = "a.id, a.at_ms, a.user_id, a.user_name, a.action, a.subject, a.address, a.detail";
    // Ids sort by time.
    let rows = sqlx::query(AssertSqlSafe(format!("SELECT {columns} {from} ORDER BY a.id DESC LIMIT $7 OFFSET $8")))
        .bind(&user)
        .bind(login)
        .bind(&filter.who)
        .bind(&filter.action)
        .bind(&filter.object)
        .bind(&search)
        .bind(paging.limit)
        .bind(paging.offset)
        .fetch_all(db.read())
        .await?;
    Ok(Page { rows: rows.iter().map(AuditRow::try_from).collect::<Result<_, _>>()?, total: total.try_get("n")? })
}

/// From which address an operation was asked for, if that was recorded.
///
/// # Errors
/// The database fails.
pub async fn audit_address_of_operation(db: &Db, operation: OperationId, subject: &str) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT address FROM audit WHERE subject = $1 AND detail = $2 ORDER BY id LIMIT 1")
        .bind(subject)
        .bind(operation.to_string())
        .fetch_optional(db.read())
        .await?;
    Ok(row.map(|row| row.try_get("address")).transpose()?.filter(|address: &String| !address.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::AuditAction;

    #[test]
    fn every_action_is_spelled_in_its_own_way_and_reads_back() {
        let spellings: BTreeSet<&str> = AuditAction::all().map(AuditAction::as_str).collect();
        assert_eq!(spellings.len(), AuditAction::all().count());
        for action in AuditAction::all() {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        assert_eq!(AuditAction::SessionRefused.as_str(), "session.refused");
        assert!("session.conquered".parse::<AuditAction>().is_err());
    }
}
