//! The data of each package that crates.io and docs.rs show: metadata, licences, features.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod repository;

use std::{
    fs,
    path::{Path, PathBuf},
};

use repository::{packages, root};
use serde_json::Value;

/// The categories of crates.io that the packages use.
const CATEGORIES: &[&str] = &[
    "authentication",
    "caching",
    "command-line-utilities",
    "cryptography",
    "data-structures",
    "database",
    "parser-implementations",
    "rust-patterns",
    "web-programming",
    "web-programming::http-client",
    "web-programming::http-server",
];

fn published() -> impl Iterator<Item = Value> {
    packages(&["--no-deps"])
        .into_iter()
        .filter(|p| p["publish"].is_null())
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

fn folder(package: &Value) -> PathBuf {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().to_path_buf()
}

fn texts(value: &Value) -> Vec<&str> {
    let list = value.as_array().unwrap();
    list.iter().map(|v| v.as_str().unwrap()).collect()
}

#[test]
fn only_what_is_no_library_stays_unpublished() {
    for package in packages(&["--no-deps"]) {
        let folder = folder(&package);
        let path = folder.strip_prefix(root()).unwrap();
        let beside = ["bench", "examples", "fuzz", "interop"]
            .iter()
            .any(|start| path.starts_with(start));
        // `publish = false` is an empty list of registries.
        let unpublished = package["publish"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(unpublished, beside, "`publish` of {}", name(&package));
    }
}

#[test]
fn packages_say_what_they_are() {
    let repository = root_manifest().contains("\nrepository = ");
    for package in published() {
        let who = name(&package);
        assert!(
            package["description"].as_str().unwrap().len() > 20,
            "{who} has no description"
        );
        assert_eq!(package["license"], "Apache-2.0 OR MIT", "{who}");
        assert_eq!(package["rust_version"], "1.95", "{who}");
        assert_eq!(package["readme"], "README.md", "{who}");
        let docs = format!("https://docs.rs/{who}");
        assert_eq!(package["documentation"], docs.as_str(), "{who}");
        assert_eq!(
            package["repository"].is_string(),
            repository,
            "{who} must inherit the workspace's `repository`"
        );
        // crates.io takes at most five of each.
        let keywords = texts(&package["keywords"]);
        assert!((3..=5).contains(&keywords.len()), "keywords of {who}");
        assert!(keywords.iter().all(|k| k.len() <= 20), "keywords of {who}");
        let categories = texts(&package["categories"]);
        assert!((1..=5).contains(&categories.len()), "categories of {who}");
        for category in categories {
            assert!(CATEGORIES.contains(&category), "{who}: `{category}`");
        }
    }
}

fn root_manifest() -> String {
    fs::read_to_string(root().join("Cargo.toml")).unwrap()
}

#[test]
fn packages_contain_their_licences() {
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let text = fs::read(root().join(licence)).unwrap();
        for package in published() {
            let copy = fs::read(folder(&package).join(licence));
            assert!(
                copy.is_ok_and(|copy| copy == text),
                "{} has no {licence}, or another one",
                name(&package)
            );
        }
    }
}

/// A path alone does not reach a dependency on crates.io. What only tests use is left out of a
/// package where it has no version.
#[test]
fn dependencies_have_a_version() {
    for package in published() {
        for dependency in package["dependencies"].as_array().unwrap() {
            assert!(
                dependency["req"] != "*" || dependency["kind"] == "dev",
                "{} depends on `{}` by path alone",
                name(&package),
                dependency["name"]
            );
        }
    }
}

#[test]
fn the_documentation_is_built_with_every_feature() {
    for package in published() {
        let docs = &package["metadata"]["docs"]["rs"];
        assert_eq!(docs["all-features"], true, "{}", name(&package));
        assert_eq!(
            texts(&docs["rustdoc-args"]),
            ["--cfg", "docsrs"],
            "{}",
            name(&package)
        );
        let Ok(source) = fs::read_to_string(folder(&package).join("src/lib.rs")) else {
            continue;
        };
        // Pages of other crates link to here where they are built without this one.
        let version = package["version"].as_str().unwrap();
        let (series, _) = version.rsplit_once('.').unwrap();
        let address = format!("https://docs.rs/{}/{series}", name(&package));
        assert!(
            source.contains(&format!("#![doc(html_root_url = \"{address}\")]")),
            "`html_root_url` of {} is not {address}",
            name(&package)
        );
        let features = package["features"].as_object().unwrap();
        let gated = features.keys().any(|feature| feature != "default");
        assert!(
            !gated || source.contains("#![cfg_attr(docsrs, feature(doc_cfg))]"),
            "the pages of {} do not say which feature an item needs",
            name(&package)
        );
    }
}

/// The front page of a crate, which is its README, names each feature.
#[test]
fn every_feature_is_on_the_front_page() {
    for package in published() {
        let features = package["features"].as_object().unwrap();
        let front = fs::read_to_string(folder(&package).join("README.md")).unwrap();
        for feature in features.keys().filter(|feature| *feature != "default") {
            assert!(
                front.contains(&format!("`{feature}`")),
                "README.md of {} does not name its feature `{feature}`",
                name(&package)
            );
        }
    }
}

/// Each page of the guide is in both task indexes.
#[test]
fn every_page_is_in_the_indexes() {
    let guide = root().join("aims/guide");
    let front = fs::read_to_string(root().join("README.md")).unwrap();
    let index = fs::read_to_string(guide.join("README.md")).unwrap();
    let mut pages = 0_usize;
    for entry in fs::read_dir(&guide).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if file == "README.md" || !file.ends_with(".md") {
            continue;
        }
        pages += 1;
        assert!(
            front.contains(&format!("](aims/guide/{file})")),
            "README.md does not link {file}"
        );
        assert!(
            index.contains(&format!("]: {file}\n")),
            "aims/guide/README.md does not link {file}"
        );
    }
    assert!(pages > 20, "only {pages} pages");
}
