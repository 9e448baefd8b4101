//! The real peers that tests and benches talk to: pinned Python and JavaScript packages, each set in its own folder, and
//! `nats-server`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, ensure};

use crate::command::{root, run};

/// Where the pins are: `<name>.txt` for Python, `<name>/package-lock.json` for JavaScript.
const PINS: &str = "crates/testkit/peers";

/// Where the peers are installed, one folder per name.
const ENVIRONMENTS: &str = "target/peers";

/// Written last, with the pins: what has it is complete.
const STAMP: &str = "installed.txt";

/// Installs whatever is missing or was installed from other pins.
pub(crate) fn install() -> anyhow::Result<()> {
    for entry in entries(&root()?.join(PINS))? {
        if entry
            .extension()
            .is_some_and(|extension| extension == "txt")
        {
            install_python(&entry)?;
        } else if entry.join("package-lock.json").exists() {
            install_javascript(&entry)?;
        }
    }
    if find_program("nats-server").is_none() {
        unpack_nats_server()?;
    }
    Ok(())
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<_> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.sort();
    Ok(paths)
}

fn install_python(pins: &Path) -> anyhow::Result<()> {
    let wanted = fs::read(pins)?;
    install_stamped(pins, &wanted, |environment| {
        let python = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        run(Command::new(python).args(["-m", "venv"]).arg(environment))?;
        run(Command::new(environment.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "--requirement"])
            .arg(pins))
    })
}

fn install_javascript(pins: &Path) -> anyhow::Result<()> {
    let files = ["package.json", "package-lock.json"];
    let mut wanted = Vec::new();
    for file in files {
        wanted.extend(fs::read(pins.join(file))?);
    }
    install_stamped(pins, &wanted, |environment| {
        fs::create_dir_all(environment)?;
        for file in files {
            fs::copy(pins.join(file), environment.join(file))?;
        }
        run(Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .args(["--loglevel", "error"])
            .current_dir(environment))
        .context("npm, which comes with Node.js, must be installed")
    })
}

/// Installs into the folder named like the pins, unless the same pins are installed there.
fn install_stamped(
    pins: &Path,
    wanted: &[u8],
    install: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let name = pins.file_stem().context("pins have a name")?;
    let environment = root()?.join(ENVIRONMENTS).join(name);
    let stamp = environment.join(STAMP);
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    remove_dir(&environment)?;
    install(&environment)?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Unpacks Debian's package of `nats-server`, without installing it: no service is started, and no rights are needed.
pub(crate) fn unpack_nats_server() -> anyhow::Result<()> {
    let environment = root()?.join(ENVIRONMENTS).join("nats-server");
    if environment.exists() {
        return Ok(());
    }
    let work = environment.with_extension("partial");
    remove_dir(&work)?;
    fs::create_dir_all(&work)?;
    ensure!(
        find_program("apt-get").is_some() && find_program("dpkg-deb").is_some(),
        "nats-server is missing, and is installed by itself on Debian and Ubuntu only: put it on the search path"
    );
    let package = download_nats_server(&work)?;
    let unpacked = work.join("unpacked");
    run(Command::new("dpkg-deb")
        .arg("--extract")
        .args([&package, &unpacked]))?;
    run(Command::new(unpacked.join("usr/sbin/nats-server")).arg("--version"))?;
    // What is there is complete.
    fs::rename(unpacked, environment)?;
    remove_dir(&work)
}

/// Downloads the package into a folder and returns its path.
fn download_nats_server(work: &Path) -> anyhow::Result<PathBuf> {
    let apt_get = |task: &[&str], options: &[String]| {
        run(Command::new("apt-get")
            .arg("--quiet")
            .args(options)
            .args(task)
            .current_dir(work))
    };
    let download = ["download", "nats-server"];
    if apt_get(&download, &[]).is_err() {
        // The machine's package lists are missing or too old. Getting lists of our own needs no rights.
        let options = own_lists(work)?;
        apt_get(&["update"], &options)?;
        apt_get(&download, &options)?;
    }
    let mut files = entries(work)?.into_iter();
    files
        .find(|file| file.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get has downloaded no package")
}

/// Options that have `apt-get` keep its lists and caches in a folder.
fn own_lists(work: &Path) -> anyhow::Result<Vec<String>> {
    let mut options = Vec::new();
    for (setting, folder) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
        let folder = work.join(folder);
        fs::create_dir_all(folder.join("partial"))?;
        options.push(format!("--option={setting}={}/", folder.display()));
    }
    Ok(options)
}

fn remove_dir(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// A program of this machine, on the search path or where Debian puts servers, which is not on everybody's.
fn find_program(name: &str) -> Option<PathBuf> {
    let search_path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&search_path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
