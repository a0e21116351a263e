//! An admin's own nginx configuration for a server, an account or a site: files that every vhost includes and no job writes.
//!
//! **It is tested like everything else**: nginx takes up a file only once its own test has accepted the whole tree with it.
//! **A file that nginx refuses, at its test or when it is to take it up, or with which a site no longer answers its probe, is set
//! aside**, under its name with `.broken` behind it, so that it holds up nobody's job. Whoever mends it gives it its name back.
//! **Nothing is run as long as no file has changed.**

mod asking;
mod blame;
mod files;
mod taking;

use std::path::PathBuf;

use shared::events::{Outcome, SetAside, Verdict};
use shared::failure::FailureCode;
use shared::jobs::{Job, JobEnvelope};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;

use self::asking::is_read_for;
use self::blame::refused;
use self::files::{Digests, digests, left_away, lying_aside, set_aside};
use self::taking::{changed, take_up};
use crate::engine::check::nginx_changes;
use crate::engine::error::chain;
use crate::engine::image::Entry;
use crate::engine::{Engine, blocking};
use crate::registry::plan;
use crate::run::Worker;
use crate::store::{StoreError, encode, now_ms};
use crate::system::{SystemError, cut};

/// Whether the set of files that are set aside is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// It is the same.
    Same,
    /// It is not.
    Changed,
}

impl Looked {
    const fn or(self, other: Self) -> Self {
        match self {
            Self::Changed => Self::Changed,
            Self::Same => other,
        }
    }
}

/// Has nginx take up files that have changed, and sets aside those that cannot stay.
///
/// # Errors
/// The database fails.
pub async fn look(engine: &Engine, pool: &SqlitePool) -> Result<Looked, StoreError> {
    let forgotten = forget_mended(engine, pool).await?;
    let system = engine.system().clone();
    let seen = blocking(move || Ok((digests(system.as_ref())?, left_away(system.as_ref())?, lying_aside(system.as_ref())?)));
    let (found, left, aside) = match seen.await? {
        Ok(found) => found,
        Err(error) => {
            let error: SystemError = error;
            tracing::warn!(error = chain(&error), "the include files could not be read");
            return Ok(forgotten);
        }
    };
    let looked = forgotten.or(keep_untold(pool, &aside).await?);
    if left.is_empty() && read_before(pool).await? == found {
        return Ok(looked);
    }
    let _turn = engine.turn.lock().await;
    // Another look may have had the turn before.
    let (read, rows, system) = (read_before(pool).await?, engine.ledger().rows(), engine.system().clone());
    let (broken, taken) = blocking(move || take_up(system.as_ref(), &rows, &read)).await?;
    for one in &broken {
        keep(pool, one).await?;
    }
    match taken {
        Ok(digests) => {
            let digests = encode(&digests)?;
            sqlx::query("INSERT OR REPLACE INTO includes_read (id, digest) VALUES (1, ?)").bind(digests).execute(pool).await?;
        }
        Err(error) => tracing::warn!(error = chain(&error), "changed include files could not be taken up; the next look tries again"),
    }
    Ok(if broken.is_empty() { looked } else { Looked::Changed })
}

/// Sets the files aside that are the cause of a refusal, if there are such; `None` if not. Of several jobs that were refused for
/// one file, the first has it set aside, and the others find it gone.
///
/// `of` is the job whose own candidate was refused: the tree is looked at as that job would leave it. Without one it is the live
/// tree that nginx refuses.
pub(crate) async fn set_aside_cause(
    engine: &Engine,
    pool: &SqlitePool,
    said: &str,
    of: Option<&JobEnvelope>,
) -> Result<Option<Looked>, StoreError> {
    if said.is_empty() {
        return Ok(None);
    }
    let staged = match of {
        // One that cannot be planned any more is judged by the live tree, where nothing but a name proves anything.
        Some(envelope) => plan(engine, envelope).await.map_or_else(|_| Vec::new(), |plan| nginx_changes(plan.steps.iter())),
        None => Vec::new(),
    };
    let site = of.and_then(|envelope| if let Job::Site(site) = &envelope.job { Some(site.clone()) } else { None });
    let read = read_before(pool).await?;
    let _turn = engine.turn.lock().await;
    let (system, said) = (engine.system().clone(), said.to_owned());
    let found = blocking(move || {
        let system = system.as_ref();
        let found = digests(system)?;
        let suspects: Vec<PathBuf> = match &site {
            // nginx may never have read them: until now they were for no site.
            Some(site) => found.into_keys().filter(|path| is_read_for(path, site)).collect(),
            None => changed(&read, &found),
        };
        let guilty = refused(system, &suspects, &staged, &said)?;
        let there = guilty.iter().filter(|path| !matches!(system.entry(path), Ok(Entry::Absent)));
        let aside = there.map(|path| set_aside(system, path, path, &said)).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, SystemError>((!guilty.is_empty()).then_some(aside))
    });
    match found.await? {
        Ok(Some(aside)) => {
            for one in &aside {
                keep(pool, one).await?;
            }
            Ok(Some(if aside.is_empty() { Looked::Same } else { Looked::Changed }))
        }
        Ok(None) => Ok(None),
        Err(error) => {
            tracing::warn!(error = chain(&error), "a broken include file could not be set aside");
            Ok(None)
        }
    }
}

