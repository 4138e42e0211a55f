//! Checks rules of the workspace that the compiler does not check: layers, features, lints, and
//! the tables of SPECS.md.

#![cfg(all(
    feature = "agent",
    feature = "fetch",
    feature = "redis",
    feature = "tool"
))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod repository;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use aims::errors::{Entry, entries, explain};
use repository::{packages, root};
use serde_json::Value;

/// The layer of each library crate. Crates of `BESIDE` and the examples may use all of them.
const LAYERS: &[(&str, i8)] = &[
    ("aims-error", -1),
    ("aims-jose", 0),
    ("aims-replay", 0),
    ("aims-wimse-id", 0),
    ("aims-fetch", 1),
    ("aims-sqlite", 1),
    ("aims-http-sig", 2),
    ("aims-oauth-wire", 2),
    ("aims-wimse-cred", 2),
    ("aims-oauth-client", 3),
    ("aims-oauth-rs", 3),
    ("aims-txn-token", 3),
    ("aims-wimse-wpt", 3),
    ("aims", 4),
    ("aims-rmcp", 5),
];
const BESIDE: &[&str] = &[
    "aims-authority",
    "aims-bench",
    "aims-cli",
    "aims-fuzz-targets",
    "aims-interop-http-sig",
    "aims-interop-oauth",
    "aims-interop-redis",
    "aims-interop-refresh-storm",
    "aims-keyring",
];
/// Crates that do I/O. No library below the top layer requires one of them; `aims-fetch` is itself
/// optional everywhere.
const IO: &[&str] = &["aims-fetch", "axum", "hyper", "reqwest", "tokio", "tower"];

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The dependencies that a build of the package has, without those of its tests.
fn normal(package: &Value) -> impl Iterator<Item = &Value> {
    package["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["kind"].is_null())
}

fn layer(name: &str) -> Option<i8> {
    LAYERS
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, layer)| *layer)
}

#[test]
fn dependencies_go_down_at_least_one_layer() {
    for package in packages(&["--no-deps"]) {
        let name = text(&package["name"]);
        let Some(own) = layer(name) else {
            assert!(
                BESIDE.contains(&name) || name.starts_with("example-"),
                "`{name}` has no layer: add it to `LAYERS` and to ARCHITECTURE.md"
            );
            continue;
        };
        for dependency in normal(&package) {
            let to = text(&dependency["name"]);
            if let Some(other) = layer(to) {
                assert!(
                    other < own,
                    "`{name}` (layer {own}) depends on `{to}` (layer {other})"
                );
            }
            assert!(
                !BESIDE.contains(&to),
                "`{name}` depends on `{to}`, which is not a library of the workspace"
            );
        }
    }
}

#[test]
fn every_crate_of_a_layer_exists() {
    let names: BTreeSet<String> = packages(&["--no-deps"])
        .iter()
        .map(|p| text(&p["name"]).to_owned())
        .collect();
    for (name, _) in LAYERS {
        assert!(
            names.contains(*name),
            "`{name}` has a layer but is not in the workspace"
        );
    }
}

#[test]
fn nothing_below_the_top_requires_a_runtime() {
    for package in packages(&["--no-deps"]) {
        let name = text(&package["name"]);
        if !matches!(layer(name), Some(-1..=3)) || name == "aims-fetch" {
            continue;
        }
        let defaults = package["features"]["default"]
            .as_array()
            .map_or(0, Vec::len);
        assert_eq!(defaults, 0, "`{name}` has default features");
        for dependency in normal(&package) {
            let to = text(&dependency["name"]);
            // Without its client, `fetch` is one trait and its types.
            let is_trait_alone = to == "aims-fetch" && features(dependency).is_empty();
            let optional = dependency["optional"].as_bool().unwrap();
            assert!(
                !IO.contains(&to) || optional || is_trait_alone,
                "`{name}` requires `{to}`"
            );
        }
    }
}

fn features(dependency: &Value) -> &[Value] {
    dependency["features"].as_array().unwrap()
}

#[test]
fn every_member_inherits_the_lints() {
    for package in packages(&["--no-deps"]) {
        let manifest = fs::read_to_string(text(&package["manifest_path"])).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "`{}` does not inherit the lints of the workspace",
            text(&package["name"])
        );
    }
}

/// No file of a library outside `jose` asks which provider was compiled in.
#[test]
fn providers_are_chosen_in_jose_alone() {
    for (path, source) in sources() {
        if path.starts_with("jose") || path.ends_with("tests/workspace.rs") {
            continue;
        }
        for feature in ["aws-lc-rs", "rustcrypto"] {
            assert!(
                !source.contains(&format!("feature = \"{feature}\"")),
                "{} decides by the provider's feature",
                path.display()
            );
        }
    }
}

/// T-082: every HTTP client of the project comes from the one constructor in `fetch`, or is the
/// program's own. `interop/huskarl` is a client of another project.
#[test]
fn http_clients_come_from_one_constructor() {
    let needles = [
        ["reqwest::Client", "::new"].concat(),
        ["reqwest::Client", "::builder"].concat(),
        ["Client", "Builder::new"].concat(),
        ["reqwest", "::get"].concat(),
    ];
    for (path, source) in sources() {
        let test =
            path.components().any(|c| c.as_os_str() == "tests") || path.ends_with("tests.rs");
        if path.starts_with("fetch") || path.starts_with("interop/huskarl") || test {
            continue;
        }
        let code: String = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        for needle in &needles {
            assert!(
                !code.contains(needle),
                "{} makes its own HTTP client",
                path.display()
            );
        }
    }
}

