//! What the jobs of a batch do together: one call for all, and everybody's own verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use shared::names::{DomainName, PhpVersion};

use super::bisect::{guilty, nobody};
use super::check;
use super::error::StepError;
use super::execute::{Member, Trouble, ask};
use super::plan::{Action, Step};
use super::undo::Undo;
use crate::system::{LiveTest, NginxTest, PhpTest, ProbeAnswer, Question, System, SystemError};

/// The actions that jobs meet for, in the order in which those that wait at different ones go on. So each is done once, for
/// everybody who comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Together {
    Users,
    Passwords,
    SignIns,
    Neighbours,
    PhpTest(PhpVersion),
    NginxTest,
    Start,
    Stop,
    Reload,
    Compare,
    Processes,
    Units,
    SshdTest,
}

impl Together {
    /// What an action is done together with; `None` for what each job does by itself.
    pub(crate) fn of(action: &Action) -> Option<Self> {
        match action {
            Action::EnsureUser(_) => Some(Self::Users),
            Action::SetPassword { .. } => Some(Self::Passwords),
            Action::SetSignIn { .. } => Some(Self::SignIns),
            Action::EndProcesses { .. } => Some(Self::Processes),
            Action::TestPhp { version, .. } => Some(Self::PhpTest(*version)),
            Action::RememberNeighbour { .. } => Some(Self::Neighbours),
            Action::TestNginx => Some(Self::NginxTest),
            Action::StartUnit { .. } => Some(Self::Start),
            Action::StopUnit { .. } if !action.waits_for_tenant() => Some(Self::Stop),
            Action::ReloadNginx => Some(Self::Reload),
            Action::CompareNeighbour { .. } => Some(Self::Compare),
            Action::LoadUnits => Some(Self::Units),
            Action::TestSshd => Some(Self::SshdTest),
            Action::EnsureDirectory(_)
            | Action::CreateFile(_)
            | Action::WriteFile(_)
            | Action::Remove { .. }
            | Action::RemoveDirectory { .. }
            | Action::Link { .. }
            | Action::MoveAside { .. }
            | Action::StopUnit { .. }
            | Action::ReloadUnit { .. }
            | Action::TestPacketFilter { .. }
            | Action::Probe { .. } => None,
        }
    }

    /// Whether it is a test that looks at what is staged and at nothing that another test looks at.
    pub(crate) const fn is_test(self) -> bool {
        matches!(self, Self::PhpTest(_) | Self::NginxTest)
    }

    /// Whether it is one act for all, whose time is everybody's.
    pub(crate) const fn is_one_act(self) -> bool {
        match self {
            Self::Users
            | Self::Passwords
            | Self::SignIns
            | Self::Processes
            | Self::PhpTest(_)
            | Self::NginxTest
            | Self::Start
            | Self::Stop
            | Self::Reload
            | Self::Units
            | Self::SshdTest => true,
            Self::Neighbours | Self::Compare => false,
        }
    }
}

/// Does something, or tests it, for the jobs known to be good and those in question.
type Try<'t> = dyn FnMut(&[usize], &[usize], &dyn System) -> Result<(), StepError> + 't;

/// Which of the jobs in question a refusal names.
type Named<'n> = dyn Fn(&StepError, &[usize]) -> Option<usize> + 'n;

/// Jobs that have come to the same action.
pub(crate) struct Meeting<'m, 'a> {
    pub(crate) system: &'m dyn System,
    /// How other sites answered before.
    pub(crate) neighbours: &'m mut BTreeMap<DomainName, ProbeAnswer>,
    pub(crate) members: Vec<&'m mut Member<'a>>,
}

