//! What the auditor of the faults finds once a test has ended: `.ci/chaos/auditor.py`, which shares no code with the worker.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How long what a test has left under way may take, and after it the worker's last acknowledgements and the trash.
const PATIENCE_S: &str = "60";

/// Compares the panel's database and the host both ways.
///
/// # Panics
/// If anything is missing, left over, or other than wanted.
pub(super) fn assert_as_wanted() {
    let from = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by .ci/hosts.sh"));
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.ci");
    let audit = Command::new("python3")
        .arg(here.join("chaos/auditor.py"))
        .arg("--lab")
        .arg(here.join("lab/lab.sh"))
        .args(["--host", &from("GANTRY_E2E_HOST"), "--database", &from("GANTRY_E2E_DATABASE"), "--seconds", PATIENCE_S])
        .stdin(Stdio::null())
        .output()
        .expect("python3 runs");
    let said = [audit.stdout, audit.stderr].concat();
    assert!(audit.status.success(), "after the test the auditor found:\n{}", String::from_utf8_lossy(&said));
}
