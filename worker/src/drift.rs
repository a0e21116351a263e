//! Looks from time to time whether the host is still as it was made, and reports what is not.
//!
//! **Everything applied is planned again; a plan that is not empty is drift.** Nothing is repaired here: that is a new desired
//! state, which the panel sends. A state that failed is not looked at, what serves instead of it is.
//! **Jobs go first**: a look goes in short parts, each of which waits for the batch under way, with a pause in between.
//! **A newer worker that renders something in another way finds all of it different**, and says so: whether that is repaired is
//! the panel's to decide, whose brake leaves so much at once to an admin.
//! **Each change is reported once, durably**: what was reported is in the worker's own database, and the event leaves in the
//! transaction that changes it. The first report after a start holds everything, so does one that somebody asks for, and one an
//! hour: a panel restored from a backup, or a bus that has lost its store, knows less than was reported.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use shared::difference::Difference;
use shared::events::{DriftFinding, DriftReport, Event, Look, SetAside};
use shared::jobs::{Generation, ResourceKey};
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use crate::config::Identity;
use crate::engine::Engine;
use crate::engine::error::chain;
use crate::includes;
use crate::outbox::outbox_insert;
use crate::registry::{Compared, compare};
use crate::run::Worker;
use crate::store::{StoreError, decode, encode, now_ms};

/// How many resources are compared before jobs get their turn: some 30 ms' worth.
const PART: usize = 128;
/// Between two parts.
const PAUSE: Duration = Duration::from_millis(100);
/// The first look comes soon after the start, when jobs that waited have had a moment.
const FIRST: Duration = Duration::from_secs(20);
/// Findings in one event: with 16 KiB each at most half of what a message may have.
const PER_EVENT: usize = 24;

/// Everything is reported again this often.
const AFRESH: Duration = Duration::from_hours(1);

/// Looks every so often, and whenever somebody asks for it. Never ends.
pub(crate) async fn keep_watch(worker: &Worker, period: Duration) {
    let mut pause = FIRST.min(period);
    let mut afresh: Option<Instant> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = worker.look_wanted.notified() => afresh = None,
        }
        pause = period;
        let scope = if afresh.is_some_and(|reported| reported.elapsed() < AFRESH) { Scope::Changes } else { Scope::Afresh };
        match look(worker, scope).await {
            Ok(()) if scope == Scope::Afresh => afresh = Some(Instant::now()),
            Ok(()) => {}
            Err(error) => tracing::warn!(error = chain(&error), "the host could not be compared with what was applied"),
        }
    }
}

/// What a report holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What has changed since the last one.
    Changes,
    /// Everything.
    Afresh,
}

/// Looks once, and stores what is to be reported.
async fn look(worker: &Worker, scope: Scope) -> Result<(), StoreError> {
    let set_aside = includes::look(&worker.engine, &worker.store.pool).await?;
    let found = compare_all(&worker.engine, PAUSE).await?;
    let look = Look { at_ms: now_ms(), resources: count(found.len()), drifted: count(drifted(&found)) };
    let mut tx = worker.store.pool.begin_with("BEGIN IMMEDIATE").await?;
    let before = kept(&mut tx).await?;
    let findings = changes(&found, &before, scope, look.at_ms);
    keep(&mut tx, &findings).await?;
    sqlx::query("INSERT OR REPLACE INTO looks (id, look) VALUES (1, ?)").bind(encode(&look)?).execute(&mut *tx).await?;
    let set_aside = match (scope, set_aside) {
        (Scope::Afresh, _) | (Scope::Changes, includes::Looked::Changed) => Some(includes::set_aside_list(&mut tx).await?),
        (Scope::Changes, includes::Looked::Same) => None,
    };
    let news = !findings.is_empty();
    tracing::debug!(resources = look.resources, findings = findings.len(), "a look for drift has ended");
    report(&mut tx, &worker.identity, findings, set_aside, scope).await?;
    tx.commit().await?;
    worker.event_came.notify_one();
    if news {
        tracing::warn!(resources = look.resources, drifted = look.drifted, "what is not as it was applied has changed");
    }
    Ok(())
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What was found of each resource.
pub type Found = Vec<(ResourceKey, Generation, Compared)>;

/// How many of them are not as applied.
#[must_use]
pub fn drifted(found: &Found) -> usize {
    found.iter().filter(|(_, _, compared)| matches!(compared, Compared::Different(_))).count()
}

/// Compares everything that was applied, in parts.
///
/// # Errors
/// A thread that looks ends without a result.
pub async fn compare_all(engine: &Engine, pause: Duration) -> Result<Found, StoreError> {
    let keys: Vec<ResourceKey> = engine.ledger().rows().applied().filter(|(_, _, job)| !job.is_deletion()).map(|(key, _, _)| key).collect();
    let mut found = Vec::with_capacity(keys.len());
    for part in keys.chunks(PART) {
        if !found.is_empty() {
            tokio::time::sleep(pause).await;
        }
        let _turn = engine.turn.lock().await;
        found.extend(compare(engine, part.to_vec()).await?);
    }
    Ok(found)
}

/// What was reported of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    generation: Generation,
    differences: Vec<Difference>,
    since_ms: i64,
}

type Reported = BTreeMap<ResourceKey, Kept>;

