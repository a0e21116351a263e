//! Has nginx take files up: its test first, then the running one, then the sites that they are read for.

use std::collections::BTreeSet;
use std::path::PathBuf;

use shared::events::SetAside;

use super::asking::{is_read_for, silent, sites_of};
use super::blame::{MOST, refused, tried};
use super::files::{Digests, digests, left_away, put_back, set_aside};
use crate::ledger::Rows;
use crate::system::{LiveTest, System, SystemError};

/// Tries until nginx has taken up all that is left, each time without what cannot stay. What was set aside, and what nginx has
/// read.
pub(super) fn take_up(system: &dyn System, rows: &Rows, read: &Digests) -> (Vec<SetAside>, Result<Digests, SystemError>) {
    let mut broken = Vec::new();
    let taken = loop {
        match try_to_take_up(system, rows, read, broken.len()) {
            Ok(Tried::TakenUp(digests)) => break Ok(digests),
            Ok(Tried::SetAside(some)) => broken.extend(some),
            Err(error) => break Err(error),
        }
    };
    (broken, taken)
}

/// What came of one try.
enum Tried {
    TakenUp(Digests),
    SetAside(Vec<SetAside>),
}

fn try_to_take_up(system: &dyn System, rows: &Rows, read: &Digests, broken: usize) -> Result<Tried, SystemError> {
    for path in left_away(system)? {
        put_back(system, &path)?;
    }
    // Before the test: what is saved from here on is for the next look.
    let digests = digests(system)?;
    let changed = changed(read, &digests);
    let suspects: Vec<PathBuf> =
        if broken < MOST { changed.iter().filter(|path| digests.contains_key(*path)).cloned().collect() } else { Vec::new() };
    let test = system.test_nginx(&[], LiveTest::Never)?.candidate;
    if !test.accepted {
        let guilty = if broken < MOST { refused(system, &suspects, &[], &test.output)? } else { Vec::new() };
        if guilty.is_empty() {
            let reason = format!("refuses its configuration: {}", test.output);
            return Err(SystemError::Service { unit: "nginx.service".to_owned(), reason });
        }
        let aside = guilty.iter().map(|path| set_aside(system, path, path, &test.output)).collect::<Result<_, _>>()?;
        return Ok(Tried::SetAside(aside));
    }
    if let Err(error) = system.reload_nginx() {
        let SystemError::ReloadRefused { said } = &error else { return Err(error) };
        let aside = tried(system, &suspects, said, &mut || takes_up_or_says_else(system, said))?;
        return if aside.is_empty() { Err(error) } else { Ok(Tried::SetAside(aside)) };
    }
    let (shut, said) = silent(system, &sites_of(rows, &changed))?;
    let suspects: Vec<PathBuf> = suspects.into_iter().filter(|path| shut.iter().any(|one| is_read_for(path, &one.site))).collect();
    if shut.is_empty() || suspects.is_empty() {
        return Ok(Tried::TakenUp(digests));
    }
    let aside = tried(system, &suspects, &said, &mut || {
        system.reload_nginx()?;
        Ok(silent(system, &shut)?.0.len() < shut.len())
    });
    match aside {
        Ok(aside) if !aside.is_empty() => Ok(Tried::SetAside(aside)),
        other => {
            // None of them is the cause, so all of them are there again, and nginx has to know.
            system.reload_nginx()?;
            other.map(|_| Tried::TakenUp(digests))
        }
    }
}

/// What was added, taken away or written since nginx read it.
pub(super) fn changed(read: &Digests, found: &Digests) -> Vec<PathBuf> {
    let paths: BTreeSet<&PathBuf> = read.keys().chain(found.keys()).collect();
    paths.into_iter().filter(|path| read.get(*path) != found.get(*path)).cloned().collect()
}

/// Whether the running nginx takes the tree up now, or refuses it for something else.
fn takes_up_or_says_else(system: &dyn System, said: &str) -> Result<bool, SystemError> {
    match system.reload_nginx() {
        Ok(()) => Ok(true),
        Err(SystemError::ReloadRefused { said: now }) => Ok(words(&now) != words(said)),
        Err(error) => Err(error),
    }
}

/// What was said, whenever and by which process.
fn words(said: &str) -> BTreeSet<String> {
    crate::engine::check::plain(said).lines().map(str::to_owned).collect()
}
