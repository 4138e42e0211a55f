//! Compares `dependencies.md` and `deny.toml` with the output of cargo.

#![cfg(feature = "tool")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod repository;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use repository::{cargo, packages, root};
use serde_json::Value;

fn name(value: &Value) -> String {
    value["name"].as_str().unwrap().to_owned()
}

/// Returns the rows of the table under a heading, by the name in their first cell. Checks that no
/// name is repeated, no cell is empty, and the names are sorted.
fn table(heading: &str) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("dependencies.md")).unwrap();
    let (_, behind) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = behind.split("\n## ").next().unwrap();
    let mut rows = BTreeMap::new();
    let mut last = String::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let name = cells.next().unwrap().trim_matches('`').to_owned();
        let others: Vec<String> = cells.map(str::to_owned).collect();
        assert!(
            others.iter().all(|it| !it.is_empty()),
            "`{name}`: an empty cell"
        );
        assert!(last < name, "`{name}` is out of order, or there twice");
        last.clone_from(&name);
        rows.insert(name, others);
    }
    rows
}

/// T-203: a dependency without a review fails, and so does a row that no manifest needs.
#[test]
fn every_direct_dependency_is_reviewed() {
    let mut named = BTreeSet::new();
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        for package in packages(&["--no-deps", "--manifest-path", manifest]) {
            let all = package["dependencies"].as_array().unwrap();
            // A package without a source is a crate of the project.
            named.extend(all.iter().filter(|it| !it["source"].is_null()).map(name));
        }
    }
    assert!(named.len() > 20, "{named:?}");
    let reviewed: BTreeSet<String> = table("Direct").into_keys().collect();
    let unknown: Vec<_> = named.difference(&reviewed).collect();
    assert!(
        unknown.is_empty(),
        "review, and name in dependencies.md: {unknown:?}"
    );
    let gone: Vec<_> = reviewed.difference(&named).collect();
    assert!(gone.is_empty(), "no manifest names {gone:?}");
}

/// Returns the platform of this machine, whose crates were downloaded; those of other platforms may
/// be missing.
fn host() -> String {
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|it| it.strip_prefix("host: "));
    host.unwrap().to_owned()
}

/// T-201: all code of the tool's side that runs at build time is on a list.
#[test]
fn what_runs_at_build_time_is_reviewed() {
    let host = host();
    let target = format!("--target={host}");
    let tree = cargo(&[
        "tree",
        "--package=aims",
        "--features=tool",
        "--edges=normal,build",
        &target,
        "--prefix=none",
        "--format={p}",
    ]);
    let tree: BTreeSet<&str> = tree.lines().filter_map(|it| it.split(' ').next()).collect();
    assert!(tree.len() > 50, "{tree:?}");
    let mut found: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for package in packages(&["--all-features", "--filter-platform", &host]) {
        if !tree.contains(&*name(&package)) {
            continue;
        }
        for target in package["targets"].as_array().unwrap() {
            for kind in target["kind"].as_array().unwrap() {
                let runs = match kind.as_str().unwrap() {
                    "custom-build" => "build script",
                    "proc-macro" => "macros",
                    _ => continue,
                };
                found.entry(name(&package)).or_default().insert(runs);
            }
        }
    }
    let found: BTreeMap<String, String> = found
        .into_iter()
        .map(|(name, runs)| (name, Vec::from_iter(runs).join(" and ")))
        .collect();
    let reviewed: BTreeMap<String, String> = table("What runs at build time")
        .into_iter()
        .map(|(name, cells)| (name, cells[0].clone()))
        .collect();
    if host.contains("-linux-") {
        assert_eq!(reviewed, found);
    }
    for (name, runs) in &found {
        assert_eq!(reviewed.get(name), Some(runs), "`{name}` is not reviewed");
    }
    // None of it is our own.
    assert!(!found.keys().any(|name| name.starts_with("aims")));
}

/// T-204: each cryptographic dependency with an advisory is banned below the version that fixes it,
/// with the name of the advisory; the locked version is not banned.
#[test]
fn crypto_crates_have_a_least_version() {
    let deny = fs::read_to_string(root().join("deny.toml")).unwrap();
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let number =
        |text: &str| -> Vec<u64> { text.split('.').map(|it| it.parse().unwrap()).collect() };
    let mut banned = BTreeSet::new();
    for line in deny.lines().filter(|line| line.contains(":<")) {
        let spec = line.split('"').nth(1).unwrap();
        let (name, least) = spec.split_once(":<").unwrap();
        assert!(line.contains("RUSTSEC-20"), "`{name}` without an advisory");
        let locked = lock
            .split("[[package]]")
            .filter(|it| it.contains(&format!("\nname = \"{name}\"\n")));
        for package in locked {
            let version = package.split("version = \"").nth(1).unwrap();
            let version = version.split(['"', '+', '-']).next().unwrap();
            assert!(number(version) >= number(least), "{name} {version}");
        }
        banned.insert(name.to_owned());
    }
    for name in [
        "aws-lc-sys",
        "curve25519-dalek",
        "ed25519-dalek",
        "rustls",
        "rustls-webpki",
        "sha2",
    ] {
        assert!(
            banned.contains(name),
            "deny.toml has no least version of `{name}`"
        );
    }
}

/// T-200: the check of licences, sources and advisories is strict, CI runs it, and each lock file
/// has one registry and a checksum for each crate.
#[test]
fn the_supply_check_is_strict_and_run() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let deny = read("deny.toml");
    for line in [
        "yanked = \"deny\"",
        "wildcards = \"deny\"",
        "unknown-git = \"deny\"",
        "unknown-registry = \"deny\"",
    ] {
        assert!(
            deny.lines().any(|it| it == line),
            "deny.toml lacks `{line}`"
        );
    }
    let ignored = deny.lines().filter(|it| it.contains("id = \"RUSTSEC-"));
    for line in ignored {
        assert!(line.contains("reason = \""), "{line}");
    }
    let check = read("interop/supply");
    assert!(check.contains("check bans licenses sources") && check.contains("check advisories"));
    assert!(read(".ci/run").lines().any(|it| it == "interop/supply"));
    for path in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = read(path);
        let mut sources = BTreeSet::new();
        for package in lock.split("[[package]]") {
            let source = package.lines().find(|it| it.starts_with("source = "));
            assert!(
                source.is_none() || package.contains("\nchecksum = \""),
                "{package}"
            );
            sources.extend(source);
        }
        assert_eq!(sources.len(), 1, "{path}: {sources:?}");
        assert!(sources.iter().all(|it| it.contains("\"registry+")));
    }
}
