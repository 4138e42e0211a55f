//! The repository as files, and as cargo describes it.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Returns the root folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// Runs cargo in the workspace without network, and returns its output.
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--offline")
        .current_dir(root())
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the packages that `cargo metadata` lists with these arguments.
pub(crate) fn packages(arguments: &[&str]) -> Vec<Value> {
    let base = ["metadata", "--format-version", "1"];
    let metadata: Value = serde_json::from_str(&cargo(&[&base, arguments].concat())).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}
