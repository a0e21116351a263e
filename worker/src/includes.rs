//! An admin's own nginx configuration for a server, an account or a site: files that every vhost includes and no job writes.
//!
//! **It is tested like everything else**: nginx takes up a file only once its own test has accepted the whole tree with it.
//! **A file that nginx refuses is set aside**, under its name with `.broken` behind it, so that it holds up nobody's job.
//! Whoever mends it gives it its name back.
//! **Nothing is run as long as no file has changed.**

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use shared::events::SetAside;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;

use crate::engine::check::plain;
use crate::engine::error::chain;
use crate::engine::image::Entry;
use crate::engine::{Engine, blocking};
use crate::roles::web::paths::{INCLUDE_GROUPS, INCLUDES, INCLUDES_OF_ALL};
use crate::store::{StoreError, encode, now_ms};
use crate::system::{LiveTest, StagedChange, System, SystemError, cut};

/// Whether the set of files that are set aside is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// It is the same.
    Same,
    /// It is not.
    Changed,
}

/// One after another, so many files are set aside at a time.
const MOST: usize = 50;

/// Has nginx take up files that have changed, and sets aside what it refuses.
///
/// # Errors
/// The database fails.
pub async fn look(engine: &Engine, pool: &SqlitePool) -> Result<Looked, StoreError> {
    let forgotten = forget_mended(engine, pool).await?;
    let system = engine.system().clone();
    let found = match blocking(move || digests(system.as_ref())).await? {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(error = chain(&error), "the include files could not be read");
            return Ok(forgotten);
        }
    };
    let read = read_before(pool).await?;
    if read == found {
        return Ok(forgotten);
    }
    let _turn = engine.turn.lock().await;
    let system = engine.system().clone();
    let (broken, taken) = blocking(move || take_up(system.as_ref(), &read)).await?;
    for one in &broken {
        keep(pool, one).await?;
    }
    match taken {
        Ok(digests) => {
            let digests = encode(&digests)?;
            sqlx::query("INSERT OR REPLACE INTO includes_read (id, digest) VALUES (1, ?)").bind(digests).execute(pool).await?;
        }
        Err(error) => tracing::warn!(error = chain(&error), "changed include files could not be taken up; the next look tries again"),
    }
    Ok(if broken.is_empty() { forgotten } else { Looked::Changed })
}

/// Sets the file aside that is the cause of a refusal, if it is one of these; `None` if it is not. Of several jobs that were
/// refused for one file, the first has it set aside, and the others find it gone.
pub(crate) async fn set_aside_cause(engine: &Engine, pool: &SqlitePool, said: &str) -> Result<Option<Looked>, StoreError> {
    if said.is_empty() {
        return Ok(None);
    }
    let read = read_before(pool).await?;
    let _turn = engine.turn.lock().await;
    let (system, said) = (engine.system().clone(), said.to_owned());
    let found = blocking(move || {
        let system = system.as_ref();
        let Some(path) = guilty(system, &read, &said)? else { return Ok(None) };
        if system.entry(&path)? == Entry::Absent {
            return Ok(Some(None));
        }
        set_aside(system, &path, &said).map(|one| Some(Some(one)))
    });
    match found.await? {
        Ok(Some(Some(one))) => {
            keep(pool, &one).await?;
            Ok(Some(Looked::Changed))
        }
        Ok(Some(None)) => Ok(Some(Looked::Same)),
        Ok(None) => Ok(None),
        Err(error) => {
            let error: SystemError = error;
            tracing::warn!(error = chain(&error), "a broken include file could not be set aside");
            Ok(None)
        }
    }
}

/// What nginx has read of the files.
async fn read_before(pool: &SqlitePool) -> Result<Digests, StoreError> {
    let read: Option<String> = sqlx::query_scalar("SELECT digest FROM includes_read WHERE id = 1").fetch_optional(pool).await?;
    // An older worker kept one digest for all: then every file is read once more.
    Ok(read.and_then(|read| serde_json::from_str(&read).ok()).unwrap_or_default())
}

/// Every file that is set aside.
///
/// # Errors
/// The database fails.
pub async fn set_aside_list(connection: &mut SqliteConnection) -> Result<Vec<SetAside>, StoreError> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT path, said, at_ms FROM set_aside ORDER BY path LIMIT 100").fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(path, said, at_ms)| SetAside { path, said, at_ms }).collect())
}

async fn keep(pool: &SqlitePool, one: &SetAside) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO set_aside (path, said, at_ms) VALUES (?, ?, ?)")
        .bind(&one.path)
        .bind(&one.said)
        .bind(one.at_ms)
        .execute(pool)
        .await?;
    Ok(())
}

/// Forgets those that somebody has taken away since.
async fn forget_mended(engine: &Engine, pool: &SqlitePool) -> Result<Looked, StoreError> {
    let paths: Vec<String> = sqlx::query_scalar("SELECT path FROM set_aside").fetch_all(pool).await?;
    let mut looked = Looked::Same;
    for path in paths {
        let (system, at) = (engine.system().clone(), PathBuf::from(&path));
        if matches!(blocking(move || system.entry(&at)).await?, Ok(Entry::Absent)) {
            sqlx::query("DELETE FROM set_aside WHERE path = ?").bind(path).execute(pool).await?;
            looked = Looked::Changed;
        }
    }
    Ok(looked)
}

