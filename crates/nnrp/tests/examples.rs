//! The example as a process, so that it stays true.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;
use std::process::Command;

/// Cargo builds a package's examples together with its tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let path = profile.join("examples").join(name);
    assert!(
        path.exists(),
        "{} is missing; run `cargo build -p nnrp --examples`",
        path.display()
    );
    path
}

#[test]
fn the_echo_answers_every_frame() {
    let output = Command::new(example("nnrp_echo")).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("100 frames have ended"), "{printed}");
    assert!(printed.contains("submitted: 100"), "{printed}");
}
