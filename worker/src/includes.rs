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
use crate::store::{StoreError, now_ms};
use crate::system::{LiveTest, System, SystemError, cut};

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
    let found = match blocking(move || digest(system.as_ref())).await? {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(error = chain(&error), "the include files could not be read");
            return Ok(forgotten);
        }
    };
    let read: Option<String> = sqlx::query_scalar("SELECT digest FROM includes_read WHERE id = 1").fetch_optional(pool).await?;
    if read.unwrap_or_default() == found {
        return Ok(forgotten);
    }
    let _turn = engine.turn.lock().await;
    let system = engine.system().clone();
    let (broken, taken) = blocking(move || take_up(system.as_ref())).await?;
    for one in &broken {
        keep(pool, one).await?;
    }
    match taken {
        Ok(digest) => {
            sqlx::query("INSERT OR REPLACE INTO includes_read (id, digest) VALUES (1, ?)").bind(digest).execute(pool).await?;
        }
        Err(error) => tracing::warn!(error = chain(&error), "changed include files could not be taken up; the next look tries again"),
    }
    Ok(if broken.is_empty() { forgotten } else { Looked::Changed })
}

/// Sets the file aside that nginx names as the cause of a refusal, if it is one of these. True if it was.
pub(crate) async fn set_aside_cause(engine: &Engine, pool: &SqlitePool, said: &str) -> Result<bool, StoreError> {
    let Some(path) = cause(said) else { return Ok(false) };
    let (system, said) = (engine.system().clone(), said.to_owned());
    match blocking(move || set_aside(system.as_ref(), &path, &said)).await? {
        Ok(one) => {
            keep(pool, &one).await?;
            Ok(true)
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), "a broken include file could not be set aside");
            Ok(false)
        }
    }
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
/// and the digest of what nginx has read.
fn take_up(system: &dyn System) -> (Vec<SetAside>, Result<String, SystemError>) {
    let mut broken = Vec::new();
    loop {
        let tested = (|| {
            let test = system.test_nginx(&[], LiveTest::Never)?;
            if test.candidate.accepted {
                system.reload_nginx()?;
                return digest(system).map(Ok);
            }
            Ok(Err(test.candidate.output))
        })();
        let said = match tested {
            Ok(Ok(digest)) => return (broken, Ok(digest)),
            Ok(Err(said)) => said,
            Err(error) => return (broken, Err(error)),
        };
        let refused = || SystemError::Service { unit: "nginx.service".to_owned(), reason: format!("refuses its configuration: {said}") };
        let Some(path) = cause(&said).filter(|_| broken.len() < MOST) else { return (broken, Err(refused())) };
        match set_aside(system, &path, &said) {
            Ok(one) => broken.push(one),
            Err(error) => return (broken, Err(error)),
        }
    }
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

/// The include file that nginx names in a refusal: `[emerg] ... in /etc/nginx/gantry.d/server/a.conf:3`.
fn cause(said: &str) -> Option<PathBuf> {
    let line = said.lines().find(|line| line.contains("[emerg]"))?;
    let (_, place) = line.rsplit_once(" in ")?;
    let (file, number) = place.trim().rsplit_once(':')?;
    let path = Path::new(file);
    let plain = path.components().all(|part| matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_)));
    (plain && number.parse::<u32>().is_ok() && path.starts_with(INCLUDES) && is_read(path)).then(|| path.to_owned())
}

fn is_read(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "conf")
}

/// A digest of every file that vhosts include; empty if there is none.
fn digest(system: &dyn System) -> Result<String, SystemError> {
    let mut files = BTreeMap::new();
    read(system, Path::new(INCLUDES_OF_ALL), &mut files)?;
    for group in INCLUDE_GROUPS {
        for name in list(system, Path::new(group))? {
            read(system, &Path::new(group).join(name), &mut files)?;
        }
    }
    if files.is_empty() {
        return Ok(String::new());
    }
    let mut hash = Sha256::new();
    for (path, content) in &files {
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update(b"\0");
        hash.update(content);
    }
    Ok(HEXLOWER.encode(&hash.finalize()))
}

fn read(system: &dyn System, directory: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<(), SystemError> {
    for path in list(system, directory)?.into_iter().map(|name| directory.join(name)).filter(|path| is_read(path)) {
        let content = match system.entry(&path)? {
            Entry::File { .. } => Sha256::digest(system.content(&path)?).to_vec(),
            Entry::Link { target } => target.into_os_string().into_encoded_bytes(),
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
mod tests {
    use std::path::Path;

    use super::cause;

    #[test]
    fn only_an_include_file_is_blamed() {
        let said = |place: &str| format!("2026/11/21 [warn] x in /etc/nginx/a.conf:1\nnginx: [emerg] unknown directive \"x\" in {place}\n");
        let own = "/etc/nginx/gantry.d/site/shop.example/a.conf";
        assert_eq!(cause(&said(&format!("{own}:3"))).as_deref(), Some(Path::new(own)));
        for other in [
            "/etc/nginx/sites-enabled/shop.example.conf:3",
            "/etc/nginx/gantry.d/../nginx.conf:3",
            "/etc/nginx/gantry.d/server/a.txt:3",
            "/etc/nginx/gantry.d/server/a.conf",
        ] {
            assert_eq!(cause(&said(other)), None, "{other}");
        }
        assert_eq!(cause("nginx: configuration file test failed"), None);
    }
}