impl<'a> Meeting<'_, 'a> {
    /// Does it. Whoever it fails for is in trouble afterwards.
    pub(crate) fn hold(&mut self, what: Together) {
        match what {
            Together::Users
            | Together::Passwords
            | Together::SignIns
            | Together::Processes
            | Together::PhpTest(_)
            | Together::Start
            | Together::Stop
            | Together::SshdTest => self.all_or_each(),
            Together::Neighbours => self.remember_neighbours(),
            Together::NginxTest => self.test_nginx(),
            Together::Reload => self.reload_nginx(),
            Together::Units => self.all_or_apart(self.system.load_units()),
            Together::Compare => self.compare_neighbours(),
        }
    }

    /// Done for all in one call. If that fails, halving finds whom it fails for; it is safe to repeat for the others.
    fn all_or_each(&mut self) {
        let actions: Vec<&Action> = self.members.iter().filter_map(|member| member.next()).collect();
        match act(&actions, self.system) {
            Ok(said) => self.members.iter_mut().for_each(|member| member.progress.note(&said)),
            Err(error) => self.blame(error, &nobody, &mut |_, asked, system| {
                let asked: Vec<&Action> = asked.iter().map(|index| actions[*index]).collect();
                act(&asked, system).map(drop)
            }),
        }
    }

    /// One job that is refused is to blame; of several, those whom a search finds.
    fn blame(&mut self, error: StepError, named: &Named<'_>, try_them: &mut Try<'_>) {
        let system = self.system;
        if self.members.len() == 1 || error.is_interruption() {
            return self.fail_all(error);
        }
        let all: Vec<usize> = (0..self.members.len()).collect();
        for (index, error) in guilty(&all, error, named, |good, asked| try_them(good, asked, system)) {
            self.members[index].trouble = Some(error.into());
        }
    }

    fn fail_all(&mut self, error: StepError) {
        let error = Arc::new(error);
        self.members.iter_mut().for_each(|member| member.trouble = Some(Trouble::Fails(Arc::clone(&error))));
    }

    /// Done once for all. If that fails it is nobody's in particular: one job fails for it, several go apart.
    fn all_or_apart(&mut self, done: Result<(), SystemError>) {
        if let Err(error) = done {
            self.fail_or_part(error.into());
        }
    }

    fn fail_or_part(&mut self, error: StepError) {
        if self.members.len() == 1 || error.is_interruption() {
            return self.fail_all(error);
        }
        self.part(error);
    }

    fn part(&mut self, error: StepError) {
        tracing::warn!(error = super::error::chain(&error), jobs = self.members.len(), "jobs failed together; each is tried apart");
        let error = Arc::new(error);
        self.members.iter_mut().for_each(|member| member.trouble = Some(Trouble::Apart(Arc::clone(&error))));
    }

    /// A reload that nginx has refused has had no effect: there is nothing of it to undo.
    fn reload_nginx(&mut self) {
        let done = self.system.reload_nginx();
        if let Err(SystemError::ReloadRefused { .. }) = done {
            for member in &mut self.members {
                member.done.pop_if(|undo| *undo == Undo::ReloadNginx);
            }
        }
        self.all_or_apart(done);
    }

    /// Tests the tree as the rest of all plans will leave it. A hand edit that is refused by itself is nobody's fault.
    fn test_nginx(&mut self) {
        let rests: Vec<&'a [Step]> = self.members.iter().map(|member| &member.plan.steps[member.at..]).collect();
        let test = |members: &mut dyn Iterator<Item = usize>, live: LiveTest, system: &dyn System| {
            system.test_nginx(&check::nginx_changes(members.flat_map(|index| rests[index])), live)
        };
        let tested = match test(&mut (0..rests.len()), LiveTest::IfNeeded, self.system) {
            Ok(tested) => tested,
            Err(error) => return self.fail_or_part(error.into()),
        };
        match check::nginx(&tested) {
            Ok(()) => self.members.iter_mut().for_each(|member| member.progress.note(&tested.candidate.output)),
            Err(StepError::HostConfigBroken(said)) => {
                self.members.iter_mut().for_each(|member| member.trouble = Some(Trouble::Blocked(said.clone())));
            }
            // The live tree stays as it is while the guilty are looked for: what it says is known.
            Err(error) => self.blame(error, &|refusal, asked| check::named(refusal, asked, &rests), &mut |good, asked, system| {
                let candidate = test(&mut good.iter().chain(asked).copied(), LiveTest::Never, system)?.candidate;
                check::nginx(&NginxTest { candidate, live: tested.live.clone() })
            }),
        }
    }

    fn remember_neighbours(&mut self) {
        for member in &mut self.members {
            let Some(Action::RememberNeighbour { domain }) = member.next() else { continue };
            if self.neighbours.contains_key(domain) {
                continue;
            }
            match self.system.probe(domain, Question::Vhost) {
                Ok(answer) => drop(self.neighbours.insert(domain.clone(), answer)),
                Err(error) => member.trouble = Some(error.into()),
            }
        }
    }

    /// A neighbour that did not answer before proves nothing. One that answers in another way may have been changed by hand before,
    /// which only this reload has shown: a job alone is begun once more too.
    fn compare_neighbours(&mut self) {
        let mut domains: Vec<&'a DomainName> = Vec::new();
        for member in &self.members {
            if let Some(Action::CompareNeighbour { domain }) = member.next()
                && !domains.contains(&domain)
            {
                domains.push(domain);
            }
        }
        for domain in domains {
            let Some(before @ ProbeAnswer::Serving { .. }) = self.neighbours.get(domain).cloned() else { continue };
            match ask(domain, Question::Vhost, self.system, |answer| Ok(*answer == before)) {
                Ok(Ok(_)) => {}
                Ok(Err(answer)) => {
                    return self.part(StepError::Neighbour(format!("{domain}: {answer:?}, before {before:?}")));
                }
                Err(error) => return self.fail_all(error.into()),
            }
        }
    }
}

