//! What a worker reports.
//!
//! Outcomes and resync answers are durable: they wait in the worker's outbox and travel through JetStream. Progress
//! and heartbeats are ephemeral: each message carries everything, so the newest one is enough.

use serde::{Deserialize, Serialize};

use crate::difference::Difference;
use crate::failure::{Effect, FailureCode};
use crate::ids::{Epoch, EventId, JobId, OperationId};
use crate::jobs::{Generation, ResourceKey};
use crate::names::{PhpVersion, ServerName};
use crate::record::JobRecord;
use crate::role::Role;
use crate::security::Refused;

/// A durable message of a worker. Signed as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventEnvelope {
    /// The wire format, [`crate::jobs::ENVELOPE_VERSION`].
    pub v: u16,
    /// Its identity; a repeat is dropped.
    pub id: EventId,
    /// The panel's instance the worker serves.
    pub epoch: Epoch,
    /// The worker's server.
    pub server: ServerName,
    /// What happened.
    pub event: Event,
}

/// What happened on a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A job has ended.
    Outcome(Outcome),
    /// The generations a worker's ledger holds, sent when the panel asks or the ledger was lost.
    Resync(Resync),
    /// The worker has refused something as a matter of security.
    Refused(Refused),
    /// What has drifted since the last look, and what no longer has.
    Drift(DriftReport),
    /// The configuration that applied states have become.
    Configured(Configured),
    /// A job is of a kind or version that this worker does not know. It has done nothing.
    Outdated(Outdated),
}

/// The job that a worker is too old for: what it could read of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outdated {
    /// The job.
    pub job: JobId,
    /// The attempt this ends.
    pub attempt: u32,
    /// The wire format of the job.
    pub version: u16,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The job.
    pub job: JobId,
    /// Its request.
    pub operation: OperationId,
    /// Its resource.
    pub resource: ResourceKey,
    /// Its generation.
    pub generation: Generation,
    /// The attempt this ends.
    pub attempt: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// Every step, in order.
    pub steps: Vec<StepReport>,
    /// When the worker began, epoch milliseconds by its clock.
    pub started_ms: i64,
    /// When it ended, epoch milliseconds by its clock.
    pub finished_ms: i64,
    /// What was planned, and in which company it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<JobRecord>,
}

/// The ways a job ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The host is as wanted, and was proved to be.
    Applied,
    /// The host has a newer state already; nothing was done.
    Superseded,
    /// It failed.
    Failed {
        /// Why.
        code: FailureCode,
        /// What is left of it on the host.
        effect: Effect,
        /// For admins: the raw message, file and line. Never shown to clients.
        detail: String,
    },
}

/// One visible part of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// A short name a client understands, such as `nginx test`.
    pub name: String,
    /// Where it stands.
    pub state: StepState,
    /// How long it took, milliseconds; absent until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u32>,
    /// For admins: what was run and what it printed, cut to 4 KiB. Never shown to clients.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// With how many other jobs of its batch the step was shared: one test or reload for all, its duration included.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shared_with: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Waiting,
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Was done, and has been undone because a later step failed.
    Undone,
}

/// The newest state of a job under way. Core NATS, lost without harm. Signed as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The worker's server.
    pub server: ServerName,
    /// The job.
    pub job: JobId,
    /// Its request.
    pub operation: OperationId,
    /// The attempt.
    pub attempt: u32,
    /// Counts up within the attempt, so that a late message does not overwrite a newer one.
    pub sequence: u32,
    /// All steps so far, the waiting ones included.
    pub steps: Vec<StepReport>,
    /// Why the job waits although it has begun: somebody's hand has broken a configuration that nothing can be changed in
    /// until it is mended. For admins: what the daemon says, file and line, cut to 4 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
}

/// "I am here, and this is how I am." Every ten seconds. Signed as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The worker's server.
    pub server: ServerName,
    /// The worker's clock, epoch milliseconds.
    pub at_ms: i64,
    /// Random at each start of the worker: two workers with one identity show as two.
    pub boot: String,
    /// The worker's version.
    pub version: String,
    /// The roles it can serve, with the health of their daemons.
    pub roles: Vec<RoleHealth>,
    /// Installed PHP versions, ascending.
    pub php_versions: Vec<PhpVersion>,
    /// About the machine.
    pub host: HostFacts,
    /// Jobs in the inbox that have not ended.
    pub jobs_waiting: u32,
    /// Events in the outbox that the bus has not taken.
    pub events_waiting: u32,
    /// The highest generations are compared with this: how many resources the ledger holds.
    pub ledger_resources: u32,
    /// The last look for drift; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
}

/// A look for drift: everything applied was planned again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// When it ended, epoch milliseconds by the worker's clock.
    pub at_ms: i64,
    /// How many resources were compared.
    pub resources: u32,
    /// How many were not as applied.
    pub drifted: u32,
}

/// Whether a role's daemons work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleHealth {
    /// The role.
    pub role: Role,
    /// Whether its daemons run.
    pub healthy: bool,
    /// Names and versions, or what is wrong, such as `nginx 1.22.1` or `nginx is not running`.
    pub summary: String,
}

/// About the machine a worker runs on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HostFacts {
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Such as `6.1.0-31-amd64`.
    pub kernel: String,
    /// Processors.
    pub cpus: u32,
    /// Load average over one minute.
    pub load1: f64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Memory in use in MiB, caches not counted.
    pub memory_used_mib: u64,
    /// Size of the file system that holds `/home`, MiB.
    pub disk_mib: u64,
    /// Its used part, MiB.
    pub disk_used_mib: u64,
    /// Seconds since boot.
    pub uptime_s: u64,
}

/// What a worker's ledger holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resync {
    /// True if the ledger was found empty or damaged and begun anew.
    pub ledger_lost: bool,
    /// The applied generation of each resource.
    pub applied: Vec<(ResourceKey, Generation)>,
}

/// How a host differs from what was applied: what is new since the last report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DriftReport {
    /// What was reported before is void: this report, and those right after it, hold everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub afresh: bool,
    /// Resources whose differences are others than before.
    pub findings: Vec<DriftFinding>,
    /// Every include file that is set aside, and every file of the server's base that was written again within a day, if that has
    /// changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<Vec<SetAside>>,
}

/// How one resource differs from what was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftFinding {
    /// Which.
    pub resource: ResourceKey,
    /// The applied generation it was compared with.
    pub generation: Generation,
    /// When it was first seen, epoch milliseconds by the worker's clock.
    pub since_ms: i64,
    /// Nothing: it is as applied again.
    pub differences: Vec<Difference>,
}

/// A file that was set aside because nginx or a site could not live with it, or one of the server's base that was written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// Where it lies now. One that is set aside has `.broken` behind its name.
    pub path: String,
    /// What nginx said of it, or how it differed, cut to 4 KiB.
    pub said: String,
    /// When, epoch milliseconds by the worker's clock.
    pub at_ms: i64,
}

/// The configuration that applied states of sites have become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// One for each state.
    pub sites: Vec<SiteConfiguration>,
}

/// A site's configuration in one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteConfiguration {
    /// The site.
    pub resource: ResourceKey,
    /// Its generation.
    pub generation: Generation,
    /// The vhost's file.
    pub path: String,
    /// What it holds.
    pub text: String,
}
