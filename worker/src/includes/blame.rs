//! Which file is to blame: for what nginx's test says of a tree, for a reload that it refuses, for sites that no longer answer.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use shared::events::SetAside;

use super::files::{is_read, put_back, set_aside, take_away};
use crate::engine::check::plain;
use crate::engine::image::Entry;
use crate::roles::web::paths::INCLUDES;
use crate::system::{LiveTest, StagedChange, System, SystemError};

/// Of many files no more than these are tried.
pub(super) const MOST: usize = 50;

/// The files that nginx's test refuses: the one it names, or those of `suspects` for which it says what it says, in the tree with
/// the changes that are staged. Of a variable, a zone or a certificate nginx does not say where it is used.
pub(super) fn refused(system: &dyn System, suspects: &[PathBuf], staged: &[StagedChange], said: &str) -> Result<Vec<PathBuf>, SystemError> {
    let Some(fault) = fault(said) else { return Ok(Vec::new()) };
    if let Some(path) = named(&fault) {
        return Ok(vec![path]);
    }
    let suspects: BTreeSet<&PathBuf> = suspects.iter().take(MOST).collect();
    let says_it_without = |away: &BTreeSet<&PathBuf>| {
        let changes: Vec<StagedChange> =
            staged.iter().cloned().chain(away.iter().map(|path| StagedChange::Remove { path: (*path).clone() })).collect();
        let candidate = system.test_nginx(&changes, LiveTest::Never)?.candidate;
        Ok::<_, SystemError>(!candidate.accepted && self::fault(&candidate.output) == Some(fault.clone()))
    };
    let mut guilty = Vec::new();
    // Said of the tree without any of them too, it is none's fault.
    if suspects.is_empty() || says_it_without(&suspects)? {
        return Ok(guilty);
    }
    let mut away = suspects.clone();
    for path in suspects {
        away.remove(path);
        if says_it_without(&away)? {
            away.insert(path);
            guilty.push(path.clone());
        }
    }
    Ok(guilty)
}

/// What nginx refuses, without the time and process.
fn fault(said: &str) -> Option<String> {
    plain(said).lines().find(|line| line.contains("[emerg]")).map(str::to_owned)
}

/// The include file that a refusal names: `[emerg] ... in /etc/nginx/gantry.d/server/a.conf:3`.
pub(super) fn named(fault: &str) -> Option<PathBuf> {
    let (_, place) = fault.rsplit_once(" in ")?;
    let (file, line) = place.trim().rsplit_once(':')?;
    let path = Path::new(file);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    (plain && line.parse::<u32>().is_ok() && path.starts_with(INCLUDES) && is_read(path)).then(|| path.to_owned())
}

/// Takes each of `suspects` away for a moment: one without which it is `better` is set aside. If it is none alone, it may be all
/// of them together. Afterwards the others are where they were, and nginx is yet to be told.
pub(super) fn tried(
    system: &dyn System,
    suspects: &[PathBuf],
    said: &str,
    better: &mut dyn FnMut() -> Result<bool, SystemError>,
) -> Result<Vec<SetAside>, SystemError> {
    let suspects = &suspects[..suspects.len().min(MOST)];
    for path in suspects {
        let aside = tried_without(system, std::slice::from_ref(path), said, better)?;
        if !aside.is_empty() {
            return Ok(aside);
        }
    }
    if suspects.len() > 1 { tried_without(system, suspects, said, better) } else { Ok(Vec::new()) }
}

fn tried_without(
    system: &dyn System,
    paths: &[PathBuf],
    said: &str,
    better: &mut dyn FnMut() -> Result<bool, SystemError>,
) -> Result<Vec<SetAside>, SystemError> {
    let (mut away, mut aside) = (Vec::new(), Vec::new());
    for path in paths {
        if system.entry(path)? != Entry::Absent {
            away.push((path, take_away(system, path)?));
        }
    }
    let helped = if away.is_empty() { Ok(false) } else { better() };
    for (path, at) in away {
        if let Ok(true) = helped {
            aside.push(set_aside(system, path, &at, said)?);
        } else {
            put_back(system, path)?;
        }
    }
    helped.map(|_| aside)
}
