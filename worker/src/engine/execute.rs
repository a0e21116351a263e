//! Carries a plan out: before-image into the journal, then the effect; on failure everything back, in reverse.
//!
//! **Knows no feature.** What is done, and in which order, is the plan's; this module must not grow a special case.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use shared::events::{StepReport, StepState};
use shared::failure::Effect;
use shared::names::DomainName;

use super::check;
use super::error::{StepError, chain};
use super::plan::{Action, Expect, FinishAction, FinishStep, Plan};
use super::progress::Progress;
use super::undo::{Undo, capture};
use crate::store::StoreError;
use crate::system::{PhpTest, ProbeAnswer, Question, System, SystemError};

/// Where before-images become durable.
pub(crate) trait Journal {
    /// Keeps an undo. When this returns, it survives a power cut.
    fn record(&mut self, undo: &Undo) -> Result<(), StoreError>;
}

/// How a plan ended.
pub(crate) struct Executed {
    /// The visible steps.
    pub(crate) steps: Vec<StepReport>,
    /// Why it failed, and what is left of it.
    pub(crate) failure: Option<Failure>,
}

/// A plan that failed.
pub(crate) struct Failure {
    /// Why.
    pub(crate) error: StepError,
    /// What is left of it.
    pub(crate) effect: Effect,
}

/// Carries out all steps of a plan up to its commit point.
pub(crate) fn execute(
    plan: &Plan,
    system: &dyn System,
    journal: &mut dyn Journal,
    tell: &mut (dyn FnMut(&[StepReport]) + Send),
) -> Executed {
    let mut run = Run { system, plan, done: Vec::new(), neighbours: BTreeMap::new(), progress: Progress::new(plan, tell) };
    let mut failure = None;
    for (index, step) in plan.steps.iter().enumerate() {
        run.progress.begin(&step.name);
        if let Err(error) = run.step(index, &step.action, journal) {
            failure = Some(run.fail(error));
            break;
        }
    }
    if failure.is_none() {
        run.progress.end(StepState::Done);
    }
    Executed { steps: run.progress.into_steps(), failure }
}

/// Carries out what remains after the commit point.
pub(crate) fn finish(
    finish: &[FinishStep],
    steps: Vec<StepReport>,
    system: &dyn System,
    tell: &mut (dyn FnMut(&[StepReport]) + Send),
) -> Executed {
    let mut progress = Progress::resume(steps, tell);
    for step in finish {
        progress.begin(&step.name);
        if let Err(error) = finish_action(&step.action, system) {
            let error = StepError::from(error);
            progress.note(&chain(&error));
            progress.end(StepState::Failed);
            return Executed { steps: progress.into_steps(), failure: Some(Failure { error, effect: Effect::Partial }) };
        }
    }
    progress.end(StepState::Done);
    Executed { steps: progress.into_steps(), failure: None }
}

/// Does one thing after the commit point.
pub(crate) fn finish_action(action: &FinishAction, system: &dyn System) -> Result<(), SystemError> {
    match action {
        FinishAction::EndProcesses { uid } => system.end_processes(*uid),
        FinishAction::RemoveUser { user, uid } => match system.user(user.as_str())? {
            Some(record) if record.uid == *uid => system.remove_user(user),
            Some(_) | None => Ok(()),
        },
    }
}

