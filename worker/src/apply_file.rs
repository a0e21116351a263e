//! `gantry-worker apply-file`: jobs from files instead of the bus, for looking into a host by hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use shared::events::Verdict;
use shared::jobs::{JobEnvelope, SealedCryptHash};
use shared::names::CryptHash;
use worker::engine::{Engine, UnsealError, Unsealer};
use worker::registry::{carry_out, prepare_host};
use worker::store::Store;
use worker::system::System;

/// Hashes in files are not sealed: the field holds the hash itself.
struct Unsealed;

impl Unsealer for Unsealed {
    fn unseal(&self, sealed: &SealedCryptHash) -> Result<CryptHash, UnsealError> {
        sealed.sealed.parse().map_err(|_| UnsealError("not a hash".to_owned()))
    }
}

/// Recovers, prepares the host, carries the jobs out in order, and prints what came of each.
pub(crate) async fn apply_files(database: &Path, files: &[PathBuf], system: Arc<dyn System>) -> anyhow::Result<()> {
    if let Some(directory) = database.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let store = Store::open(database).await?;
    let engine = Engine::open(&store, system, Arc::new(Unsealed)).await?;
    tracing::info!(recovery = ?engine.recover().await?, "recovered");
    let prepared = prepare_host(&engine, &mut |_| ()).await?;
    tracing::info!(steps = prepared.steps.len(), failure = ?prepared.failure, "prepared");
    let mut failed = 0;
    for file in files {
        let text = std::fs::read(file).with_context(|| format!("could not read {}", file.display()))?;
        let envelope: JobEnvelope = serde_json::from_slice(&text).with_context(|| format!("{} is no job", file.display()))?;
        let outcome = carry_out(&engine, &envelope, &mut |_| ()).await;
        failed += usize::from(outcome.verdict != Verdict::Applied);
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    }
    if failed > 0 {
        bail!("{failed} of {} jobs were not applied", files.len());
    }
    Ok(())
}
