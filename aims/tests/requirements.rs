//! The form of SPECS.md: dates of revisions, readings, and requirements with the tests that hold
//! them.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod repository;

use repository::root;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Parts of the file, in this order. More may follow.
const PARTS: [&str; 3] = ["## Revisions", "## Readings", "## Requirements"];

/// Verbs of requirements. A sentence has at least one of them.
const VERBS: &str = "
    accept accepted accepts add adds admits agree allow allows answered answers appears
    applies apply are ask asks authenticates become becomes begins belong belongs binds bound
    bounds break breaks cache caches can cannot carries cause causes change changes checks
    close closes coarsens compares connects contain contains cost costs counts covers decides
    deliver delivers drains drop drops emit emits ends enforce enforces escape escapes expire
    expires fail fails falls find finds fit fits follows forget forgets give gives goes grow
    grows has have hide hides hold holds identifies identify ignores include includes is
    issues joins keep keeps leave leaves let lets limit limits listens lives lose loses makes
    match matches may mean means must name names narrow narrows need needs occurs open opens
    orders outlive outlives pass passes permits prefers prevent prevents prove proves
    publishes put puts reach read reads record records refresh refreshes refuse refused
    refuses reject rejects remain remains remove removes replaces report reports require
    requires resets restricts return returns revoke revokes rise rises rotate rotates run runs
    select selects send sends serve serves sets show shows sign signs spend spends spread
    spreads stand stands start starts states stay stop stops succeeds survive survives takes
    tell use uses verifies verify wait waits will work works write writes yield yields
";

fn specs() -> String {
    fs::read_to_string(root().join("SPECS.md")).unwrap()
}

/// The text of one part, without its heading.
fn part<'a>(specs: &'a str, heading: &str) -> &'a str {
    let (_, rest) = specs.split_once(&format!("\n{heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap()
}

/// The rows of all tables of a part, as their cells.
fn rows(part: &str) -> Vec<Vec<&str>> {
    let mut found: Vec<Vec<&str>> = Vec::new();
    for line in part.lines() {
        let Some(cells) = line.strip_prefix("| ").and_then(|l| l.strip_suffix(" |")) else {
            continue;
        };
        let cells: Vec<&str> = cells.split(" | ").collect();
        if !matches!(cells[0], "id" | "text" | "standard") {
            found.push(cells);
        }
    }
    found
}

fn is_id(text: &str) -> bool {
    let Some((kind, number)) = text.split_once('-') else {
        return false;
    };
    let digits = number.trim_end_matches(|c: char| c.is_ascii_lowercase());
    (1..=4).contains(&kind.len())
        && kind.bytes().all(|b| b.is_ascii_uppercase())
        && (2..=3).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
}

#[test]
fn the_parts_stand_in_order() {
    let specs = specs();
    let found: Vec<&str> = specs.lines().filter(|l| l.starts_with("## ")).collect();
    assert_eq!(found[..PARTS.len()], PARTS);
}

#[test]
fn every_revision_has_its_date() {
    let specs = specs();
    let rows = rows(part(&specs, PARTS[0]));
    assert!(rows.len() > 15);
    for row in rows {
        let [text, _revision, date, _place] = row[..] else {
            panic!("a revision has four cells: {row:?}");
        };
        assert!(
            date.split([' ', ',', '-', ';'])
                .any(|word| word.len() == 4 && word.parse::<u16>().is_ok_and(|y| y > 1990)),
            "`{text}` has no date: {date:?}"
        );
    }
}

#[test]
fn every_requirement_has_an_id_a_sentence_and_tests() {
    let specs = specs();
    let mut ids = BTreeSet::new();
    for row in rows(part(&specs, PARTS[2])) {
        let [id, sentence, tests] = row[..] else {
            panic!("a requirement has three cells: {row:?}");
        };
        assert!(is_id(id), "`{id}` is not an id");
        assert!(ids.insert(id.to_owned()), "`{id}` stands twice");
        assert!(
            sentence.ends_with('.') && sentence.len() >= 30,
            "{id}: not a sentence: {sentence}"
        );
        let has_verb = sentence
            .split(|c: char| !c.is_ascii_alphabetic())
            .any(|word| VERBS.split_whitespace().any(|verb| verb == word));
        assert!(
            has_verb,
            "{id}: no verb of VERBS in: {sentence}\nwrite a sentence with a verb, or add its verb to VERBS"
        );
        let words = sentence.split_whitespace().count();
        assert!(words <= 45, "{id}: {words} words in one sentence");
        assert!(tests.contains(".rs::"), "{id} names no test");
    }
    assert!(ids.len() > 200, "only {} requirements", ids.len());
}

/// A test that cites an id holds a requirement of the table.
#[test]
fn every_cited_id_has_a_row() {
    let specs = specs();
    let rows = rows(part(&specs, PARTS[2]));
    let ids: BTreeSet<&str> = rows.iter().map(|row| row[0]).collect();
    let kinds: BTreeSet<&str> = ids.iter().map(|id| id.split('-').next().unwrap()).collect();
    let mut cited = 0;
    for (path, source) in sources(&root()) {
        for word in source.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            let kind = word.split('-').next().unwrap();
            if is_id(word) && kinds.contains(kind) {
                assert!(
                    ids.contains(word),
                    "{} cites {word}, which has no row in SPECS.md",
                    path.display()
                );
                cited += 1;
            }
        }
    }
    assert!(cited > 200, "only {cited} ids are cited");
}

/// All Rust sources beneath a folder, without what is built.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !["node_modules", "target", "work"].contains(&&*name) {
                found.extend(sources(&path));
            }
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(&path).unwrap();
            found.push((path, source));
        }
    }
    found
}

/// The table and the readings name tests as `` `crate/path.rs::name` ``. Each is a function with a
/// test attribute in that file, or one within an example of the documentation.
#[test]
fn every_named_test_exists() {
    let specs = specs();
    let mut sources: BTreeMap<&str, String> = BTreeMap::new();
    let mut seen = 0;
    for cell in specs.split('`').skip(1).step_by(2) {
        let Some((file, name)) = cell.split_once(".rs::") else {
            continue;
        };
        let source = sources.entry(file).or_insert_with(|| {
            fs::read_to_string(root().join(format!("{file}.rs")))
                .unwrap_or_else(|error| panic!("SPECS.md names {file}.rs: {error}"))
        });
        assert!(
            is_test(source, name),
            "SPECS.md names the test `{name}`, which is not in {file}.rs"
        );
        seen += 1;
    }
    assert!(seen > 500, "SPECS.md names only {seen} tests");
}

fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let function = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        let mut above = lines[..at]
            .iter()
            .rev()
            .take_while(|line| !line.is_empty() && **line != "}");
        let example = line.starts_with("///");
        line.contains(&function)
            && above.any(|line| match example {
                true => line.starts_with("/// ```"),
                false => line.starts_with("#[") && line.contains("test"),
            })
    })
}
