//! The table of faults says where each is tried, and tells the truth.

use std::collections::BTreeSet;
use std::fs;

use super::source::{assert_none, files, repository};

/// The catalogue's numbers.
const FAULTS: &[u32] = &[
    1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 23, 24, 25, 26, 30, 31, 32, 33, 34, 35, 36, 40, 41, 42, 43, 44, 45, 50,
    51, 52, 53, 54, 55, 56, 60, 61, 62, 63, 64, 65, 66, 67,
];

fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(repository().join(".ci/faults.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| F-"));
    rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The texts between two marks.
fn quoted(text: &str, mark: char) -> Vec<String> {
    text.split(mark).skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_fault_of_the_catalogue_has_one_row_and_says_where_it_is_tried_or_why_not() {
    let rows = rows();
    let found: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    let expected: Vec<String> = FAULTS.iter().map(|number| format!("F-{number:02}")).collect();
    assert_eq!(found, expected);
    for row in &rows {
        assert_eq!(row.len(), 3, "{row:?}");
        let tried = row[2].contains('`') || row[2].contains("random:") || row[2].contains("syscalls");
        assert!(tried || row[2].starts_with("does not apply yet: "), "{}: neither tried nor explained", row[0]);
    }
}

#[test]
fn what_the_table_of_faults_names_exists() {
    let sources = ["shared", "web", "worker"].iter().flat_map(|package| ["src", "tests"].map(|part| format!("{package}/{part}")));
    let tests: BTreeSet<String> = sources
        .flat_map(|folder| files(&folder, "rs"))
        .flat_map(|file| {
            let text = fs::read_to_string(file).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_owned());
            names.collect::<Vec<_>>()
        })
        .collect();
    let random = fs::read_to_string(repository().join(".ci/chaos/faults.py")).unwrap();
    let mut broken = Vec::new();
    for row in rows() {
        broken.extend(quoted(&row[2], '`').into_iter().filter(|name| !tests.contains(name)).map(|name| format!("{}: {name}", row[0])));
        let faults = quoted(&row[2], '"').into_iter().filter(|name| !random.contains(&format!("(\"{name}\",")));
        broken.extend(faults.map(|name| format!("{}: random: {name}", row[0])));
    }
    assert_none(&broken, "name the test or the random fault as it is called, or write it");
}