/// Tests the tree until nginx accepts it, each time without the file it refused; then lets nginx read it. What was set aside,
/// and what nginx has read.
fn take_up(system: &dyn System, read: &Digests) -> (Vec<SetAside>, Result<Digests, SystemError>) {
    let mut broken = Vec::new();
    let taken = loop {
        match try_to_take_up(system, read, broken.len()) {
            Ok(Tried::TakenUp(digests)) => break Ok(digests),
            Ok(Tried::SetAside(one)) => broken.push(one),
            Err(error) => break Err(error),
        }
    };
    (broken, taken)
}

/// What came of one try.
enum Tried {
    TakenUp(Digests),
    SetAside(SetAside),
}

fn try_to_take_up(system: &dyn System, read: &Digests, broken: usize) -> Result<Tried, SystemError> {
    // Before the test: what is saved from here on is for the next look.
    let digests = digests(system)?;
    let test = system.test_nginx(&[], LiveTest::Never)?.candidate;
    if test.accepted {
        system.reload_nginx()?;
        return Ok(Tried::TakenUp(digests));
    }
    let guilty = if broken < MOST { guilty(system, read, &test.output)? } else { None };
    let Some(path) = guilty else {
        let reason = format!("refuses its configuration: {}", test.output);
        return Err(SystemError::Service { unit: "nginx.service".to_owned(), reason });
    };
    set_aside(system, &path, &test.output).map(Tried::SetAside)
}

/// The file that nginx refuses: the one it names, or of those that have changed since nginx read them, the one without which it
/// says something else. Of a variable, a zone or a certificate nginx does not say where it is used.
fn guilty(system: &dyn System, read: &Digests, said: &str) -> Result<Option<PathBuf>, SystemError> {
    let Some(fault) = fault(said) else { return Ok(None) };
    if let Some(path) = named(&fault) {
        return Ok(Some(path));
    }
    let changed = digests(system)?.into_iter().filter(|(path, digest)| read.get(path) != Some(digest)).map(|(path, _)| path);
    for path in changed.take(MOST) {
        let without = system.test_nginx(&[StagedChange::Remove { path: path.clone() }], LiveTest::Never)?.candidate;
        if without.accepted || self::fault(&without.output) != Some(fault.clone()) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// What nginx refuses, without the time and process.
fn fault(said: &str) -> Option<String> {
    plain(said).lines().find(|line| line.contains("[emerg]")).map(str::to_owned)
}

/// The include file that a refusal names: `[emerg] ... in /etc/nginx/gantry.d/server/a.conf:3`.
fn named(fault: &str) -> Option<PathBuf> {
    let (_, place) = fault.rsplit_once(" in ")?;
    let (file, line) = place.trim().rsplit_once(':')?;
    let path = Path::new(file);
    let plain = path.components().all(|part| matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_)));
    (plain && line.parse::<u32>().is_ok() && path.starts_with(INCLUDES) && is_read(path)).then(|| path.to_owned())
}

fn set_aside(system: &dyn System, path: &Path, said: &str) -> Result<SetAside, SystemError> {
    let mut to = with_suffix(path, ".broken");
    for number in 2..100 {
        if system.entry(&to)? == Entry::Absent {
            break;
        }
        to = with_suffix(path, &format!(".broken.{number}"));
    }
    system.rename(path, &to)?;
    tracing::error!(from = %path.display(), to = %to.display(), detail = said, "nginx refuses an include file; it was set aside");
    Ok(SetAside { path: to.display().to_string(), said: cut(plain(said), 4096), at_ms: now_ms() })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn is_read(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "conf")
}

/// The SHA-256 of every file that vhosts include.
type Digests = BTreeMap<PathBuf, String>;

fn digests(system: &dyn System) -> Result<Digests, SystemError> {
    let mut files = Digests::new();
    read(system, Path::new(INCLUDES_OF_ALL), &mut files)?;
    for group in INCLUDE_GROUPS {
        for name in list(system, Path::new(group))? {
            read(system, &Path::new(group).join(name), &mut files)?;
        }
    }
    Ok(files)
}

fn read(system: &dyn System, directory: &Path, files: &mut Digests) -> Result<(), SystemError> {
    for path in list(system, directory)?.into_iter().map(|name| directory.join(name)).filter(|path| is_read(path)) {
        let content = match system.entry(&path)? {
            Entry::File { .. } => HEXLOWER.encode(&Sha256::digest(system.content(&path)?)),
            Entry::Link { target } => target.to_string_lossy().into_owned(),
            Entry::Absent | Entry::Directory { .. } | Entry::Other { .. } => continue,
        };
        files.insert(path, content);
    }
    Ok(())
}

/// The names in a directory; none if it is no directory.
fn list(system: &dyn System, directory: &Path) -> Result<Vec<String>, SystemError> {
    match system.entry(directory)? {
        Entry::Directory { .. } => system.list(directory),
        Entry::Absent | Entry::File { .. } | Entry::Link { .. } | Entry::Other { .. } => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests;