/// Puts steps back, newest first, and reloads last. Goes on after a failure: the rest should be back all the same.
pub(crate) fn undo_all(undos: &[Undo], system: &dyn System) -> Result<(), Vec<SystemError>> {
    let mut errors = Vec::new();
    let mut last: Vec<&Undo> = Vec::new();
    let mut attempt = |undo: &Undo| match undo.run(system) {
        Ok(()) => true,
        Err(error) => {
            let go_on = !matches!(error, SystemError::Interrupted);
            errors.push(error);
            go_on
        }
    };
    for undo in undos.iter().rev() {
        if undo.comes_last() {
            if !last.contains(&undo) {
                last.push(undo);
            }
        } else if !attempt(undo) {
            return Err(errors);
        }
    }
    // In the order in which the plan had them: units are loaded before they are reloaded.
    for undo in last.into_iter().rev() {
        if !attempt(undo) {
            return Err(errors);
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

struct Run<'a> {
    system: &'a dyn System,
    plan: &'a Plan,
    done: Vec<Undo>,
    neighbours: BTreeMap<DomainName, ProbeAnswer>,
    progress: Progress<'a>,
}

impl Run<'_> {
    fn step(&mut self, index: usize, action: &Action, journal: &mut dyn Journal) -> Result<(), StepError> {
        if let Some(undo) = capture(action, self.system)? {
            journal.record(&undo)?;
            // Before the effect, since a failed effect may be half an effect.
            self.done.push(undo);
        }
        self.apply(index, action)
    }

    fn fail(&mut self, error: StepError) -> Failure {
        self.progress.note(&chain(&error));
        self.progress.end(StepState::Failed);
        if error.is_interruption() {
            return Failure { error, effect: Effect::Partial };
        }
        if self.done.is_empty() {
            return Failure { error, effect: Effect::NothingChanged };
        }
        let effect = match undo_all(&self.done, self.system) {
            Ok(()) => {
                self.progress.undone();
                Effect::RolledBack
            }
            Err(errors) => {
                for error in &errors {
                    tracing::error!(error = chain(error), "a step could not be undone");
                }
                if errors.iter().any(|error| matches!(error, SystemError::Interrupted)) {
                    return Failure { error: SystemError::Interrupted.into(), effect: Effect::Partial };
                }
                Effect::Partial
            }
        };
        Failure { error, effect }
    }

    fn apply(&mut self, index: usize, action: &Action) -> Result<(), StepError> {
        let system = self.system;
        match action {
            Action::EnsureUser(image) => system.add_user(image)?,
            Action::SetPassword { user, password } => system.set_password(user, password.field())?,
            Action::SetSignIn { user, sign_in } => system.set_expiry(user, sign_in.expiry_day())?,
            Action::EndProcesses { uid } => system.end_processes(*uid)?,
            Action::EnsureDirectory(image) => system.ensure_directory(image)?,
            Action::CreateFile(image) => system.create_file(image)?,
            Action::WriteFile(image) => system.write_file(image)?,
            Action::Remove { path } => system.remove_file(path)?,
            Action::RemoveDirectory { path } => system.remove_directory(path)?,
            Action::Link { path, target } => system.link(path, target)?,
            Action::MoveAside { from, to } => system.rename(from, to)?,
            Action::StartUnit { unit } => system.start_unit(unit)?,
            Action::StopUnit { unit } => system.stop_unit(unit)?,
            Action::LoadUnits => system.load_units()?,
            Action::ReloadUnit { unit } => system.reload_unit(unit)?,
            Action::TestNginx => {
                let test = system.test_nginx(&check::nginx_changes(&self.plan.steps[index..]))?;
                self.progress.note(&test.candidate.output);
                check::nginx(&test)?;
            }
            Action::ReloadNginx => system.reload_nginx()?,
            Action::TestPhp { version, user, uid, config } => {
                let check = system.test_php(&PhpTest { version: *version, user, uid: *uid, config })?;
                self.progress.note(&check.output);
                check::accepted(check, StepError::PhpRefused)?;
            }
            Action::TestPacketFilter { rules } => {
                check::accepted(system.test_packet_filter(rules)?, StepError::PacketFilterRefused)?;
            }
            Action::TestSshd => check::accepted(system.test_sshd()?, StepError::SshdRefused)?,
            Action::RememberNeighbour { domain } => {
                self.neighbours.insert(domain.clone(), system.probe(domain, Question::Vhost)?);
            }
            Action::CompareNeighbour { domain } => self.compare_neighbour(domain)?,
            Action::Probe { domain, expect } => self.probe(domain, expect)?,
        }
        Ok(())
    }

    /// A neighbour that did not answer before proves nothing.
    fn compare_neighbour(&mut self, domain: &DomainName) -> Result<(), StepError> {
        let Some(before @ ProbeAnswer::Serving { .. }) = self.neighbours.get(domain).cloned() else { return Ok(()) };
        let met = self.ask(domain, Question::Vhost, |answer| Ok(*answer == before))?;
        met.map(drop).map_err(|answer| StepError::Neighbour(format!("{domain}: {answer:?}, before {before:?}")))
    }

    fn probe(&mut self, domain: &DomainName, expect: &Expect) -> Result<(), StepError> {
        let unmet = |answer| StepError::Probe(format!("{domain} answers {answer:?}, expected {expect:?}"));
        let met = self.ask(domain, Question::Vhost, |answer| Ok(check::nginx_meets(answer, expect)))?;
        self.progress.note(&format!("{domain}: {expect:?}"));
        met.map_err(unmet)?;
        let Expect::Php { generation, uid, service } = expect else { return Ok(()) };
        let wanted = ProbeAnswer::Serving { generation: generation.0, uid: Some(*uid) };
        let at_work = || Ok::<_, SystemError>(self.system.children(service, *uid)? > 0);
        let met = self.ask(domain, Question::Php, |answer| Ok(*answer == wanted || (*answer == ProbeAnswer::Silent && at_work()?)))?;
        if met.map_err(unmet)? == ProbeAnswer::Silent {
            self.progress.note(&format!("{service} is at work for others"));
        }
        Ok(())
    }

    /// Asks until the answer is good or patience ends; then the last answer is the error.
    fn ask(
        &self,
        domain: &DomainName,
        question: Question,
        good: impl Fn(&ProbeAnswer) -> Result<bool, SystemError>,
    ) -> Result<Result<ProbeAnswer, ProbeAnswer>, StepError> {
        let began = Instant::now();
        let mut answer = self.system.probe(domain, question)?;
        for pause in PAUSES {
            if good(&answer)? {
                return Ok(Ok(answer));
            }
            if began.elapsed() > PATIENCE {
                break;
            }
            self.system.pause(Duration::from_millis(pause));
            answer = self.system.probe(domain, question)?;
        }
        Ok(if good(&answer)? { Ok(answer) } else { Err(answer) })
    }
}

/// Between two questions, milliseconds: 6 s in all. nginx has taken up its configuration before the first question; what takes
/// time is a pool's first start, a quarter of a second, or its restart after a crash, a second (measured).
const PAUSES: [u64; 18] = [2, 4, 8, 16, 32, 64, 100, 150, 200, 250, 300, 400, 500, 600, 700, 800, 900, 1000];
/// All questions together. A tenant whose PHP never answers holds up everybody's jobs for no longer.
const PATIENCE: Duration = Duration::from_secs(10);
