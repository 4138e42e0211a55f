//! `aims explain`: the index of error codes at a shell.

mod common;

use common::Folder;

#[test]
fn a_code_is_explained() {
    let folder = Folder::new();
    let out = folder.ok("explain wpt.audience");
    for line in [
        "code     wpt.audience\n",
        "kind     mismatch\n",
        "meaning  The proof is for another audience.\n",
        "cause    ",
        "remedy   ",
        "GuardBuilder::proof_audience",
    ] {
        assert!(out.contains(line), "{line:?} in {out}");
    }
    // A code of the program itself.
    assert!(folder.ok("explain cli.unknown_code").contains("remedy   "));
}

/// A mistake in the arguments, with what may be meant; nothing in it acts on the terminal.
#[test]
fn an_unknown_code_is_a_mistake() {
    let folder = Folder::new();
    let ran = folder.run("explain wpt.audiense");
    assert_eq!(ran.code(2, "aims: failed: "), "cli.unknown_code");
    let told = "no error has the code \"wpt.audiense\": did you mean wpt.audience";
    assert!(ran.err.contains(told), "{}", ran.err);
    assert_eq!(folder.failed("explain \u{1b}[31m"), "cli.unknown_code");
    assert_eq!(folder.run("explain").status, 2);
    let drawn = "a".repeat(43);
    let ran = folder.run(&format!("explain {drawn}"));
    assert_eq!(ran.code(2, "aims: failed: "), "cli.secret_in_arguments");
    assert!(!ran.err.contains(&drawn));
}
