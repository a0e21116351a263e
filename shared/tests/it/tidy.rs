//! The architecture as tests: who may know whom, and what must not be written at all.
//!
//! The whole source tree is read as text. A path counts once it is resolved: `use crate::{app, store}` in `web/src/views` is
//! `web::app` and `web::store`. Comments, strings and unit tests at the end of a file do not count. **Each failure says what to
//! do instead**; a rule that turns out wrong is changed here, in the same change as the code that breaks it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where the repository begins.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A source file, taken apart.
struct Source {
    /// From the repository's top, such as `web/src/views/site/show.rs`.
    file: String,
    /// Its module, such as `web::views::site::show`.
    module: Vec<String>,
    /// Without comments, with empty strings, up to the unit tests.
    code: String,
    /// The strings of `code`.
    literals: Vec<String>,
    /// Lines up to the unit tests.
    lines: usize,
}

impl Source {
    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let name = file.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
        let mut module: Vec<String> = name.trim_end_matches(".rs").split('/').filter(|part| *part != "src").map(str::to_owned).collect();
        if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
            module.pop();
        }
        let own = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        let (code, literals) = take_apart(own);
        Self { file: name, module, code, literals, lines: own.lines().count() }
    }

    /// Whether it is this module or one below, such as `web::views`.
    fn is_in(&self, module: &str) -> bool {
        starts_with(&self.module.join("::"), module)
    }

    /// Every path it names, from the crate's name on.
    fn paths(&self) -> Vec<String> {
        let (mut paths, mut rest) = (Vec::new(), self.code.clone());
        let mut plain = String::new();
        while let Some(at) = find_use(&rest) {
            plain.push_str(&rest[..at]);
            let end = rest[at..].find(';').map_or(rest.len(), |end| at + end);
            flatten(rest[at + 4..end].trim(), "", &mut paths);
            rest = rest[end..].to_owned();
        }
        plain.push_str(&rest);
        paths.extend(
            plain.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).filter(|path| path.contains("::")).map(str::to_owned),
        );
        paths.iter().map(|path| self.resolve(path)).collect()
    }

    fn resolve(&self, path: &str) -> String {
        let mut parts: Vec<&str> = path.trim_start_matches("::").split("::").collect();
        let mut from: Vec<&str> = match parts.first() {
            Some(&"crate") => vec![self.module[0].as_str()],
            Some(&("self" | "super")) => self.module.iter().map(String::as_str).collect(),
            _ => return parts.join("::"),
        };
        while let Some(first @ ("crate" | "self" | "super")) = parts.first().copied() {
            if first == "super" {
                from.pop();
            }
            parts.remove(0);
        }
        from.extend(parts);
        from.join("::")
    }
}

/// Where the next `use ` begins that is a statement.
fn find_use(code: &str) -> Option<usize> {
    code.match_indices("use ")
        .map(|(at, _)| at)
        .find(|at| code[..*at].chars().next_back().is_none_or(|before| before.is_whitespace() || before == ';'))
}

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn flatten(tree: &str, above: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    if let Some((head, inside)) = tree.split_once('{') {
        let (mut depth, mut item) = (0, String::new());
        let inside = inside.rsplit_once('}').map_or(inside, |(inside, _)| inside);
        for c in inside.chars().chain([',']) {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if c == ',' && depth == 0 {
                flatten(&item, &format!("{above}{}", head.trim()), paths);
                item.clear();
            } else {
                item.push(c);
            }
        }
    } else if !tree.is_empty() {
        paths.push(format!("{above}{}", tree.split(" as ").next().unwrap()).trim_end_matches("::self").to_owned());
    }
}

/// The code without comments and with empty strings; and the strings.
fn take_apart(text: &str) -> (String, Vec<String>) {
    let (mut code, mut literals, mut rest) = (String::new(), Vec::new(), text);
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if let Some(end) = raw_string(rest).filter(|_| !code.ends_with(|before: char| before.is_alphanumeric() || before == '_')) {
            literals.push(rest[..end].trim_start_matches(['b', 'r', '#', '"']).trim_end_matches(['#', '"']).to_owned());
            code.push_str("\"\"");
            rest = &rest[end..];
        } else if c == '"' {
            let end = string_end(rest);
            literals.push(rest[1..end].to_owned());
            code.push_str("\"\"");
            rest = &rest[(end + 1).min(rest.len())..];
        } else if let Some(end) =
            ["'\"'", "'\\''", "'\\\\'", "'\\\"'"].iter().find(|quoted| rest.starts_with(**quoted)).map(|quoted| quoted.len())
        {
            code.push_str("' '");
            rest = &rest[end..];
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    (code, literals)
}

/// Where the raw string that begins here ends.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - body.len() + body.find(&close)? + close.len())
}

/// The index of the quote that closes the string beginning here.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

fn starts_with(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Files below a folder of the repository with this ending.
fn files(below: &str, ending: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![repository().join(below)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The sources of the three packages, tests left out. Read once.
fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let all = ["shared/src", "web/src", "worker/src"].iter().flat_map(|folder| files(folder, "rs"));
        all.filter(|file| !file.ends_with("tests.rs")).map(|file| Source::read(&file)).collect()
    })
}

/// Fails with every place that breaks a rule, and what to do instead.
fn assert_none(broken: &[String], instead: &str) {
    assert!(broken.is_empty(), "\n{}\n=> {instead}\n", broken.join("\n"));
}

/// No file of `modules` names a path below one of `forbidden`.
fn assert_ignorant(modules: &[&str], forbidden: &[&str], instead: &str) {
    let of_rule: Vec<&Source> = sources().iter().filter(|source| modules.iter().any(|module| source.is_in(module))).collect();
    assert!(!of_rule.is_empty(), "{modules:?} is empty: the rule looks at the wrong place");
    let broken: Vec<String> = of_rule
        .iter()
        .flat_map(|source| source.paths().into_iter().map(|path| (source.file.clone(), path)))
        .filter(|(_, path)| forbidden.iter().any(|forbidden| starts_with(path, forbidden)))
        .map(|(file, path)| format!("{file}: {path}"))
        .collect();
    assert_none(&broken, instead);
}

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
const OWN_FILES: [&str; 3] = [
    "worker/src/config.rs",     // the identity it got when it joined
    "worker/src/store.rs",      // its database
    "worker/src/apply_file.rs", // the state directory of `gantry-worker apply-file`
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
    let prefixes = ["cmd.", "evt.", "prog.", "hb.", "in.", "ui."];
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
fn the_scanner_sees_what_it_should() {
    let source = |file: &str, text: &str| {
        let (code, literals) = take_apart(text);
        let module = file.split("::").map(str::to_owned).collect();
        Source { file: file.to_owned(), module, code, literals, lines: 0 }
    };
    let scanned = source(
        "web::views::site",
        "// use axum;\nuse super::super::{app::{self, Actor}, store as s};\nfn f<'a>() { '\"'; sqlx::query(\"SELECT * \\\" // x\"); r#\"cmd.\"x\"#; }",
    );
    assert_eq!(scanned.paths(), ["web::app", "web::app::Actor", "web::store", "sqlx::query"]);
    assert_eq!(scanned.literals, ["SELECT * \\\" // x", "cmd.\"x"]);
    assert_eq!(inline("div style=\"\" onclick=(x) { }"), ["style=", "onclick="]);
}