/// Does actions of one kind in one call. What a daemon said about them.
fn act(actions: &[&Action], system: &dyn System) -> Result<String, StepError> {
    let (mut users, mut passwords, mut expiries) = (Vec::new(), Vec::new(), Vec::new());
    let (mut uids, mut starts, mut stops, mut pools) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut said = String::new();
    for action in actions {
        match action {
            Action::EnsureUser(image) => users.push(image),
            Action::SetPassword { user, password } => passwords.push((user, password.field())),
            Action::SetSignIn { user, sign_in } => expiries.push((user, sign_in.expiry_day())),
            Action::EndProcesses { uid } => uids.push(*uid),
            Action::StartUnit { unit } => starts.push(unit.as_str()),
            Action::StopUnit { unit } => stops.push(unit.as_str()),
            Action::TestPhp { version, user, config } => pools.push(PhpTest { version: *version, user, config }),
            Action::TestSshd => check::accepted(system.test_sshd()?, StepError::SshdRefused)?,
            Action::EnsureDirectory(_)
            | Action::CreateFile(_)
            | Action::WriteFile(_)
            | Action::Remove { .. }
            | Action::RemoveDirectory { .. }
            | Action::Link { .. }
            | Action::MoveAside { .. }
            | Action::LoadUnits
            | Action::ReloadUnit { .. }
            | Action::TestNginx
            | Action::ReloadNginx
            | Action::TestPacketFilter { .. }
            | Action::RememberNeighbour { .. }
            | Action::CompareNeighbour { .. }
            | Action::Probe { .. } => {}
        }
    }
    if !users.is_empty() {
        system.add_users(&users)?;
    }
    if !passwords.is_empty() {
        system.set_passwords(&passwords)?;
    }
    if !expiries.is_empty() {
        system.set_expiries(&expiries)?;
    }
    if !uids.is_empty() {
        system.end_processes(&uids)?;
    }
    if !starts.is_empty() {
        system.start_units(&starts)?;
    }
    if !stops.is_empty() {
        system.stop_units(&stops)?;
    }
    if !pools.is_empty() {
        let check = system.test_php(&pools)?;
        said.clone_from(&check.output);
        check::accepted(check, StepError::PhpRefused)?;
    }
    Ok(said)
}
