//! Which sites a file is read for, and whether they answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use shared::jobs::{Job, Presence, SiteKind, SiteSpec};

use crate::engine::parallel::side_by_side;
use crate::ledger::Rows;
use crate::roles::web::paths::{INCLUDE_GROUPS, INCLUDES_OF_ALL};
use crate::system::{ProbeAnswer, Question, System, SystemError};

/// What a file for many sites does to one it does to all of them: so many are asked.
const MOST_ASKED: usize = 64;
/// So many of them are asked for their PHP, which a first question wakes.
const MOST_WOKEN: usize = 8;
/// A pool that is being started, or started again after a crash, answers the second time.
const ASKS: u32 = 3;
const ASKED_AT_ONCE: usize = 16;
const PAUSE: Duration = Duration::from_millis(200);

/// A site to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) site: SiteSpec,
    question: Question,
}

/// Whether nginx reads a file for a site.
pub(super) fn is_read_for(path: &Path, site: &SiteSpec) -> bool {
    let [accounts, sites] = INCLUDE_GROUPS.map(Path::new);
    path.parent().is_some_and(|directory| {
        directory == Path::new(INCLUDES_OF_ALL)
            || directory == accounts.join(site.user.as_str())
            || directory == sites.join(site.domain.as_str())
    })
}

/// The sites that files are read for, as many as are asked.
pub(super) fn sites_of(rows: &Rows, files: &[PathBuf]) -> Vec<Asked> {
    let is_read = |site: &SiteSpec| site.presence != Presence::Deleted && files.iter().any(|path| is_read_for(path, site));
    let sites = rows.applied().filter_map(|(_, _, job)| match job {
        Job::Site(site) if is_read(site) => Some(site),
        Job::Site(_) | Job::Account(_) | Job::PhpPool(_) | Job::Worker(_) => None,
    });
    let (mut asked, mut woken) = (Vec::new(), 0);
    for site in sites.take(MOST_ASKED) {
        asked.push(Asked { site: site.clone(), question: Question::Vhost });
        if let (SiteKind::Php { .. }, Presence::Active) = (site.kind, site.presence)
            && woken < MOST_WOKEN
        {
            woken += 1;
            asked.push(Asked { site: site.clone(), question: Question::Php });
        }
    }
    asked
}

/// Those that do not answer, and what the first of them says instead.
pub(super) fn silent(system: &dyn System, asked: &[Asked]) -> Result<(Vec<Asked>, String), SystemError> {
    let mut answers: Vec<_> = asked.iter().map(|one| (one, Ok(None))).collect();
    side_by_side(ASKED_AT_ONCE, answers.iter_mut().collect(), |(one, answer)| *answer = instead(system, one));
    let (mut silent, mut said) = (Vec::new(), String::new());
    for (one, answer) in answers {
        if let Some(answer) = answer? {
            if silent.is_empty() {
                said = format!("with it {} does not answer as it should: {answer}", one.site.domain);
            }
            silent.push(one.clone());
        }
    }
    Ok((silent, said))
}

/// What a site answers instead of its generation.
fn instead(system: &dyn System, asked: &Asked) -> Result<Option<String>, SystemError> {
    for ask in 1.. {
        let answer = match system.probe(&asked.site.domain, asked.question)? {
            ProbeAnswer::Serving { .. } => return Ok(None),
            // PHP that is busy with its tenant's requests is nobody's include.
            ProbeAnswer::Silent if asked.question == Question::Php => return Ok(None),
            ProbeAnswer::Silent => "nothing in time".to_owned(),
            ProbeAnswer::Unknown => "nginx does not know the name".to_owned(),
            ProbeAnswer::Other(text) => text,
        };
        if ask >= ASKS {
            return Ok(Some(answer));
        }
        system.pause(PAUSE);
    }
    Ok(None)
}
