//! What must not be written at all, and how much of it in one place.

use std::fs;

use super::source::{Source, assert_none, files, repository, sources};

/// Files that were longer when the rule came, with the size they may not outgrow.
const LONG_FILES: [(&str, usize); 0] = [];

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    let allowed = |file: &str| LONG_FILES.iter().find(|(name, _)| *name == file).map_or(400, |(_, lines)| *lines);
    let too_long = |source: &&Source| source.lines > allowed(&source.file);
    let broken: Vec<String> = sources().iter().filter(too_long).map(|source| format!("{}: {} lines", source.file, source.lines)).collect();
    assert_none(&broken, "find the second concept in it and give that a file of its own; long tests go to tests/it");
}

#[test]
fn no_module_is_a_drawer() {
    let drawers = ["util", "utils", "helper", "helpers", "common", "misc", "stuff"];
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.module.iter().any(|part| drawers.contains(&part.as_str())))
        .map(|source| source.file.clone())
        .collect();
    assert_none(&broken, "name the module after the concept it holds, or put the code where it is used");
}

#[test]
fn subjects_are_spelled_in_one_place() {
    let spelled = ["shared/src/bus/subjects.rs", "shared/src/bus/credentials.rs"];
    let prefixes = ["cmd.", "evt.", "prog.", "hb.", "in.", "ui.", "req.", "ans."];
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| !spelled.contains(&source.file.as_str()))
        .flat_map(|source| source.literals.iter().map(|literal| (source.file.clone(), literal.clone())))
        .filter(|(_, literal)| prefixes.iter().any(|prefix| literal.starts_with(prefix)))
        .map(|(file, literal)| format!("{file}: {literal:?}"))
        .collect();
    assert_none(&broken, "add a function to shared::bus::subjects and call it");
}

#[test]
fn nothing_goes_through_a_shell() {
    let shells = ["sh", "bash", "/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash", "/usr/bin/env", "env"];
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.literals.iter().any(|literal| shells.contains(&literal.as_str())))
        .map(|source| source.file.clone())
        .collect();
    assert_none(&broken, "run the program itself with an argument vector (worker::system::command)");
}

#[test]
fn views_hold_no_raw_html_and_no_inline_style_or_script() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.is_in("web::views"))
        .flat_map(|source| inline(&source.code).into_iter().map(|what| format!("{}: {what}", source.file)))
        .collect();
    assert_none(
        &broken,
        "write maud, a class of static/app.css, and a data-* attribute that static/app.js knows: the policy forbids inline code",
    );
}

fn inline(code: &str) -> Vec<String> {
    let mut found: Vec<String> =
        ["PreEscaped", "hx-on", "hx-vals=\"\""].iter().filter(|word| code.contains(**word)).map(|word| (*word).to_owned()).collect();
    for (at, _) in code.match_indices('=') {
        let name: String = code[..at]
            .chars()
            .rev()
            .take_while(|c| c.is_alphanumeric() || *c == '-' || *c == '_')
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        let is_attribute = code[at + 1..].starts_with(['"', '(', '[']);
        let is_handler = name.starts_with("on") && name.len() > 3;
        if is_attribute && (name == "style" || is_handler) {
            found.push(format!("{name}="));
        }
    }
    found
}

#[test]
fn migrations_are_portable() {
    let foreign = [
        "BOOLEAN",
        "BOOL",
        "TIMESTAMP",
        "TIMESTAMPTZ",
        "DATETIME",
        "JSONB",
        "JSON",
        "SERIAL",
        "BIGSERIAL",
        "BYTEA",
        "BLOB",
        "UUID",
        "AUTOINCREMENT",
    ];
    let mut broken = Vec::new();
    for file in files("migrations", "sql") {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let line = line.split("--").next().unwrap().to_ascii_uppercase();
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            broken.extend(words.filter(|word| foreign.contains(word)).map(|word| format!("{}:{}: {word}", file.display(), number + 1)));
        }
    }
    assert_none(&broken, "TEXT for ids and JSON, BIGINT for milliseconds since 1970, SMALLINT 0 or 1 for yes and no");
}

#[test]
fn queries_name_their_columns() {
    let starred = |literal: &&String| literal.to_ascii_uppercase().split_whitespace().collect::<Vec<_>>().join(" ").contains("SELECT *");
    let broken: Vec<String> = sources()
        .iter()
        .flat_map(|source| source.literals.iter().filter(starred).map(|literal| format!("{}: {literal}", source.file)))
        .collect();
    assert_none(&broken, "name the columns: a migration that adds one must not change what a query returns");
}

#[test]
fn the_top_of_the_repository_holds_what_it_should() {
    let fixed = ["Cargo.lock", "Cargo.toml", "LICENSE", "Makefile", "README.md", "migrations", "shared", "static", "web", "worker"];
    let besides = ["compose.yaml", "target"];
    let names: Vec<String> = fs::read_dir(repository()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let strange: Vec<String> = names
        .iter()
        .filter(|name| !name.starts_with('.') && !fixed.contains(&name.as_str()) && !besides.contains(&name.as_str()))
        .cloned()
        .collect();
    assert_none(&strange, "it belongs into web/, worker/, shared/, static/ or .ci/");
    let missing: Vec<String> = fixed.iter().filter(|name| !names.iter().any(|own| own == *name)).map(|name| (*name).to_owned()).collect();
    assert_none(&missing, "every top-level entry has its reason in README.md; do not move one without changing that");
}

#[test]
fn inline_styles_and_scripts_are_seen() {
    assert_eq!(inline("div style=\"\" onclick=(x) { }"), ["style=", "onclick="]);
}
