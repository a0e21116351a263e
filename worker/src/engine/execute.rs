//! One job of a batch: where it stands in its plan, and what it does by itself.
//!
//! **Knows no feature.** What is done, and in which order, is the plan's; this module must not grow a special case.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::events::{StepReport, StepState};
use shared::failure::Effect;
use shared::names::DomainName;

use super::check;
use super::error::{StepError, chain};
use super::image::UnitState;
use super::plan::{Action, Expect, Plan};
use super::progress::{Progress, Tell};
use super::together::Together;
use super::undo::{Undo, capture};
use crate::store::StoreError;
use crate::system::{ProbeAnswer, Question, System, SystemError};

/// Where before-images become durable.
pub(crate) trait Journal {
    /// Keeps undos, each of the job with that number. When this returns, they survive a power cut.
    fn record(&mut self, undos: &[(usize, &Undo)]) -> Result<(), StoreError>;
}

/// How a job of a batch ended.
pub(crate) struct Executed {
    /// The visible steps.
    pub(crate) steps: Vec<StepReport>,
    /// How it ended.
    pub(crate) end: End,
}

/// The ways a job ends on the host.
pub(crate) enum End {
    /// All its steps are done.
    Done,
    /// It failed.
    Failed(Failure),
    /// Somebody's hand has broken the web server's configuration, as nginx says. What had been done has been put back.
    Blocked(String),
    /// Something that was done once for several jobs failed, and nobody can say whose fault it is. What had been done has been
    /// put back; the jobs are to be carried out again, fewer at a time. What failed.
    Apart(Arc<StepError>),
}

/// A plan that failed.
pub(crate) struct Failure {
    /// Why.
    pub(crate) error: Arc<StepError>,
    /// What is left of it.
    pub(crate) effect: Effect,
}

/// Why a job leaves its batch. It has not been put back yet.
pub(crate) enum Trouble {
    /// Its own fault, or that of what it met.
    Fails(Arc<StepError>),
    /// As [`End::Blocked`].
    Blocked(String),
    /// As [`End::Apart`].
    Apart(Arc<StepError>),
}

impl Trouble {
    pub(crate) fn is_interruption(&self) -> bool {
        matches!(self, Self::Fails(error) if error.is_interruption())
    }
}

impl<E: Into<StepError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Fails(Arc::new(error.into()))
    }
}

/// A job on its way through its plan.
pub(crate) struct Member<'a> {
    /// Its number in the batch.
    pub(crate) job: usize,
    pub(crate) plan: &'a Plan,
    /// The next step.
    pub(crate) at: usize,
    /// The undos of the steps from there on that are in the journal and not begun.
    pub(crate) captured: Vec<Option<Undo>>,
    /// The undos of the steps that have begun.
    pub(crate) done: Vec<Undo>,
    pub(crate) progress: Progress<'a>,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) end: Option<End>,
}

impl<'a> Member<'a> {
    pub(crate) fn new(job: usize, plan: &'a Plan, tell: &'a Tell) -> Self {
        let progress = Progress::new(job, plan, tell);
        Self { job, plan, at: 0, captured: Vec::new(), done: Vec::new(), progress, trouble: None, end: None }
    }

    /// Whether it is still under way, or waits at its end for the others.
    pub(crate) const fn is_in(&self) -> bool {
        self.end.is_none() && self.trouble.is_none()
    }