/// What is to be reported: what differs in another way than before, and what does not differ any more.
fn changes(found: &Found, before: &Reported, scope: Scope, now_ms: i64) -> Vec<DriftFinding> {
    let seen: HashMap<ResourceKey, &Compared> = found.iter().map(|(key, _, compared)| (*key, compared)).collect();
    let mut changes = Vec::new();
    for (resource, generation, compared) in found {
        let Compared::Different(differences) = compared else { continue };
        let kept = before.get(resource).filter(|kept| kept.generation == *generation);
        if scope == Scope::Changes && kept.is_some_and(|kept| kept.differences == *differences) {
            continue;
        }
        let since_ms = kept.map_or(now_ms, |kept| kept.since_ms);
        changes.push(DriftFinding { resource: *resource, generation: *generation, since_ms, differences: differences.clone() });
    }
    for (resource, kept) in before {
        match seen.get(resource) {
            // What cannot be compared is as it was said to be.
            Some(Compared::Different(_) | Compared::Unknown) => {}
            Some(Compared::Same) | None => {
                changes.push(DriftFinding { resource: *resource, generation: kept.generation, since_ms: now_ms, differences: Vec::new() })
            }
        }
    }
    changes
}

async fn kept(connection: &mut SqliteConnection) -> Result<Reported, StoreError> {
    let rows: Vec<(String, i64, String, i64)> =
        sqlx::query_as("SELECT resource, generation, differences, since_ms FROM drift").fetch_all(connection).await?;
    let mut reported = Reported::new();
    for (resource, generation, differences, since_ms) in rows {
        let kept = Kept { generation: Generation(generation), differences: decode("drift", &differences)?, since_ms };
        reported.insert(decode("drift", &encode(&resource)?)?, kept);
    }
    Ok(reported)
}

/// Keeps what is reported as different, and forgets what is reported as cleared.
async fn keep(connection: &mut SqliteConnection, findings: &[DriftFinding]) -> Result<(), StoreError> {
    for finding in findings {
        let resource = finding.resource.to_string();
        let query = if finding.differences.is_empty() {
            sqlx::query("DELETE FROM drift WHERE resource = ?").bind(resource)
        } else {
            sqlx::query("INSERT OR REPLACE INTO drift (resource, generation, differences, since_ms) VALUES (?, ?, ?, ?)")
                .bind(resource)
                .bind(finding.generation.0)
                .bind(encode(&finding.differences)?)
                .bind(finding.since_ms)
        };
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Stores the events of a look. Without news there is none.
async fn report(
    connection: &mut SqliteConnection,
    identity: &Identity,
    findings: Vec<DriftFinding>,
    set_aside: Option<Vec<SetAside>>,
    scope: Scope,
) -> Result<(), StoreError> {
    let (mut afresh, mut set_aside) = (scope == Scope::Afresh, set_aside);
    let mut rest = findings.into_iter().peekable();
    while afresh || set_aside.is_some() || rest.peek().is_some() {
        let findings = rest.by_ref().take(PER_EVENT).collect();
        let report = DriftReport { afresh, findings, set_aside: set_aside.take() };
        outbox_insert(connection, identity, Event::Drift(report)).await?;
        afresh = false;
    }
    Ok(())
}

/// Reports the include files that are set aside, at once.
pub(crate) async fn report_set_aside(worker: &Worker) -> Result<(), StoreError> {
    let mut tx = worker.store.pool.begin_with("BEGIN IMMEDIATE").await?;
    let set_aside = includes::set_aside_list(&mut tx).await?;
    report(&mut tx, &worker.identity, Vec::new(), Some(set_aside), Scope::Changes).await?;
    tx.commit().await?;
    worker.event_came.notify_one();
    Ok(())
}

/// The last look, for the heartbeat.
///
/// # Errors
/// The database fails.
pub async fn last_look(pool: &SqlitePool) -> Result<Option<Look>, StoreError> {
    let look: Option<String> = sqlx::query_scalar("SELECT look FROM looks WHERE id = 1").fetch_optional(pool).await?;
    look.map(|look| decode("looks", &look)).transpose()
}

#[cfg(test)]
mod tests {
    use shared::difference::Difference;
    use shared::ids::SiteId;
    use shared::jobs::{Generation, ResourceKey};

    use super::{Compared, Kept, Reported, Scope, changes};

    fn different(text: &str) -> Vec<Difference> {
        vec![Difference::Fact { text: text.to_owned() }]
    }

    fn reported(key: ResourceKey, generation: i64, text: &str) -> Reported {
        Reported::from([(key, Kept { generation: Generation(generation), differences: different(text), since_ms: 5 })])
    }

    #[test]
    fn a_difference_is_reported_once_with_the_time_it_was_first_seen() {
        let key = ResourceKey::Site(SiteId::new());
        let found = vec![(key, Generation(2), Compared::Different(different("a")))];
        let first = changes(&found, &Reported::new(), Scope::Changes, 5);
        assert_eq!((first.len(), first[0].since_ms), (1, 5));
        assert!(changes(&found, &reported(key, 2, "a"), Scope::Changes, 9).is_empty());
        let other = changes(&found, &reported(key, 2, "b"), Scope::Changes, 9);
        assert_eq!((other.len(), other[0].since_ms), (1, 5), "it differs in another way, since the same time");
        let newer = changes(&found, &reported(key, 1, "a"), Scope::Changes, 9);
        assert_eq!((newer.len(), newer[0].since_ms), (1, 9), "it was repaired in between");
        assert_eq!(changes(&found, &reported(key, 2, "a"), Scope::Afresh, 9).len(), 1);
    }

    #[test]
    fn what_is_as_applied_again_or_gone_is_cleared_and_what_cannot_be_compared_is_left() {
        let key = ResourceKey::Site(SiteId::new());
        let before = reported(key, 2, "a");
        for found in [vec![(key, Generation(2), Compared::Same)], Vec::new()] {
            let cleared = changes(&found, &before, Scope::Changes, 9);
            assert!(cleared.len() == 1 && cleared[0].differences.is_empty());
        }
        assert!(changes(&vec![(key, Generation(2), Compared::Unknown)], &before, Scope::Changes, 9).is_empty());
    }
}
