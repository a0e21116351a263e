//! What a plan would change, to be shown: the host as it is beside the host as it is wanted.

use shared::difference::{Difference, bounded, unified};

use super::error::chain;
use super::image::{DirectoryImage, Entry, FileImage, Owner};
use super::plan::{Action, FinishAction, Password, Plan, SignIn};
use crate::system::{System, SystemError};

/// Differences of one resource are cut here, in bytes.
const MOST: usize = 16 * 1024;

/// What a plan would change. Tests, reloads and probes change nothing and are left out.
pub(crate) fn differences(plan: &Plan, system: &dyn System) -> Vec<Difference> {
    let mut found = Vec::new();
    for step in &plan.steps {
        let looked = look(&step.action, system, &mut found);
        if let Err(error) = looked {
            found.push(fact(chain(&error)));
        }
    }
    for step in &plan.finish {
        match &step.action {
            FinishAction::RemoveUser { user, uid: _ } => found.push(fact(format!("The user {user} is there, and should not be."))),
            FinishAction::EndProcesses { uid: _ } => {}
        }
    }
    bounded(found, MOST)
}

pub(crate) fn fact(text: impl Into<String>) -> Difference {
    Difference::Fact { text: text.into() }
}

fn look(action: &Action, system: &dyn System, found: &mut Vec<Difference>) -> Result<(), SystemError> {
    match action {
        Action::EnsureUser(image) => found.push(fact(format!("The user {} (uid {}) is missing.", image.name, image.uid))),
        Action::SetPassword { user, password: Password::Hash(_) } => found.push(fact(format!("The password of {user} is another one."))),
        Action::SetPassword { user, password: Password::Locked } => {
            found.push(fact(format!("The user {user} has a password, and should have none.")));
        }
        Action::SetSignIn { user, sign_in: SignIn::Allowed } => {
            found.push(fact(format!("The user {user} may not sign in, and should.")));
        }
        Action::SetSignIn { user, sign_in: SignIn::Barred } => {
            found.push(fact(format!("The user {user} may sign in, and should not.")));
        }
        Action::EnsureDirectory(image) => directory(image, system, found)?,
        Action::CreateFile(image) => found.push(fact(format!("The file {} is missing.", image.path.display()))),
        Action::WriteFile(image) => file(image, system, found)?,
        Action::Remove { path } | Action::RemoveDirectory { path } => {
            found.push(fact(format!("{} is there, and should not be.", path.display())));
        }
        Action::Link { path, target } => {
            let wanted = target.display();
            found.push(fact(match system.entry(path)? {
                Entry::Absent => format!("The link {} to {wanted} is missing.", path.display()),
                Entry::Link { target } => {
                    format!("The link {} leads to {}, and should lead to {wanted}.", path.display(), target.display())
                }
                other @ (Entry::File { .. } | Entry::Directory { .. } | Entry::Other { .. }) => {
                    format!("{} is {}, and should be a link to {wanted}.", path.display(), other.describe())
                }
            }));
        }
        Action::MoveAside { from, to: _ } => found.push(fact(format!("{} is there with all it holds, and should not be.", from.display()))),
        Action::StartUnit { unit } => found.push(fact(format!("The unit {unit} does not run, and should."))),
        Action::StopUnit { unit } => found.push(fact(format!("The unit {unit} runs, and should not."))),
        Action::EndProcesses { .. }
        | Action::LoadUnits
        | Action::ReloadUnit { .. }
        | Action::TestNginx
        | Action::ReloadNginx
        | Action::TestPhp { .. }
        | Action::TestPacketFilter { .. }
        | Action::TestSshd
        | Action::RememberNeighbour { .. }
        | Action::CompareNeighbour { .. }
        | Action::Probe { .. } => {}
    }
    Ok(())
}

fn directory(image: &DirectoryImage, system: &dyn System, found: &mut Vec<Difference>) -> Result<(), SystemError> {
    let path = image.path.display();
    match system.entry(&image.path)? {
        Entry::Directory { owner, mode, acl } => {
            attributes(&format!("The folder {path}"), (owner, mode), (image.owner, image.mode), found);
            if acl != image.acl {
                found.push(fact(format!("The folder {path} has other access lists than it should.")));
            }
        }
        Entry::Absent => found.push(fact(format!("The folder {path} is missing."))),
        other @ (Entry::File { .. } | Entry::Link { .. } | Entry::Other { .. }) => {
            found.push(fact(format!("{path} is {}, and should be a folder.", other.describe())));
        }
    }
    Ok(())
}

fn file(image: &FileImage, system: &dyn System, found: &mut Vec<Difference>) -> Result<(), SystemError> {
    let path = image.path.display();
    let before = match system.entry(&image.path)? {
        Entry::File { owner, mode, len: _ } => {
            attributes(&format!("The file {path}"), (owner, mode), (image.owner, image.mode), found);
            system.content(&image.path)?
        }
        Entry::Absent => Vec::new(),
        other @ (Entry::Directory { .. } | Entry::Link { .. } | Entry::Other { .. }) => {
            found.push(fact(format!("{path} is {}, and should be a file.", other.describe())));
            Vec::new()
        }
    };
    if before == image.content.0 {
        return Ok(());
    }
    match (std::str::from_utf8(&before), std::str::from_utf8(&image.content.0)) {
        (Ok(before), Ok(after)) => found.push(Difference::File { path: path.to_string(), diff: unified(before, after) }),
        (_, _) => found.push(fact(format!("The file {path} holds something that is no text."))),
    }
    Ok(())
}

fn attributes(what: &str, is: (Owner, u32), wanted: (Owner, u32), found: &mut Vec<Difference>) {
    if is.0 != wanted.0 {
        let owner = |owner: Owner| format!("{}:{}", owner.uid, owner.gid);
        found.push(fact(format!("{what} belongs to {}, and should belong to {}.", owner(is.0), owner(wanted.0))));
    }
    if is.1 != wanted.1 {
        found.push(fact(format!("{what} has the mode {:04o}, and should have {:04o}.", is.1, wanted.1)));
    }
}