    /// The next action, while it is under way.
    pub(crate) fn next(&self) -> Option<&'a Action> {
        let step = self.plan.steps.get(self.at).filter(|_| self.is_in())?;
        Some(&step.action)
    }

    /// Whether its next step is one that it does by itself.
    pub(crate) fn is_alone(&self) -> bool {
        self.next().is_some_and(|action| Together::of(action).is_none() && !action.waits_for_tenant())
    }

    /// Whether its next step is one that may take long for its tenant's sake.
    pub(crate) fn waits(&self) -> bool {
        self.next().is_some_and(Action::waits_for_tenant)
    }

    /// The tenant's unit that its next step waits for, be it the service or its socket.
    pub(crate) fn waits_for(&self) -> Option<&'a str> {
        let (Action::StopUnit { unit } | Action::Probe { expect: Expect::Php { service: unit, .. }, .. }) = self.next()? else {
            return None;
        };
        unit.rsplit_once('.').map(|(name, _)| name)
    }

    /// How long its next step is under way before it counts as stalled.
    pub(crate) fn stalls_after(&self) -> Duration {
        if let Some(Action::StopUnit { .. }) = self.next() { STOP_STALL } else { ANSWER_STALL }
    }

    /// The steps until it has to meet others, or to wait; a step that waits is by itself.
    fn segment(&self) -> &'a [super::plan::Step] {
        let rest = &self.plan.steps[self.at..];
        let alone = |action: &Action| Together::of(action).is_none() && !action.waits_for_tenant();
        let alone = rest.iter().take_while(|step| alone(&step.action)).count();
        &rest[..alone.max(1).min(rest.len())]
    }

    /// Reads off the host what would undo its steps until it has to meet others.
    pub(crate) fn look(&mut self, system: &dyn System) {
        let segment = self.segment();
        match capture(segment.iter().map(|step| &step.action), system) {
            Ok(captured) => self.captured = captured,
            Err((index, error)) => {
                self.progress.begin(&segment[index].name);
                self.trouble = Some(error.into());
            }
        }
    }

    /// Does its steps until it has to meet others, or one fails.
    pub(crate) fn go(&mut self, system: &dyn System) {
        for (step, undo) in self.segment().iter().zip(std::mem::take(&mut self.captured)) {
            self.progress.begin(&step.name);
            // Before the effect, since a failed effect may be half an effect.
            self.done.extend(undo);
            if let Err(error) = self.apply(&step.action, system) {
                self.trouble = Some(error.into());
                return;
            }
            self.at += 1;
        }
        self.progress.pause();
    }

    fn apply(&mut self, action: &Action, system: &dyn System) -> Result<(), StepError> {
        match action {
            Action::EnsureDirectory(image) => system.ensure_directory(image)?,
            Action::CreateFile(image) => system.create_file(image)?,
            Action::WriteFile(image) => system.write_file(image)?,
            Action::Remove { path } => system.remove_file(path)?,
            Action::RemoveDirectory { path } => system.remove_directory(path)?,
            Action::Link { path, target } => system.link(path, target)?,
            Action::MoveAside { from, to } => system.rename(from, to)?,
            Action::ReloadUnit { unit } => system.reload_unit(unit)?,
            // Others than services and sockets stop at once, and together.
            Action::StopUnit { unit } => system.stop_units(&[unit])?,
            Action::TestPacketFilter { rules } => {
                check::accepted(system.test_packet_filter(rules)?, StepError::PacketFilterRefused)?;
            }
            Action::Probe { domain, expect } => self.probe(domain, expect, system)?,
            // Of these `Together` knows, and a segment ends before them.
            Action::EnsureUser(_)
            | Action::SetPassword { .. }
            | Action::SetSignIn { .. }
            | Action::EndProcesses { .. }
            | Action::StartUnit { .. }
            | Action::LoadUnits
            | Action::TestNginx
            | Action::ReloadNginx
            | Action::TestPhp { .. }
            | Action::TestSshd
            | Action::RememberNeighbour { .. }
            | Action::CompareNeighbour { .. } => {}
        }
        Ok(())
    }

    fn probe(&mut self, domain: &DomainName, expect: &Expect, system: &dyn System) -> Result<(), StepError> {
        let unmet = |answer| StepError::Probe(format!("{domain} answers {answer:?}, expected {expect:?}"));
        self.progress.note(&format!("{domain}: {expect:?}"));
        if let Expect::Php { generation, uid, service } = expect {
            let wanted = ProbeAnswer::Serving { site: None, generation: generation.0, uid: Some(*uid) };
            let at_work = || Ok::<_, SystemError>(system.children(service, *uid)? > 0);
            let good = |answer: &ProbeAnswer| Ok(*answer == wanted || (*answer == ProbeAnswer::Silent && at_work()?));
            let mut met = ask(domain, Question::Php, system, good)?;
            // Many masters that are started at once on a busy host keep each other waiting; systemd ends one that does not come up.
            for _ in 0..STARTING_ASKS {
                if met != Err(ProbeAnswer::Silent) || system.units(&[service])? != [UnitState::Active] {
                    break;
                }
                met = ask(domain, Question::Php, system, good)?;
            }
            self.progress.note(&format!("PHP answered {:?}", met.as_ref().unwrap_or_else(|last| last)));
            if met.map_err(unmet)? == ProbeAnswer::Silent {
                self.progress.note(&format!("{service} is at work for others"));
            }
            // Through whose vhost PHP was asked, is for nginx to say.
        }
        let met = ask(domain, Question::Vhost, system, |answer| Ok(check::nginx_meets(domain, answer, expect)))?;
        self.progress.note(&format!("nginx answered {:?}", met.as_ref().unwrap_or_else(|last| last)));
        met.map_err(unmet)?;
        Ok(())
    }

    /// Says in its steps why it leaves its batch, and how it was put back.
    pub(crate) fn leave(&mut self, errors: &[Arc<SystemError>]) {
        let Some(trouble) = self.trouble.take() else { return };
        for error in errors {
            tracing::error!(error = chain(error.as_ref()), "a step could not be undone");
        }
        let effect = match (self.done.is_empty(), errors.is_empty()) {
            (true, _) => Effect::NothingChanged,
            (false, true) => Effect::RolledBack,
            (false, false) => Effect::Partial,
        };
        self.end = Some(match trouble {
            Trouble::Blocked(said) if errors.is_empty() => {
                self.progress.wait_again();
                End::Blocked(said)
            }
            Trouble::Apart(error) if errors.is_empty() => {
                self.progress.wait_again();
                End::Apart(error)
            }
            Trouble::Fails(error) => self.failed(error, effect),
            Trouble::Blocked(said) => self.failed(Arc::new(StepError::HostConfigBroken(said)), effect),
            Trouble::Apart(_) => self.failed(Arc::new(StepError::Shared), effect),
        });
    }

    fn failed(&mut self, error: Arc<StepError>, effect: Effect) -> End {
        self.progress.note(&chain(error.as_ref()));
        self.progress.end(StepState::Failed);
        if effect == Effect::RolledBack {
            self.progress.undone();
        }
        End::Failed(Failure { error, effect })
    }

    /// The worker is being cut off: nothing more may be done, not even undoing.
    pub(crate) fn cut_off(&mut self) {
        if self.end.is_none() {
            let error = Arc::new(SystemError::Interrupted.into());
            self.progress.end(StepState::Failed);
            self.end = Some(End::Failed(Failure { error, effect: Effect::Partial }));
        }
    }

    /// Goes back to what follows nginx's last reload, since nginx has been reloaded once more for others.
    pub(crate) fn prove_again(&mut self) {
        let reloaded = self.plan.steps[..self.at].iter().rposition(|step| matches!(step.action, Action::ReloadNginx));
        if let Some(reload) = reloaded.filter(|_| self.is_in()) {
            self.at = reload + 1;
        }
    }
}

