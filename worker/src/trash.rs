//! Empties the trash: the trees that jobs have moved aside.
//!
//! **A job never waits for it**: what lies here has no user, no site and no name any more. A part of a tree goes at a time, with
//! pauses, so that requests and jobs find the disk free; a worker that is cut off goes on at its next start.
//! **What may still come back stays**: the trash is looked into between two batches, and only the trees of accounts that the
//! ledger knows as deleted are removed; a deletion that waits outside of its batch is not in the ledger. Whatever else lies here, such as what a failed undo could
//! not bring back, is left to a person.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::jobs::{Job, Presence};
use tokio::sync::Notify;

use crate::engine::error::chain;
use crate::engine::image::Entry;
use crate::engine::{Engine, blocking};
use crate::ledger::Rows;
use crate::roles::web::paths::{TRASH, trash_prefix};
use crate::store::StoreError;
use crate::system::{Removed, System, SystemError};

/// Names removed in one go: some ten milliseconds of a disk's time.
const PORTION: usize = 256;
/// A pause is so many times as long as the removal before it, and at least [`LEAST_PAUSE`].
const PAUSE_FACTOR: u32 = 3;
const LEAST_PAUSE: Duration = Duration::from_millis(5);
/// What could not be removed is tried again after this time.
const SWEEP: Duration = Duration::from_hours(1);

/// Empties the trash whenever something may have come into it. Never ends.
pub(crate) async fn keep_empty(engine: &Engine, came: &Notify) {
    loop {
        if let Err(error) = empty(engine).await {
            tracing::warn!(error = chain(&error), "the trash could not be emptied");
        }
        let _ = tokio::time::timeout(SWEEP, came.notified()).await;
    }
}

/// Empties the trash. A tree that cannot be removed does not keep the others.
///
/// # Errors
/// The journal cannot be read or written, or a thread panicked. What the host refuses is logged.
pub async fn empty(engine: &Engine) -> Result<(), StoreError> {
    let system = engine.system();
    let trees = match settled_trees(engine).await? {
        Ok(trees) => trees,
        Err(error) => {
            tracing::warn!(error = chain(&error), "the trash could not be listed");
            return Ok(());
        }
    };
    for tree in trees {
        if let Err(error) = remove(system, &tree).await? {
            tracing::warn!(tree = %tree.display(), error = chain(&error), "a deleted account's files could not be removed");
        }
    }
    Ok(())
}

/// The trees whose jobs have passed their commit point.
async fn settled_trees(engine: &Engine) -> Result<Result<Vec<PathBuf>, SystemError>, StoreError> {
    let _turn = engine.turn.lock().await;
    engine.recover_in_turn().await?;
    let system = Arc::clone(engine.system());
    let gone = prefixes_of_the_deleted(&engine.ledger().rows());
    let listed = blocking(move || trees(system.as_ref())).await?;
    Ok(listed.map(|trees| trees.into_iter().filter(|tree| is_gone(tree, &gone)).collect()))
}

/// How the names of the trees of deleted accounts begin.
fn prefixes_of_the_deleted(rows: &Rows) -> Vec<String> {
    let deleted = |job: &Job| match job {
        Job::Account(spec) if spec.presence == Presence::Deleted => Some(trash_prefix(&spec.user, spec.uid.get())),
        Job::Account(_) | Job::PhpPool(_) | Job::Site(_) | Job::Worker(_) => None,
    };
    rows.applied().filter_map(|(_, _, job)| deleted(job)).collect()
}

fn is_gone(tree: &Path, gone: &[String]) -> bool {
    let name = tree.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let known = gone.iter().any(|prefix| name.starts_with(prefix.as_str()));
    if !known {
        tracing::error!(tree = %tree.display(), "these files belong to no account that was deleted; they are kept");
    }
    known
}

fn trees(system: &dyn System) -> Result<Vec<PathBuf>, SystemError> {
    let trash = Path::new(TRASH);
    if system.entry(trash)? == Entry::Absent {
        return Ok(Vec::new());
    }
    Ok(system.list(trash)?.into_iter().map(|name| trash.join(name)).collect())
}

async fn remove(system: &Arc<dyn System>, tree: &Path) -> Result<Result<(), SystemError>, StoreError> {
    loop {
        let (host, path, began) = (Arc::clone(system), tree.to_owned(), Instant::now());
        match blocking(move || host.remove_some(&path, PORTION)).await? {
            Ok(Removed::Part) => tokio::time::sleep(LEAST_PAUSE.max(began.elapsed() * PAUSE_FACTOR)).await,
            Ok(Removed::All) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
    }
}
