//! `cargo xtask bench`: builds a bench with release settings and runs it beside its peers.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, bail};

use crate::command::{self, cargo, root};
use crate::peers;

/// Where the benches' programs are: `bench_<name>.rs`, and `allocations_<name>.rs` where a bench has allocations counted.
const PROGRAMS: &str = "benches/src/bin";

/// Peers that are Rust packages outside the workspace, each built for one bench into `target/<last part of its path>`.
const RUST_PEERS: &[(&str, &str)] = &[("nnrp", "benches/nnrp-runtime")];

pub(crate) fn run(
    name: Option<&str>,
    json: Option<&Path>,
    bench_args: &[String],
) -> anyhow::Result<()> {
    let names = names()?;
    match name {
        Some(name) if names.iter().any(|known| known == name) => {
            build_and_run(name, json, bench_args)
        }
        Some(name) => bail!(
            "there is no bench `{name}`; there are: {}",
            names.join(", ")
        ),
        None => {
            println!("{}", names.join("\n"));
            Ok(())
        }
    }
}

fn build_and_run(name: &str, json: Option<&Path>, bench_args: &[String]) -> anyhow::Result<()> {
    peers::install()?;
    let binary = format!("bench_{name}");
    let counting = format!("allocations_{name}");
    let mut build = cargo(["build", "--profile", "measured"]);
    build.args(["--package", "nodewire-bench", "--bin", &binary]);
    if root()?
        .join(PROGRAMS)
        .join(format!("{counting}.rs"))
        .exists()
    {
        build.args(["--bin", &counting]);
    }
    command::run(&mut build)?;
    for (_, package) in RUST_PEERS.iter().filter(|(bench, _)| *bench == name) {
        build_peer(Path::new(package))?;
    }
    let mut program = Command::new(root()?.join("target/measured").join(&binary));
    if let Some(json) = json {
        program.arg("--json").arg(env::current_dir()?.join(json));
    }
    command::run(program.args(bench_args))
}

fn build_peer(package: &Path) -> anyhow::Result<()> {
    let target = root()?
        .join("target")
        .join(package.file_name().context("a folder")?);
    let mut build = cargo(["build", "--release", "--locked", "--manifest-path"]);
    build
        .arg(root()?.join(package).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target);
    command::run(&mut build)
}

fn names() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root()?.join(PROGRAMS))? {
        let file = entry?.file_name();
        let name = file
            .to_str()
            .and_then(|file| file.strip_prefix("bench_")?.strip_suffix(".rs"));
        names.extend(name.map(str::to_owned));
    }
    names.sort();
    Ok(names)
}
