//! The source tree as text: which paths a file names, and its code without comments and strings.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where the repository begins.
pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A source file, taken apart.
pub(super) struct Source {
    /// From the repository's top, such as `web/src/views/site/show.rs`.
    pub(super) file: String,
    /// Its module, such as `web::views::site::show`.
    pub(super) module: Vec<String>,
    /// Without comments, with empty strings, up to the unit tests.
    pub(super) code: String,
    /// The strings of `code`.
    pub(super) literals: Vec<String>,
    /// Lines up to the unit tests.
    pub(super) lines: usize,
}

impl Source {
    pub(super) fn read(file: &Path) -> Self {
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
    pub(super) fn is_in(&self, module: &str) -> bool {
        starts_with(&self.module.join("::"), module)
    }

    /// Every path it names, from the crate's name on.
    pub(super) fn paths(&self) -> Vec<String> {
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

    pub(super) fn resolve(&self, path: &str) -> String {
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

pub(super) fn starts_with(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Files below a folder of the repository with this ending.
pub(super) fn files(below: &str, ending: &str) -> Vec<PathBuf> {
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
pub(super) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let all = ["shared/src", "web/src", "worker/src"].iter().flat_map(|folder| files(folder, "rs"));
        all.filter(|file| !file.ends_with("tests.rs")).map(|file| Source::read(&file)).collect()
    })
}

/// Fails with every place that breaks a rule, and what to do instead.
pub(super) fn assert_none(broken: &[String], instead: &str) {
    assert!(broken.is_empty(), "\n{}\n=> {instead}\n", broken.join("\n"));
}

/// No file of `modules` names a path below one of `forbidden`.
pub(super) fn assert_ignorant(modules: &[&str], forbidden: &[&str], instead: &str) {
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
}
