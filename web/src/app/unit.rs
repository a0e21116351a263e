//! One request's transaction.
//!
//! **What a request changes, the operation, its jobs and the audit line commit together or not at all**; signals go out
//! only after the commit.

use std::hash::{DefaultHasher, Hash, Hasher};

use shared::ids::{AccountId, OperationId, ServerId, UserId};
use shared::jobs::ResourceKey;

use super::signal::{Signal, Signals};
use super::{Actor, App, AppError, Requested};
use crate::store::account::AccountRow;
use crate::store::audit::{AuditAction, NewAudit, audit_insert_in_tx};
use crate::store::job::{JobRow, NewJob, job_insert_in_tx, job_list_of_operation_in_tx};
use crate::store::operation::{
    NewOperation, OperationKind, operation_count_open_in_tx, operation_fetch_by_key, operation_insert_in_tx, operation_settle_in_tx,
};
use crate::store::{Db, StoreError, Tx, part_begin, part_keep, part_undo};

/// Longer keys are cut; ours are shorter.
const KEY_LENGTH: usize = 64;
/// A form's own part of its key; the rest of [`KEY_LENGTH`] is a dot and 16 digits for what was typed.
const FORM_KEY_LENGTH: usize = KEY_LENGTH - 17;

/// The key of a form whose fields may be changed after it was sent, such as with the browser's way back: only the same
/// key with the same fields is the same request.
pub(super) fn once(key: Option<&str>, form: &impl Hash) -> Option<String> {
    let key = key.filter(|key| !key.is_empty())?;
    let mut hasher = DefaultHasher::new();
    form.hash(&mut hasher);
    Some(format!("{}.{:016x}", key.chars().take(FORM_KEY_LENGTH).collect::<String>(), hasher.finish()))
}

/// A request's transaction.
pub(super) struct Unit<'a> {
    sends_to: &'a dyn Signals,
    actor: &'a Actor,
    /// The transaction, for the store's functions.
    pub(super) tx: Tx,
    signals: Vec<Signal>,
    audited: bool,
}

/// An operation of the request, while its jobs are added.
#[derive(Debug)]
pub(super) struct Open {
    /// Its id.
    pub(super) id: OperationId,
    kind: OperationKind,
    resource: ResourceKey,
    server: ServerId,
    account: AccountId,
    owner: UserId,
    position: usize,
}

/// How far a request was when a part of it began.
pub(super) struct Part {
    signals: usize,
    audited: bool,
}

/// Requests of one account that have not ended: as many as a server takes of all accounts at a time.
const OPEN_PER_ACCOUNT: i64 = 256;

const TOO_MANY: &str = "This account has 256 changes under way, and takes no more until some of them are done. \
                        Nothing was changed. Wait a moment, then ask again.";

/// What an account with too many open requests is refused; nothing for what stops it as a whole, or mends what was applied.
fn refusal_of(kind: OperationKind) -> Option<AppError> {
    match kind {
        OperationKind::AccountSuspend
        | OperationKind::AccountUnsuspend
        | OperationKind::AccountDelete
        | OperationKind::AccountRepair
        | OperationKind::PhpRepair
        | OperationKind::SiteRepair
        | OperationKind::WorkerUpdate => None,
        // Forms, which keep what was typed.
        OperationKind::AccountCreate
        | OperationKind::AccountUpdate
        | OperationKind::PhpUpdate
        | OperationKind::SiteCreate
        | OperationKind::SiteUpdate => Some(AppError::invalid("", TOO_MANY)),
        OperationKind::SiteRollback | OperationKind::SiteSuspend | OperationKind::SiteUnsuspend | OperationKind::SiteDelete => {
            Some(AppError::conflict(TOO_MANY))
        }
    }
}

/// What a request would ask of a server.
pub(super) struct Proposed {
    /// What the request is about.
    pub(super) about: Vec<ResourceKey>,
    pub(super) server: ServerId,
    pub(super) jobs: Vec<JobRow>,
}

