//! `cargo xtask test`: everything, on a fresh machine.

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::command::{self, cargo, root};
use crate::{peers, rules};

/// What the README's first command makes.
const EXAMPLE_RESULT: &str = "target/contact-sheet/contact-sheet.jpg";

pub(crate) fn run(cargo_args: &[String], example: bool) -> anyhow::Result<()> {
    peers::install()?;
    if !cargo_args.is_empty() {
        return command::run(cargo(["test"]).args(cargo_args));
    }
    // Builds the examples, which some tests run, and runs the documentation's examples too.
    command::run(&mut cargo([
        "test",
        "--workspace",
        "--all-features",
        "--no-fail-fast",
    ]))?;
    if example { run_example() } else { Ok(()) }
}

/// Runs the README's first command as it stands there, so that it stays true.
fn run_example() -> anyhow::Result<()> {
    let readme = fs::read_to_string(root()?.join("README.md"))?;
    let commands = rules::quick_start_commands(&readme);
    let first = commands.first().context("README.md has no quick start")?;
    let result = root()?.join(EXAMPLE_RESULT);
    if result.exists() {
        fs::remove_file(&result)?;
    }
    command::run(Command::new("sh").args(["-c", first]))?;
    let size = fs::metadata(&result)
        .with_context(|| format!("the example made no {EXAMPLE_RESULT}"))?
        .len();
    ensure!(size > 10_000, "{EXAMPLE_RESULT} has only {size} bytes");
    println!("the example made {EXAMPLE_RESULT}, {size} bytes");
    Ok(())
}
