//! `gantry-worker apply-file` and `gantry-worker look`: jobs from files instead of the bus, and looks for drift without one, for looking
//! into a host by hand and for measuring.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use shared::events::{Outcome, Verdict};
use shared::jobs::{JobEnvelope, SealedCryptHash};
use shared::names::CryptHash;
use worker::drift::{compare_all, drifted};
use worker::engine::{Engine, UnsealError, Unsealer};
use worker::registry::{Carried, carry_out_batch, prepare_host};
use worker::store::Store;
use worker::system::{System, programs_started};

/// Hashes in files are not sealed: the field holds the hash itself.
struct Unsealed;

impl Unsealer for Unsealed {
    fn unseal(&self, sealed: &SealedCryptHash) -> Result<CryptHash, UnsealError> {
        sealed.sealed.parse().map_err(|_| UnsealError("not a hash".to_owned()))
    }
}

/// A file holds one envelope, or a list of them that is carried out as one batch.
#[derive(Deserialize)]
#[serde(untagged)]
enum Jobs {
    One(Box<JobEnvelope>),
    Batch(Vec<JobEnvelope>),
}

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Print {
    /// Every outcome.
    Outcomes,
    /// One line for each file: how many jobs, how they ended, and how long it took.
    Summaries,
}

/// In which order things are done that do not depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Side by side, as a worker does them.
    SideBySide,
    /// One after another, the same in every run.
    Fixed,
}

#[derive(Serialize)]
struct Summary<'a> {
    file: &'a Path,
    jobs: usize,
    applied: usize,
    blocked: usize,
    ms: u128,
    /// This process's memory after it.
    rss_mib: u64,
}

/// Recovers, prepares the host, carries the files out in order, and prints what came of each.
pub(crate) async fn apply_files(
    database: &Path,
    files: &[PathBuf],
    (print, order): (Print, Order),
    system: Arc<dyn System>,
) -> anyhow::Result<()> {
    if let Some(directory) = database.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let store = Store::open(database).await?;
    let engine = Engine::open(&store, system, Arc::new(Unsealed)).await?;
    let engine = match order {
        Order::SideBySide => engine,
        Order::Fixed => engine.single_threaded(),
    };
    tracing::info!(recovery = ?engine.recover().await?, "recovered");
    let prepared = prepare_host(&engine, &mut |_| ()).await?;
    tracing::info!(steps = prepared.steps.len(), failure = ?prepared.failure, "prepared");
    let mut failed = 0;
    for file in files {
        let text = std::fs::read(file).with_context(|| format!("could not read {}", file.display()))?;
        let jobs: Jobs = serde_json::from_slice(&text).with_context(|| format!("{} is no job", file.display()))?;
        let jobs = match jobs {
            Jobs::One(job) => vec![*job],
            Jobs::Batch(jobs) => jobs,
        };
        failed += apply(&engine, file, jobs, print).await?;
    }
    if failed > 0 {
        bail!("{failed} jobs were not applied");
    }
    Ok(())
}

#[derive(Serialize)]
struct Looks {
    resources: usize,
    drifted: usize,
    /// Each look, in order.
    ms: Vec<f64>,
    /// What one look takes of a processor, on average.
    cpu_ms: f64,
    /// Programs that were started for them.
    programs: usize,
    /// This process's memory after them.
    rss_mib: u64,
}

/// Compares the host with what was applied, so many times, without the pauses of a worker at work.
pub(crate) async fn look(database: &Path, times: usize, system: Arc<dyn System>) -> anyhow::Result<()> {
    let store = Store::open(database).await?;
    let engine = Engine::open(&store, system, Arc::new(Unsealed)).await?;
    let mut looks = Looks { resources: 0, drifted: 0, ms: Vec::new(), cpu_ms: 0.0, programs: 0, rss_mib: 0 };
    let (programs, cpu) = (programs_started(), cpu_ms()?);
    for _ in 0..times {
        let began = Instant::now();
        let found = compare_all(&engine, Duration::ZERO).await?;
        looks.ms.push(began.elapsed().as_secs_f64() * 1000.0);
        (looks.resources, looks.drifted) = (found.len(), drifted(&found));
    }
    looks.cpu_ms = (cpu_ms()? - cpu) / times.max(1) as f64;
    looks.programs = programs_started() - programs;
    looks.rss_mib = rss_mib();
    println!("{}", serde_json::to_string(&looks)?);
    Ok(())
}

/// The processor time of this process and of the programs it has waited for, in milliseconds: fields 14 to 17 of proc_pid_stat(5),
/// in hundredths of a second.
fn cpu_ms() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("/proc/self/stat has no name")?;
    let ticks = fields.split_whitespace().skip(11).take(4).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(f64::from(ticks) * 10.0)
}

/// Carries out a batch, and what it had to leave for the next. How many jobs were not applied.
async fn apply(engine: &Engine, file: &Path, jobs: Vec<JobEnvelope>, print: Print) -> anyhow::Result<usize> {
    let (began, all) = (Instant::now(), jobs.len());
    let (mut left, mut outcomes, mut blocked): (_, Vec<Outcome>, _) = (jobs, Vec::new(), 0);
    while !left.is_empty() {
        let carried = carry_out_batch(engine, &left, &mut |_, _| ()).await;
        let mut deferred = Vec::new();
        for (job, carried) in left.into_iter().zip(carried) {
            match carried {
                Carried::Ended(outcome) => outcomes.push(outcome),
                Carried::Deferred => deferred.push(job),
                Carried::Blocked { said, .. } => {
                    tracing::warn!(job.id = %job.id, detail = said, "blocked");
                    blocked += 1;
                }
            }
        }
        left = deferred;
    }
    let ms = began.elapsed().as_millis();
    let applied = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Applied).count();
    match print {
        Print::Outcomes => outcomes.iter().try_for_each(|outcome| serde_json::to_string_pretty(outcome).map(|text| println!("{text}")))?,
        Print::Summaries => println!("{}", serde_json::to_string(&Summary { file, jobs: all, applied, blocked, ms, rss_mib: rss_mib() })?),
    }
    Ok(all - applied)
}

/// This process's resident memory (proc(5), `VmRSS`); 0 if it cannot be read.
fn rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib / 1024)
}
