//! Runs every seed of `fuzz/corpus`, and every input that `fuzz/run` found, through its target.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use aims_fuzz_targets::{Outcome, TARGETS};

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .with_file_name(kind)
        .join(target)
}

/// Returns the files of a folder by name, or none without the folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut all: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    all.sort();
    all
}

/// T-053: there is a target for each parser; none panics on a known input, and all asserted
/// properties hold.
#[test]
fn every_seed_holds_its_properties() {
    for (name, target) in TARGETS {
        let seeds = files(&folder("corpus", name));
        assert!(seeds.len() >= 5, "`{name}` has {} seeds", seeds.len());
        let (mut accepted, mut refused) = (0, BTreeSet::new());
        for path in &seeds {
            println!("{}", path.display());
            match target(&fs::read(path).unwrap()) {
                Outcome::Accepted => accepted += 1,
                Outcome::Refused(code) => drop(refused.insert(code)),
                other => panic!("`{name}` says {other:?}"),
            }
        }
        println!("{name}: {accepted} accepted, refused for {refused:?}");
        assert!(accepted > 0, "`{name}` accepts no seed");
        assert!(refused.len() > 1, "`{name}` refuses for {refused:?} alone");
    }
}

/// The name of a seed states its result: `ok-…`, or the code of the refusal and the defect.
#[test]
fn every_seed_is_what_its_name_says() {
    let mut misnamed = Vec::new();
    for (name, target) in TARGETS {
        for path in files(&folder("corpus", name)) {
            let file = path.file_name().unwrap().to_str().unwrap();
            let said = file.split('-').next().unwrap();
            let is = match target(&fs::read(&path).unwrap()) {
                Outcome::Refused(code) => code.replace(' ', "_"),
                _ => "ok".to_owned(),
            };
            if said != is {
                misnamed.push(format!("{name}/{file} is {is}"));
            }
        }
    }
    assert!(misnamed.is_empty(), "{misnamed:#?}");
}

/// An input that once broke a property no longer does.
#[test]
fn what_was_found_holds() {
    for (name, target) in TARGETS {
        for path in files(&folder("artifacts", name)) {
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
        }
    }
}

/// Each target has a corpus and a binary in `fuzz/fuzz_targets`, and there are no others.
#[test]
fn targets_corpora_and_binaries_are_the_same() {
    let named = |folder: &Path| -> BTreeSet<String> {
        files(folder)
            .iter()
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named(&folder("corpus", "")), targets);
    assert_eq!(named(&folder("fuzz_targets", "")), targets);
}
