//! Programs that misbehave.

use std::time::{Duration, Instant};

use shared::failure::FailureCode;

use super::{Program, cut};

#[test]
fn a_program_gets_an_empty_environment_and_what_it_should_read() {
    let environment = Program::new("/usr/bin/env").run().unwrap().stdout;
    assert!(environment.lines().all(|line| line.starts_with("PATH=") || line.starts_with("LC_ALL=")), "{environment}");
    assert_eq!(Program::new("/usr/bin/cat").input("text").run().unwrap().stdout, "text");
}

#[test]
fn a_program_that_fails_says_how_in_the_error() {
    let error = Program::new("/usr/bin/cat").arg("/no/such/file").run().unwrap_err();
    assert!(error.to_string().contains("/usr/bin/cat /no/such/file"), "{error}");
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn a_program_that_hangs_is_ended_in_time() {
    let began = Instant::now();
    let error = Program::new("/usr/bin/sleep").arg("60").limit(Duration::from_millis(50)).run().unwrap_err();
    assert_eq!(error.code(), FailureCode::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn f05_what_a_hanging_program_has_started_is_ended_with_it() {
    let scratch = tempfile::tempdir().unwrap();
    let note = scratch.path().join("pid");
    let script = format!("sleep 60 & echo $! > {}; wait", note.display());
    Program::new("/bin/sh").arg("-c").arg(&script).limit(Duration::from_millis(500)).run().unwrap_err();
    let started: u32 = std::fs::read_to_string(&note).unwrap().trim().parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    // Whoever takes its parent's place has yet to notice.
    let runs = || std::fs::read_to_string(format!("/proc/{started}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while runs() {
        assert!(Instant::now() < deadline, "process {started} goes on");
        std::thread::yield_now();
    }
}

#[test]
fn a_cut_ends_at_a_character() {
    assert_eq!(cut("aä".to_owned(), 2), "a");
}