/// Adds to the failure of a site which include files it has: they may be the cause, and nobody else would name them.
pub(crate) async fn name_includes(worker: &Worker, envelope: &JobEnvelope, outcome: &mut Outcome) -> Result<(), StoreError> {
    let (Job::Site(site), Verdict::Failed { code, detail, .. }) = (&envelope.job, &mut outcome.verdict) else { return Ok(()) };
    if !matches!(code, FailureCode::ServiceDown | FailureCode::ProbeFailed | FailureCode::WebServerRefused) {
        return Ok(());
    }
    let system = worker.engine.system().clone();
    let found = blocking(move || digests(system.as_ref())).await?.unwrap_or_default();
    let names: Vec<String> = found.into_keys().filter(|path| is_read_for(path, site)).map(|path| path.display().to_string()).collect();
    if !names.is_empty() {
        *detail = cut(format!("{detail}\nnginx also reads for it, and may say otherwise: {}", names.join(" ")), 4096);
    }
    Ok(())
}

/// What nginx has read of the files.
async fn read_before(pool: &SqlitePool) -> Result<Digests, StoreError> {
    let read: Option<String> = sqlx::query_scalar("SELECT digest FROM includes_read WHERE id = 1").fetch_optional(pool).await?;
    // An older worker kept one digest for all: then every file is read once more.
    Ok(read.and_then(|read| serde_json::from_str(&read).ok()).unwrap_or_default())
}

/// Every file that is set aside.
///
/// # Errors
/// The database fails.
pub async fn set_aside_list(connection: &mut SqliteConnection) -> Result<Vec<SetAside>, StoreError> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT path, said, at_ms FROM set_aside ORDER BY path LIMIT 100").fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(path, said, at_ms)| SetAside { path, said, at_ms }).collect())
}

/// Keeps one to be told.
pub(crate) async fn keep(pool: &SqlitePool, one: &SetAside) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO set_aside (path, said, at_ms) VALUES (?, ?, ?)")
        .bind(&one.path)
        .bind(&one.said)
        .bind(one.at_ms)
        .execute(pool)
        .await?;
    Ok(())
}

/// What is said of a file of which nothing else is known.
const UNTOLD: &str = "it is set aside, and why is not known: the worker was ended meanwhile, or somebody gave it this name";

/// Keeps those to be told of which nobody has been: the worker was cut off after it had set them aside.
async fn keep_untold(pool: &SqlitePool, aside: &[PathBuf]) -> Result<Looked, StoreError> {
    if aside.is_empty() {
        return Ok(Looked::Same);
    }
    let paths: Vec<String> = aside.iter().map(|path| path.display().to_string()).collect();
    // One that is being set aside just now gets its own words after this, or has them.
    let kept = sqlx::query("INSERT OR IGNORE INTO set_aside (path, said, at_ms) SELECT value, $2, $3 FROM json_each($1)")
        .bind(encode(&paths)?)
        .bind(UNTOLD)
        .bind(now_ms())
        .execute(pool)
        .await?;
    Ok(if kept.rows_affected() > 0 { Looked::Changed } else { Looked::Same })
}

/// A file of the host's base that was written again is news for so long; nobody has to do anything about it.
const NEWS_MS: i64 = 24 * 3600 * 1000;

/// Forgets those that somebody has taken away since, and what is no news any more.
async fn forget_mended(engine: &Engine, pool: &SqlitePool) -> Result<Looked, StoreError> {
    let rewritten = "DELETE FROM set_aside WHERE path NOT LIKE '%.broken%' AND at_ms < ?";
    let old = sqlx::query(rewritten).bind(now_ms() - NEWS_MS).execute(pool).await?.rows_affected();
    let paths: Vec<String> = sqlx::query_scalar("SELECT path FROM set_aside").fetch_all(pool).await?;
    let mut looked = if old > 0 { Looked::Changed } else { Looked::Same };
    for path in paths {
        let (system, at) = (engine.system().clone(), PathBuf::from(&path));
        if matches!(blocking(move || system.entry(&at)).await?, Ok(Entry::Absent)) {
            sqlx::query("DELETE FROM set_aside WHERE path = ?").bind(path).execute(pool).await?;
            looked = Looked::Changed;
        }
    }
    Ok(looked)
}

#[cfg(test)]
mod tests;
