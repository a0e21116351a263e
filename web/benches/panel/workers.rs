//! The workers of a whole fleet in one process: each with a connection and keys of its own, speaking what a worker speaks. They
//! carry nothing out: what is asked for is done at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use shared::bus::authority::BusAddress;
use shared::bus::credentials::{Credentials, user_key};
use shared::bus::signing::{Purpose, sign};
use shared::bus::worker::{Command, WorkerBus};
use shared::events::{Event, EventEnvelope, Outcome, Progress, StepReport, StepState, Verdict};
use shared::ids::{Epoch, EventId};
use shared::jobs::{ENVELOPE_VERSION, JobEnvelope};
use shared::names::ServerName;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc;
use web::store::now_ms;

use crate::sse::now_us;
use crate::world::heartbeat;

/// Who the workers are; what a real one keeps in its identity.
#[derive(Serialize, Deserialize)]
pub(crate) struct Crew {
    pub(crate) bus: BusAddress,
    pub(crate) epoch: Epoch,
    pub(crate) panel_key: String,
    pub(crate) stream: String,
    pub(crate) workers: Vec<(ServerName, Credentials)>,
}

/// As often as a real worker.
const BEAT: Duration = Duration::from_secs(10);

/// Runs until standard input ends. Says `ready` when all are connected; from `tell` on says of each job when it was done.
pub(crate) async fn run(file: &str) -> anyhow::Result<()> {
    let crew: Arc<Crew> = Arc::new(serde_json::from_slice(&std::fs::read(file)?)?);
    let tells = Arc::new(AtomicBool::new(false));
    let (connected, mut count) = mpsc::unbounded_channel();
    for number in 0..crew.workers.len() {
        let (crew, tells, connected) = (Arc::clone(&crew), Arc::clone(&tells), connected.clone());
        tokio::spawn(async move {
            if let Err(error) = live(&crew, number, &tells, &connected).await {
                eprintln!("worker {number}: {error:#}");
            }
        });
    }
    for _ in 0..crew.workers.len() {
        count.recv().await.context("a worker is missing")?;
    }
    println!("ready");
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while orders.next_line().await?.is_some() {
        tells.store(true, Ordering::Relaxed);
    }
    Ok(())
}

async fn live(crew: &Crew, number: usize, tells: &AtomicBool, connected: &mpsc::UnboundedSender<()>) -> anyhow::Result<()> {
    let (server, credentials) = &crew.workers[number];
    let bus = loop {
        match WorkerBus::connect(&crew.bus, server, credentials).await {
            Ok(bus) => break bus,
            // Dispatch has not made its account yet.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    };
    let commands = loop {
        match bus.commands(&crew.stream).await {
            Ok(commands) => break commands,
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    };
    connected.send(())?;
    let work = async {
        let mut commands = Box::pin(commands);
        while let Some(chunk) = commands.next().await {
            for command in chunk {
                carry_out(crew, &bus, &credentials.seed, &command?, tells).await?;
            }
        }
        anyhow::bail!("the stream of jobs ended")
    };
    tokio::try_join!(beat(&bus, server, number), work).map(|((), ())| ())
}

async fn beat(bus: &WorkerBus, server: &ServerName, number: usize) -> anyhow::Result<()> {
    // Not all in the same instant.
    tokio::time::sleep(BEAT * u32::try_from(number % 1000)? / 1000).await;
    loop {
        bus.publish_heartbeat(&heartbeat(server.clone())?).await?;
        tokio::time::sleep(BEAT).await;
    }
}

/// The steps that a site has.
const STEPS: [&str; 7] = ["folders", "placeholder page", "vhost", "nginx test", "enable", "nginx reload", "probe"];

fn steps(state: StepState) -> Vec<StepReport> {
    let step = |name: &&str| StepReport { name: (*name).to_owned(), state, ms: Some(3), detail: String::new(), shared_with: 0 };
    STEPS.iter().map(step).collect()
}

async fn carry_out(crew: &Crew, bus: &WorkerBus, seed: &str, command: &Command, tells: &AtomicBool) -> anyhow::Result<()> {
    let job: JobEnvelope = command.open(&crew.panel_key)?;
    command.acknowledge().await?;
    bus.publish_progress(&Progress {
        server: job.server.clone(),
        job: job.id,
        operation: job.operation,
        attempt: job.attempt,
        sequence: 1,
        steps: steps(StepState::Running),
        blocked: None,
    })
    .await?;
    let outcome = Outcome {
        job: job.id,
        operation: job.operation,
        resource: job.resource,
        generation: job.generation,
        attempt: job.attempt,
        verdict: Verdict::Applied,
        steps: steps(StepState::Done),
        started_ms: now_ms(),
        finished_ms: now_ms() + 1,
        record: None,
    };
    let envelope =
        EventEnvelope { v: ENVELOPE_VERSION, id: EventId::new(), epoch: crew.epoch, server: job.server, event: Event::Outcome(outcome) };
    let began = now_us();
    bus.publish_event(&envelope.id.to_string(), &sign(Purpose::Event, &user_key(seed)?, &envelope)?).await?;
    if tells.load(Ordering::Relaxed) {
        println!("{} {began}", job.resource);
    }
    Ok(())
}
