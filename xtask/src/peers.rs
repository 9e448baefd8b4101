//! The real peers that tests and benches talk to: pinned Python packages, each in its own virtual environment.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::Context;

use crate::command::{root, run};

/// Where the pins are, one `<name>.txt` per environment.
const PINS: &str = "crates/testkit/peers";

/// Where the environments are made, one folder per name.
const ENVIRONMENTS: &str = "target/peers";

/// Installs whatever is missing or was installed from other pins.
pub(crate) fn install() -> anyhow::Result<()> {
    for pins in pin_files()? {
        install_from(&pins)?;
    }
    Ok(())
}

fn pin_files() -> anyhow::Result<Vec<PathBuf>> {
    let folder = root()?.join(PINS);
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<_> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    Ok(files)
}

fn install_from(pins: &Path) -> anyhow::Result<()> {
    let name = pins.file_stem().context("a pin file has a name")?;
    let environment = root()?.join(ENVIRONMENTS).join(name);
    let stamp = environment.join("installed.txt");
    let wanted = fs::read(pins)?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    run(Command::new(python).args(["-m", "venv"]).arg(&environment))?;
    run(Command::new(environment.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(pins))?;
    fs::write(stamp, wanted)?;
    Ok(())
}