/// What an operation is about.
pub(super) struct Asked<'a> {
    /// What was asked.
    pub(super) kind: OperationKind,
    /// Of which resource.
    pub(super) resource: ResourceKey,
    /// Its name.
    pub(super) subject: &'a str,
    /// The form's key, so that a repeated post is the same request.
    pub(super) key: Option<&'a str>,
}

/// Where an operation belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) account: AccountId,
    pub(super) owner: UserId,
    pub(super) server: ServerId,
}

impl From<&AccountRow> for Place {
    fn from(row: &AccountRow) -> Self {
        Self { account: row.id, owner: row.owner_id, server: row.server_id }
    }
}

impl<'a> Unit<'a> {
    pub(super) async fn begin(app: &'a App, actor: &'a Actor) -> Result<Self, AppError> {
        Self::over(&app.db, app.signals.as_ref(), actor).await
    }

    /// For what no page asks for.
    pub(super) async fn over(db: &Db, sends_to: &'a dyn Signals, actor: &'a Actor) -> Result<Self, AppError> {
        Ok(Self { sends_to, actor, tx: db.write().await?, signals: Vec::new(), audited: false })
    }

    /// Records an operation. Its id goes into the rows it makes.
    pub(super) async fn operation(&mut self, place: Place, asked: Asked<'_>) -> Result<Open, AppError> {
        let new = NewOperation {
            id: OperationId::new(),
            kind: asked.kind,
            resource: asked.resource,
            subject: asked.subject.to_owned(),
            account: place.account,
            owner: place.owner,
            server: place.server,
            asked_by: self.actor.user,
            asked_by_name: self.actor.name.clone(),
            idempotency_key: asked.key.filter(|key| !key.is_empty()).map(|key| key.chars().take(KEY_LENGTH).collect()),
        };
        match operation_insert_in_tx(&mut self.tx, &new).await {
            Ok(()) => {}
            Err(error) if error.is_duplicate_of("operations", "idempotency_key") => return Err(AppError::Repeated),
            Err(error) => return Err(error.into()),
        }
        self.audit(AuditAction::Operation(asked.kind), asked.subject, &new.id.to_string()).await?;
        let Place { account, owner, server } = place;
        Ok(Open { id: new.id, kind: asked.kind, resource: asked.resource, server, account, owner, position: 0 })
    }

    /// Queues the next job of an operation. Operations that lose a job to it are brought up to date.
    pub(super) async fn job(&mut self, open: &mut Open, job: &NewJob) -> Result<(), AppError> {
        let (_, coalesced) = job_insert_in_tx(&mut self.tx, open.id, open.server, open.account, open.position, job).await?;
        open.position += 1;
        for operation in coalesced {
            operation_settle_in_tx(&mut self.tx, operation).await?;
            self.signals.push(Signal::OperationChanged { operation, account: open.account, owner: open.owner });
        }
        Ok(())
    }

    /// Ends an operation: its jobs are complete. Here the account's requests are counted, so that a preview is never refused, and
    /// those that this one takes the place of make room for it.
    pub(super) async fn close(&mut self, open: Open) -> Result<Requested, AppError> {
        if let Some(refusal) = refusal_of(open.kind)
            && operation_count_open_in_tx(&mut self.tx, open.account).await? > OPEN_PER_ACCOUNT
        {
            return Err(refusal);
        }
        operation_settle_in_tx(&mut self.tx, open.id).await?;
        self.signal(Signal::JobsQueued(open.server));
        self.signal(Signal::OperationChanged { operation: open.id, account: open.account, owner: open.owner });
        Ok(Requested { operation: open.id, resource: open.resource })
    }

    /// What the operation would ask of its server. Nothing of the request is kept.
    pub(super) async fn propose(mut self, open: Open) -> Result<Proposed, AppError> {
        let jobs = job_list_of_operation_in_tx(&mut self.tx, open.id).await?;
        self.forget().await?;
        Ok(Proposed { about: vec![open.resource], server: open.server, jobs })
    }

