//! A small storm; `interop/run storm` runs the large one.

use std::process::Command;

/// CORE-09: 4 processes renew 20 times at once, and are killed in between: one renewal each, and no
/// grant is lost that can be saved.
#[test]
fn a_small_storm() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aims-interop-refresh-storm"));
    let output = command.args(["4", "20", "7"]).output();
    assert!(
        output.as_ref().is_ok_and(|it| it.status.success()),
        "{output:?}"
    );
}
