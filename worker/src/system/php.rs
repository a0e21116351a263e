//! PHP-FPM's own test of pools.

use std::path::PathBuf;

use super::command::{Program, cut};
use super::services::CANDIDATES;
use super::{Check, PhpTest, SystemError, files};
use crate::engine::image::{Content, FileImage, Owner};

/// Debian's user without rights, and its group.
const NOBODY: u32 = 65_534;
/// The candidate's name. No user's name has a hyphen.
const NAME: &str = "all-pools";

/// Tests pools in one file as nobody: what a pool of ours may be is a matter of its text alone. Never as the pool's user, whose
/// processes may stop any other of his, and with it the queue of the whole host.
pub(super) fn test_php(tests: &[PhpTest<'_>]) -> Result<Check, SystemError> {
    let Some(first) = tests.first() else {
        return Ok(Check { accepted: true, output: String::new() });
    };
    let path = PathBuf::from(CANDIDATES).join(format!("{NAME}-{}.conf", first.version));
    let content = Content::from(together(tests));
    files::write_file(&FileImage { path: path.clone(), owner: Owner::root_for(NOBODY), mode: 0o640, content })?;
    // It reads what everybody may read and no more; no program it might start gains anything.
    let checked = Program::new("/usr/bin/setpriv")
        .arg(&format!("--reuid={NOBODY}"))
        .arg(&format!("--regid={NOBODY}"))
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

/// One master with all pools. Its log is none that nobody could not open.
fn together(tests: &[PhpTest<'_>]) -> String {
    let mut config = String::from("[global]\nerror_log = /dev/null\ndaemonize = no\n");
    for test in tests {
        let heading = format!("\n[{}]\n", test.user);
        config.push_str(test.config.find(&heading).map_or(test.config, |at| &test.config[at..]));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::together;
    use crate::system::PhpTest;

    #[test]
    fn several_pools_are_one_configuration_with_one_global_part() {
        let (version, one, two) = ("8.2".parse().unwrap(), "one".parse().unwrap(), "two".parse().unwrap());
        let test = |user, config| PhpTest { version, user, config };
        let text =
            together(&[test(&one, "[global]\nerror_log = /a\n\n[one]\npm = static\n"), test(&two, "[global]\n\n[two]\npm = ondemand\n")]);
        assert_eq!(text.matches("[global]").count(), 1);
        assert!(text.contains("\n[one]\npm = static\n") && text.contains("\n[two]\npm = ondemand\n") && !text.contains("/a"));
    }
}
