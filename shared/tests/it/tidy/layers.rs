//! Who may know whom.

use std::fs;

use super::source::{Source, assert_ignorant, assert_none, repository, sources, starts_with};

#[test]
fn only_the_bus_module_knows_nats() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| !source.is_in("shared::bus") && source.paths().iter().any(|path| starts_with(path, "async_nats")))
        .map(|source| source.file.clone())
        .collect();
    assert_none(&broken, "ask shared::bus for what you need: it owns connections, subjects, acknowledgements and signatures");
}

#[test]
fn views_are_pure_functions_of_models() {
    let instead = "a view takes a model and returns mark-up: read in a route, decide in app, put the result into the model";
    assert_ignorant(
        &["web::views"],
        &["axum", "sqlx", "web::store", "web::app", "web::routes", "web::state", "tokio", "std::time"],
        instead,
    );
    let is_async = |source: &&Source| source.is_in("web::views") && (source.code.contains("async ") || source.code.contains(".await"));
    let broken: Vec<String> = sources().iter().filter(is_async).map(|source| format!("{}: async", source.file)).collect();
    assert_none(&broken, instead);
}

#[test]
fn use_cases_know_neither_http_nor_html_nor_sql() {
    assert_ignorant(
        &["web::app"],
        &["axum", "maud", "sqlx", "tower", "tower_http", "web::routes", "web::views"],
        "a use case takes an Actor and a typed form, and calls web::store for SQL; the route turns its result into a page",
    );
}

#[test]
fn the_store_knows_neither_http_nor_html() {
    assert_ignorant(
        &["web::store"],
        &["axum", "maud", "web::app", "web::routes", "web::views"],
        "return rows; app and views make something of them",
    );
}

#[test]
fn routes_know_neither_sql_nor_the_bus() {
    assert_ignorant(
        &["web::routes"],
        &["sqlx", "shared::bus", "web::dispatch"],
        "call a use case of web::app or a read of web::store; work for a host is a queue row, which dispatch sends",
    );
}

#[test]
fn pages_do_not_reach_into_the_process_with_the_keys() {
    assert_ignorant(
        &["web::app", "web::views", "web::store", "web::live"],
        &["web::dispatch"],
        "record it in the database; dispatch finds it there",
    );
}

#[test]
fn roles_only_plan() {
    assert_ignorant(
        &["worker::roles"],
        &["tokio", "std::fs", "std::process", "std::net", "std::os", "nix", "rustix", "sqlx"],
        "put a step into the plan; facts come in as an argument, and engine and system carry steps out",
    );
}

#[test]
fn only_system_runs_programs() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.is_in("worker") && !source.is_in("worker::system"))
        .flat_map(|source| source.paths().into_iter().map(|path| format!("{}: {path}", source.file)))
        .filter(|line| line.contains(": std::process") || line.contains(": tokio::process"))
        .filter(|line| !line.ends_with(": std::process::ExitCode"))
        .collect();
    assert_none(&broken, "worker::system::command runs programs: absolute path, argument vector, clean environment, time limit");
}

/// Calls of the standard library that change files.
const CHANGES: [&str; 16] = [
    "fs::create_dir",
    "fs::create_dir_all",
    "fs::remove_file",
    "fs::remove_dir",
    "fs::remove_dir_all",
    "fs::rename",
    "fs::write",
    "fs::copy",
    "fs::hard_link",
    "fs::set_permissions",
    "fs::symlink",
    "fs::DirBuilder",
    "fs::OpenOptions",
    "fs::File::create",
    "File::create",
    "OpenOptions::new",
];

/// Who may change files besides worker::system, and which: all of them the worker's own, none of a tenant or a daemon.
const OWN_FILES: [&str; 5] = [
    "worker/src/config.rs",       // the identity it got when it joined, and the keys it asked with
    "worker/src/store.rs",        // its database
    "worker/src/apply_file.rs",   // the state directory of `gantry-worker apply-file`
    "worker/src/update/fetch.rs", // its own new package
    "worker/src/update/order.rs", // the files of an update
];

#[test]
fn only_system_changes_files() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.is_in("worker") && !source.is_in("worker::system") && !OWN_FILES.contains(&source.file.as_str()))
        .flat_map(|source| source.paths().into_iter().map(|path| (source.file.clone(), path)))
        .filter(|(_, path)| CHANGES.iter().any(|change| *path == *change || path.ends_with(&format!("::{change}"))))
        .map(|(file, path)| format!("{file}: {path}"))
        .collect();
    assert_none(&broken, "worker::system::files changes files: beneath a root-owned directory, no links followed, temp and rename");
}

/// The dependencies of a manifest by section, dev-dependencies left out.
fn dependencies(manifest: &str) -> Vec<String> {
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in fs::read_to_string(repository().join(manifest)).unwrap().lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
            if let Some((kind, name)) =
                section.rsplit_once('.').filter(|(kind, _)| kind.ends_with("dependencies") && !kind.contains("dev-"))
            {
                assert!(!kind.is_empty());
                found.push(name.to_owned());
            }
        } else if section.ends_with("dependencies") && !section.contains("dev-") {
            found.extend(line.split(['=', '.', ' ']).next().filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned));
        }
    }
    found
}

#[test]
fn panel_and_worker_do_not_depend_on_each_other() {
    for (manifest, strangers) in [
        ("web/Cargo.toml", &["worker", "async-nats"][..]),
        ("worker/Cargo.toml", &["web", "axum", "maud", "async-nats"][..]),
        ("shared/Cargo.toml", &["web", "worker", "axum", "maud", "sqlx"][..]),
    ] {
        let broken: Vec<String> = dependencies(manifest).into_iter().filter(|name| strangers.contains(&name.as_str())).collect();
        assert!(dependencies(manifest).contains(&"serde".to_owned()), "{manifest} was not understood");
        assert_none(&broken, &format!("{manifest}: what both sides need belongs into shared; a test may use dev-dependencies"));
    }
}
