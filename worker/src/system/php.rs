//! PHP-FPM's own test of pools.

use std::path::PathBuf;

use super::command::{Program, cut};
use super::services::CANDIDATES;
use super::{Check, PhpTest, SystemError, files};
use crate::engine::image::{Content, FileImage, Owner};

/// Debian's user without rights, and its group.
const NOBODY: u32 = 65_534;

/// Tests one pool as its user, or several in one file as nobody: what a pool of ours may be is a matter of its text alone.
pub(super) fn test_php(tests: &[PhpTest<'_>]) -> Result<Check, SystemError> {
    let [first, others @ ..] = tests else {
        return Ok(Check { accepted: true, output: String::new() });
    };
    let mut config = first.config.to_owned();
    let (name, uid) = if others.is_empty() { (first.user.as_str(), first.uid) } else { ("together_", NOBODY) };
    for test in others {
        // All have the same global part; what follows it is the pool.
        config.push_str(pool_part(test).unwrap_or(test.config));
    }
    let path = PathBuf::from(CANDIDATES).join(format!("{name}-{}.conf", first.version));
    files::write_file(&FileImage { path: path.clone(), owner: Owner::root_for(uid), mode: 0o640, content: Content::from(config) })?;
    // It reads what the account may read and no more; no program it might start gains anything.
    let checked = Program::new("/usr/bin/setpriv")
        .arg(&format!("--reuid={uid}"))
        .arg(&format!("--regid={uid}"))
        .arg("--clear-groups")
        .arg("--no-new-privs")
        .arg("--inh-caps=-all")
        .arg("--bounding-set=-all")
        .arg("--")
        .arg(&format!("/usr/sbin/php-fpm{}", first.version))
        .arg("--test")
        .arg("--fpm-config")
        .arg(&path.display().to_string())
        .finish();
    files::remove_file(&path)?;
    let finished = checked?;
    let output = cut(format!("{}{}", finished.stderr, finished.stdout), 8192);
    // FPM prints the candidate's place; the real one is what a reader looks for.
    Ok(Check { accepted: finished.status.success(), output })
}

/// The part of a configuration that belongs to the pool, with its heading.
fn pool_part<'a>(test: &PhpTest<'a>) -> Option<&'a str> {
    let heading = format!("\n[{}]\n", test.user);
    test.config.find(&heading).map(|at| &test.config[at..])
}
