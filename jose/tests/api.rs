//! Items that the public API must not have.
#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly, as tests do"
)]

use std::fs;
use std::path::Path;

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push((
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            ));
        }
    }
}

fn crate_sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    assert!(found.len() > 15);
    found
}

/// T-006, T-013a, T-001: no function decrypts, decompresses, or computes a MAC.
#[test]
fn t006_nothing_decrypts_inflates_or_macs() {
    for (path, text) in crate_sources() {
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            let line = line.to_lowercase();
            for word in [
                "decrypt", "encrypt", "inflate", "oaep", "hmac", "hs256", "flate2",
            ] {
                assert!(!line.contains(word), "{path}: {line}");
            }
        }
    }
}

/// T-006: the docs of the pure-Rust provider name the advisory on RSA signing.
#[test]
fn t006_the_advisory_is_named_at_the_provider() {
    let text = include_str!("../src/provider/mod.rs");
    let (before, _) = text.split_once("pub static RUSTCRYPTO").unwrap();
    assert!(before.contains("RUSTSEC-2023-0071"));
}

/// T-025: features select providers in one folder only, so no feature changes a result elsewhere.
#[test]
fn t025_features_are_asked_in_the_provider_folder_only() {
    for (path, text) in crate_sources() {
        if path.contains("/provider/") {
            continue;
        }
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            let names = line.contains("aws-lc-rs") || line.contains("rustcrypto");
            assert!(!(names && line.contains("cfg")), "{path}: {line}");
        }
    }
}
