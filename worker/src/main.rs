//! `gantry-worker`: see the library for what it does.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use shared::events::Verdict;
use shared::jobs::{JobEnvelope, SealedCryptHash};
use shared::names::CryptHash;
use worker::engine::{Engine, UnsealError, Unsealer};
use worker::store::Store;
use worker::{registry, system};

/// Gantry's agent on a host.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Validates a configuration in a private copy of the tree; the worker starts this itself.
    #[command(hide = true)]
    Stage,
    /// Carries out jobs from files, one envelope each, and prints each outcome. For looking into a host by hand.
    #[command(hide = true)]
    ApplyFile {
        /// The worker's database.
        #[arg(long, default_value = "/var/lib/gantry-worker/apply-file.db")]
        database: PathBuf,
        /// Envelopes in JSON.
        files: Vec<PathBuf>,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        // Before anything starts a thread: a namespace is left by a process with one thread only.
        Command::Stage => Ok(system::stage_child()),
        Command::ApplyFile { database, files } => {
            tracing_subscriber::fmt().with_writer(std::io::stderr).init();
            tokio::runtime::Runtime::new()?.block_on(apply_files(database, files))
        }
    }
}

/// Hashes in files are not sealed: the field holds the hash itself.
struct Unsealed;

impl Unsealer for Unsealed {
    fn unseal(&self, sealed: &SealedCryptHash) -> Result<CryptHash, UnsealError> {
        sealed.sealed.parse().map_err(|_| UnsealError("not a hash".to_owned()))
    }
}

async fn apply_files(database: PathBuf, files: Vec<PathBuf>) -> anyhow::Result<ExitCode> {
    if let Some(directory) = database.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let opened = Store::open(&database).await?;
    let engine = Engine::open(&opened.store, Arc::new(system::Real::new()), Arc::new(Unsealed)).await?;
    let recovery = engine.recover().await?;
    eprintln!("{recovery:?}");
    let prepared = registry::prepare_host(&engine, &mut |_| ()).await?;
    eprintln!("{}", serde_json::to_string_pretty(&prepared.steps)?);
    if let Some(failure) = prepared.failure {
        eprintln!("{failure:?}");
    }
    let mut all_well = true;
    for file in files {
        let text = std::fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
        let envelope: JobEnvelope = serde_json::from_slice(&text).with_context(|| format!("{} is no job", file.display()))?;
        let outcome = registry::carry_out(&engine, &envelope, &mut |_| ()).await;
        all_well &= outcome.verdict == Verdict::Applied;
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
