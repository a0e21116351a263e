//! Which jobs may be in one batch: **the plan of one never sees a half of another.**

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use shared::ids::AccountId;
use shared::jobs::{Job, JobEnvelope, ResourceKey, ResourceKind};
use shared::names::{LinuxUser, SiteName};

use crate::engine::plan::{Action, Plan};
use crate::ledger::{Rows, names_of, user_of};

/// What the jobs of a batch lay claim to so far.
#[derive(Debug, Default)]
pub(super) struct Conflicts {
    resources: HashSet<ResourceKey>,
    /// Jobs of one user are of one kind: an account, its pools and its sites look at each other.
    kinds: HashMap<LinuxUser, ResourceKind>,
    uids: HashSet<u32>,
    names: HashSet<SiteName>,
    folders: HashSet<(LinuxUser, String)>,
    paths: HashSet<PathBuf>,
    /// Accounts of which a job was not admitted: their later ones wait behind it.
    waiting: HashSet<AccountId>,
    /// The same, for a plan.
    plan_waiting: HashSet<AccountId>,
}

impl Conflicts {
    /// Whether a job may join. If not, nothing later of its account may.
    pub(super) fn admit(&mut self, envelope: &JobEnvelope, rows: &Rows) -> bool {
        let admitted = !self.waiting.contains(&envelope.account) && self.claim(envelope, rows);
        if !admitted {
            self.waiting.insert(envelope.account);
        }
        admitted
    }

    /// Whether a job that was admitted may stay, now that it is known what it would touch.
    pub(super) fn admit_plan(&mut self, envelope: &JobEnvelope, plan: &Plan) -> bool {
        let paths: HashSet<&Path> = plan.steps.iter().filter_map(|step| path_of(&step.action)).collect();
        let admitted = !self.plan_waiting.contains(&envelope.account) && paths.iter().all(|path| !self.paths.contains(*path));
        if admitted {
            self.paths.extend(paths.into_iter().map(Path::to_owned));
        } else {
            self.plan_waiting.insert(envelope.account);
        }
        admitted
    }

    fn claim(&mut self, envelope: &JobEnvelope, rows: &Rows) -> bool {
        let (kind, user) = (envelope.job.kind(), user_of(&envelope.job));
        // What a site answered to until now is not free before its job has ended.
        let before = rows.applied_of(envelope.resource);
        let states = || before.into_iter().chain([&envelope.job]);
        let names: HashSet<SiteName> = states().flat_map(names_of).collect();
        let folders: HashSet<(LinuxUser, String)> = states().filter_map(folder_of).collect();
        let uid = if let Job::Account(spec) = &envelope.job { Some(spec.uid.get()) } else { None };
        let free = !self.resources.contains(&envelope.resource)
            && user.and_then(|user| self.kinds.get(user)).is_none_or(|other| *other == kind && kind != ResourceKind::Account)
            && uid.is_none_or(|uid| !self.uids.contains(&uid))
            && self.names.is_disjoint(&names)
            && self.folders.is_disjoint(&folders);
        if free {
            self.resources.insert(envelope.resource);
            self.kinds.extend(user.map(|user| (user.clone(), kind)));
            self.uids.extend(uid);
            self.names.extend(names);
            self.folders.extend(folders);
        }
        free
    }
}

/// The folder of the account that a site serves from.
fn folder_of(job: &Job) -> Option<(LinuxUser, String)> {
    match job {
        Job::Site(spec) => Some((spec.user.clone(), spec.document_root.top().to_owned())),
        Job::Account(_) | Job::PhpPool(_) | Job::Worker(_) => None,
    }
}

/// The path an action changes.
fn path_of(action: &Action) -> Option<&Path> {
    match action {
        Action::EnsureDirectory(image) => Some(&image.path),
        Action::CreateFile(image) | Action::WriteFile(image) => Some(&image.path),
        Action::Remove { path } | Action::RemoveDirectory { path } | Action::Link { path, .. } | Action::MoveAside { from: path, .. } => {
            Some(path)
        }
        Action::EnsureUser(_)
        | Action::SetPassword { .. }
        | Action::SetSignIn { .. }
        | Action::EndProcesses { .. }
        | Action::StartUnit { .. }
        | Action::StopUnit { .. }
        | Action::LoadUnits
        | Action::ReloadUnit { .. }
        | Action::TestNginx
        | Action::ReloadNginx
        | Action::TestPhp { .. }
        | Action::TestPacketFilter { .. }
        | Action::TestSshd
        | Action::RememberNeighbour { .. }
        | Action::CompareNeighbour { .. }
        | Action::Probe { .. } => None,
    }
}