/// Asks until the answer is good or patience ends; then the last answer is the error.
pub(crate) fn ask(
    domain: &DomainName,
    question: Question,
    system: &dyn System,
    good: impl Fn(&ProbeAnswer) -> Result<bool, SystemError>,
) -> Result<Result<ProbeAnswer, ProbeAnswer>, SystemError> {
    let began = Instant::now();
    let mut answer = system.probe(domain, question)?;
    for pause in PAUSES {
        if good(&answer)? {
            return Ok(Ok(answer));
        }
        if began.elapsed() > PATIENCE {
            break;
        }
        system.pause(Duration::from_millis(pause));
        answer = system.probe(domain, question)?;
    }
    Ok(if good(&answer)? { Ok(answer) } else { Err(answer) })
}

/// The start of a master takes a tenth of a second of a processor (measured): what takes so much longer waits for something else.
const ANSWER_STALL: Duration = Duration::from_secs(1);
/// The end of one takes hardly any.
const STOP_STALL: Duration = Duration::from_millis(100);
/// Between two questions, milliseconds: 6 s in all. nginx has taken up its configuration before the first question; what takes
/// time is a pool's first start, a quarter of a second, or its restart after a crash, a second (measured).
const PAUSES: [u64; 18] = [2, 4, 8, 16, 32, 64, 100, 150, 200, 250, 300, 400, 500, 600, 700, 800, 900, 1000];
/// A master that starts has twenty seconds (`TimeoutStartSec=`): it is asked so often again, [`PATIENCE`] each.
const STARTING_ASKS: u32 = 2;
/// All questions of one asking together. A tenant whose PHP never answers holds up his own jobs for no longer, and nobody else's.
const PATIENCE: Duration = Duration::from_secs(10);
