//! A plan in words, with what it changes in files as a diff: what an admin reads afterwards. **No secret is in it.**

use shared::difference::{Difference, bounded, unified};
use shared::record::{JobRecord, PlannedAction};

use crate::engine::facts::Facts;
use crate::engine::image::{Entry, FileImage};
use crate::engine::plan::{Action, Expect, FinishAction, Password, Plan, SignIn};
use crate::system::cut;

/// What one state would do is cut here, in bytes.
const MOST_PROPOSED: usize = 16 * 1024;

/// The actions of a plan, in order.
pub(super) fn describe(plan: &Plan, facts: Facts<'_>) -> Vec<PlannedAction> {
    let mut room = JobRecord::MOST_TEXT;
    let steps = plan.steps.iter().map(|step| {
        let mut diff = diff_of(&step.action, facts);
        if diff.len() > room {
            "(left out, since the record is full)".clone_into(&mut diff);
        } else {
            room -= diff.len();
        }
        PlannedAction { step: step.name.to_string(), action: words(&step.action), diff }
    });
    let mut described: Vec<PlannedAction> = steps.collect();
    described.extend(plan.finish.iter().map(|step| PlannedAction {
        step: step.name.to_string(),
        action: last_words(&step.action),
        diff: String::new(),
    }));
    described
}

/// What a plan would do: files as diffs, all else in words. Tests, reloads and probes change nothing and are left out.
pub(super) fn proposed(plan: &Plan, facts: Facts<'_>) -> Vec<Difference> {
    let steps = plan.steps.iter().filter(|step| step.action.changes()).map(|step| {
        let diff = diff_of(&step.action, facts);
        match step.action.file() {
            Some(image) if !diff.is_empty() => Difference::File { path: image.path.display().to_string(), diff },
            Some(_) | None => sentence(&words(&step.action)),
        }
    });
    let finish = plan.finish.iter().map(|step| sentence(&last_words(&step.action)));
    bounded(steps.chain(finish).collect(), MOST_PROPOSED)
}

fn sentence(words: &str) -> Difference {
    let mut letters = words.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    Difference::Fact { text: format!("{first}{}.", letters.as_str()) }
}

/// The files that a plan writes; and of those that hold something else, how they differ.
pub(super) fn written(plan: &Plan, facts: Facts<'_>) -> (Vec<String>, Vec<(String, String)>) {
    let (mut written, mut rewritten) = (Vec::new(), Vec::new());
    for step in &plan.steps {
        let Some(image) = step.action.file() else { continue };
        let path = image.path.display().to_string();
        if !matches!(facts.entry(&image.path), Ok(Entry::Absent)) {
            let diff = diff_of(&step.action, facts);
            let said = if diff.is_empty() { "its owner or mode was another".to_owned() } else { cut(diff, MOST_SAID) };
            rewritten.push((path.clone(), said));
        }
        written.push(path);
    }
    (written, rewritten)
}

/// What is told of one file is cut here, in bytes.
const MOST_SAID: usize = 4096;

/// How a file changes.
fn diff_of(action: &Action, facts: Facts<'_>) -> String {
    let Some(FileImage { path, content, .. }) = action.file() else { return String::new() };
    // What cannot be read is shown as if it were new; the step itself says what is wrong.
    let old = facts.content(path).unwrap_or_default();
    let (Ok(old), Ok(new)) = (String::from_utf8(old), std::str::from_utf8(&content.0)) else { return "(not text)".to_owned() };
    unified(&old, new)
}

fn words(action: &Action) -> String {
    match action {
        Action::EnsureUser(image) => format!("make user {} with number {}", image.name, image.uid),
        Action::SetPassword { user, password: Password::Locked } => format!("lock the password of {user}"),
        Action::SetPassword { user, password: Password::Hash(_) } => format!("set the password of {user}"),
        Action::SetSignIn { user, sign_in: SignIn::Allowed } => format!("let {user} sign in"),
        Action::SetSignIn { user, sign_in: SignIn::Barred } => format!("bar {user} from signing in"),
        Action::EndProcesses { uid } => format!("end the processes of user number {uid}"),
        Action::EnsureDirectory(image) => format!("make directory {} ({:o})", image.path.display(), image.mode),
        Action::CreateFile(image) => format!("make {} if it is absent", image.path.display()),
        Action::WriteFile(image) => format!("write {}", image.path.display()),
        Action::Remove { path } => format!("remove {}", path.display()),
        Action::RemoveDirectory { path } => format!("remove the empty directory {}", path.display()),
        Action::Link { path, target } => format!("link {} to {}", path.display(), target.display()),
        Action::MoveAside { from, to } => format!("move {} to {}", from.display(), to.display()),
        Action::StartUnit { unit } => format!("start {unit}"),
        Action::StopUnit { unit } => format!("stop {unit}"),
        Action::LoadUnits => "have systemd read its units".to_owned(),
        Action::ReloadUnit { unit } if unit.ends_with(".slice") => format!("have systemd take on the limits of {unit}"),
        Action::ReloadUnit { unit } => format!("reload {unit}"),
        Action::TestNginx => "test nginx's configuration as it will be".to_owned(),
        Action::ReloadNginx => "reload nginx".to_owned(),
        Action::TestPhp { version, user, .. } => format!("test the PHP {version} pool of {user}"),
        Action::TestPacketFilter { .. } => "test the packet filter".to_owned(),
        Action::TestSshd => "test sshd's configuration".to_owned(),
        Action::RememberNeighbour { domain } => format!("note how {domain} answers"),
        Action::CompareNeighbour { domain } => format!("see that {domain} answers as before"),
        Action::Probe { domain, expect: Expect::Serving { generation } } => {
            format!("ask {domain} until nginx serves generation {generation}")
        }
        Action::Probe { domain, expect: Expect::Php { generation, uid, .. } } => {
            format!("ask {domain} until PHP answers for generation {generation} as user number {uid}")
        }
        Action::Probe { domain, expect: Expect::Gone } => format!("ask {domain} until nginx knows it no more"),
    }
}

fn last_words(action: &FinishAction) -> String {
    match action {
        FinishAction::EndProcesses { uid } => format!("end the processes of user number {uid}"),
        FinishAction::RemoveUser { user, uid } => format!("remove user {user} with number {uid}"),
    }
}