/// The codes that stand in records alone, as the reason of `guard.forbidden`.
const IN_RECORDS: &[&str] = &[
    "guard.actor",
    "guard.actor_denied",
    "guard.agent",
    "guard.issuer",
    "guard.user",
    "guard.role",
    "guard.stream_expired",
    "guard.stream_revoked",
    "guard.stream_stale",
    "guard.subject_denied",
    "guard.transaction_context",
    "guard.transaction_scope",
];

/// The index of errors is closed: every code of every crate, once, with the kind that the crate
/// gives it. The program's own codes are compared where the program is.
#[test]
fn the_index_has_every_error_code_once() {
    let crates = [
        (aims::agent::Error::CODES, aims::agent::Error::KINDS),
        (aims::keys::KeysError::CODES, aims::keys::KeysError::KINDS),
        (aims::redis::Error::CODES, aims::redis::Error::KINDS),
        (aims::Refusal::CODES, &[]),
        (IN_RECORDS, &[]),
        (aims_authority::Error::CODES, aims_authority::Error::KINDS),
        (aims_fetch::Error::CODES, aims_fetch::Error::KINDS),
        (aims_http_sig::Error::CODES, aims_http_sig::Error::KINDS),
        (aims_jose::Error::CODES, aims_jose::Error::KINDS),
        (
            aims_oauth_client::Error::CODES,
            aims_oauth_client::Error::KINDS,
        ),
        (aims_keyring::Error::CODES, aims_keyring::Error::KINDS),
        (aims_oauth_rs::Error::CODES, aims_oauth_rs::Error::KINDS),
        (aims_oauth_wire::Error::CODES, aims_oauth_wire::Error::KINDS),
        (
            aims_oauth_wire::delegate::Amplification::CODES,
            aims_oauth_wire::delegate::Amplification::KINDS,
        ),
        (
            aims_oauth_wire::dpop::Error::CODES,
            aims_oauth_wire::dpop::Error::KINDS,
        ),
        (
            aims_oauth_wire::introspection::Error::CODES,
            aims_oauth_wire::introspection::Error::KINDS,
        ),
        (aims_replay::Error::CODES, aims_replay::Error::KINDS),
        (aims_sqlite::Error::CODES, aims_sqlite::Error::KINDS),
        (aims_txn_token::Error::CODES, aims_txn_token::Error::KINDS),
        (aims_wimse_cred::Error::CODES, aims_wimse_cred::Error::KINDS),
        (
            aims_wimse_cred::enrolment::Error::CODES,
            aims_wimse_cred::enrolment::Error::KINDS,
        ),
        (aims_wimse_id::Error::CODES, aims_wimse_id::Error::KINDS),
        (aims_wimse_wpt::Error::CODES, aims_wimse_wpt::Error::KINDS),
    ];
    let mut there: Vec<&str> = crates
        .iter()
        .flat_map(|(codes, _)| *codes)
        .copied()
        .collect();
    // What an identity endpoint says instead of a finer code.
    let coarse = aims_authority::Error::WIRE_CODES.iter();
    there.extend(coarse.filter(|code| !aims_authority::Error::CODES.contains(code)));
    there.sort_unstable();
    let is_library = |entry: &Entry| !entry.code.starts_with("cli.");
    let mut written: Vec<&str> = entries().filter(is_library).map(|it| it.code).collect();
    written.sort_unstable();
    assert_eq!(written, there);
    there.dedup();
    assert_eq!(written.len(), there.len());

    for (code, kind) in crates.iter().flat_map(|(_, kinds)| *kinds) {
        assert_eq!(explain(code).unwrap().kind, *kind, "{code}");
    }
    // A token's own name for what every JWT can have wrong.
    for (of_token, of_jwt) in [
        (".algorithm", "jws.algorithm"),
        (".claim", "jwt.claim"),
        (".expired", "jwt.expired"),
        (".lifetime", "jwt.lifetime"),
        (".not_yet_valid", "jwt.not_yet_valid"),
        (".signature", "jws.signature"),
        (".typ", "jws.typ"),
    ] {
        let of_jwt = explain(of_jwt).unwrap();
        let kinds = [
            "wit",
            "svid",
            "wpt",
            "txn",
            "token",
            "dpop",
            "introspection",
        ];
        for entry in kinds
            .iter()
            .filter_map(|kind| explain(&format!("{kind}{of_token}")))
        {
            assert_eq!(entry.kind, of_jwt.kind, "{}", entry.code);
        }
    }
}

/// Every method that the index of errors tells a reader to call exists.
#[test]
fn the_index_names_what_exists() {
    let sources: String = sources().into_iter().map(|(_, source)| source).collect();
    let mut named = 0;
    for entry in entries() {
        let cells = [entry.meaning, entry.cause, entry.remedy];
        for cell in cells
            .iter()
            .flat_map(|text| text.split('`').skip(1).step_by(2))
        {
            let Some((of, name)) = cell.split_once("::") else {
                continue;
            };
            let (name, _) = name.split_once('(').unwrap_or((name, ""));
            let is_function = name.starts_with(|first: char| first.is_ascii_lowercase());
            let is_there = if is_function {
                sources.contains(&format!("fn {name}(")) || sources.contains(&format!("fn {name}<"))
            } else {
                sources.contains(&format!("    {name},"))
                    || sources.contains(&format!("    {name}\n"))
            };
            assert!(is_there, "`{cell}` in the entry of {}", entry.code);
            assert!(
                sources.contains(of),
                "`{cell}` in the entry of {}",
                entry.code
            );
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}

/// All Rust sources of the workspace and of `fuzz/`, by their path from the root.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !["node_modules", "target", "work"].contains(&&*name) {
                    walk(&path, root, found);
                }
            } else if name.ends_with(".rs") {
                let source = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_path_buf(), source));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &root(), &mut found);
    assert!(found.len() > 20);
    found
}