    /// What several operations would ask of each of their servers. Nothing of the request is kept.
    pub(super) async fn propose_all(mut self, opens: Vec<Open>) -> Result<Vec<Proposed>, AppError> {
        let mut all: Vec<Proposed> = Vec::new();
        for open in opens {
            let jobs = job_list_of_operation_in_tx(&mut self.tx, open.id).await?;
            match all.iter_mut().find(|proposed| proposed.server == open.server) {
                Some(proposed) => {
                    proposed.about.push(open.resource);
                    proposed.jobs.extend(jobs);
                }
                None => all.push(Proposed { about: vec![open.resource], server: open.server, jobs }),
            }
        }
        self.forget().await?;
        Ok(all)
    }

    /// Nothing of the request is kept.
    pub(super) async fn forget(self) -> Result<(), AppError> {
        Ok(self.tx.rollback().await.map_err(StoreError::from)?)
    }

    /// Begins a part of the request that may be refused without the rest.
    pub(super) async fn part(&mut self) -> Result<Part, StoreError> {
        part_begin(&mut self.tx).await?;
        Ok(Part { signals: self.signals.len(), audited: self.audited })
    }

    /// Ends a part: it stays only if it went well. A refusal is its result; what keeps the rest from going on is an error.
    pub(super) async fn end<T>(&mut self, part: Part, result: Result<T, AppError>) -> Result<Result<T, AppError>, AppError> {
        match result {
            Ok(value) => {
                part_keep(&mut self.tx).await?;
                Ok(Ok(value))
            }
            Err(error @ (AppError::Unavailable(_) | AppError::Repeated)) => Err(error),
            Err(refusal) => {
                part_undo(&mut self.tx).await?;
                self.signals.truncate(part.signals);
                self.audited = part.audited;
                Ok(Err(refusal))
            }
        }
    }

    /// Adds a line to the audit log.
    pub(super) async fn audit(&mut self, action: AuditAction, subject: &str, detail: &str) -> Result<(), StoreError> {
        let line =
            NewAudit { user: Some(self.actor.user), user_name: &self.actor.name, action, subject, address: &self.actor.address, detail };
        self.audited = true;
        audit_insert_in_tx(&mut self.tx, &line).await
    }

    /// Says something once the transaction is committed.
    pub(super) fn signal(&mut self, signal: Signal) {
        if !self.signals.contains(&signal) {
            self.signals.push(signal);
        }
    }

    /// Commits, then sends the signals.
    pub(super) async fn commit(mut self) -> Result<(), AppError> {
        if self.audited {
            self.signal(Signal::Audited);
        }
        self.tx.commit().await.map_err(StoreError::from)?;
        for signal in self.signals {
            self.sends_to.send(signal);
        }
        Ok(())
    }
}

/// Makes an opened request: its jobs are complete, and it commits.
pub(super) async fn finish(opened: Result<(Unit<'_>, Open), AppError>) -> Result<Requested, AppError> {
    let (mut unit, open) = opened?;
    let requested = unit.close(open).await?;
    unit.commit().await?;
    Ok(requested)
}

/// If the form's key was recorded before, what came of it then: a repeated post is the same request, whatever the first
/// one has changed since.
pub(super) async fn settle(
    app: &App,
    actor: &Actor,
    key: Option<&str>,
    result: Result<Requested, AppError>,
) -> Result<Requested, AppError> {
    let (Err(_), Some(key)) = (&result, key.filter(|key| !key.is_empty())) else { return result };
    let key: String = key.chars().take(KEY_LENGTH).collect();
    match operation_fetch_by_key(&app.db, actor.user, &key).await? {
        Some(operation) => Ok(Requested { operation: operation.id, resource: operation.resource }),
        None => result,
    }
}
