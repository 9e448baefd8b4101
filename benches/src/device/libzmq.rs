//! The program of bare libzmq sockets, built against the library that pyzmq brings along.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use nodewire_testkit::peers_dir;

use crate::process::pinned;

/// `bare.c`, which lists what it can do, as a program.
#[derive(Debug)]
pub struct Libzmq {
    program: PathBuf,
}

impl Libzmq {
    /// Compiles it beside this program.
    ///
    /// # Errors
    /// There is no C compiler, or the peers are not installed.
    pub fn build() -> anyhow::Result<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("libzmq/bare.c");
        let program = env::current_exe()?.with_file_name("bench_device_libzmq");
        let library = library()?;
        let folder = library.parent().context("a library lies in a folder")?;
        // What the library itself needs lies there too.
        let folder = folder.display();
        let status = Command::new("cc")
            .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"])
            .arg(source)
            .arg(&library)
            .arg(format!("-Wl,-rpath,{folder},-rpath-link,{folder}"))
            .arg("-o")
            .arg(&program)
            .status()
            .context("cannot run `cc`, which builds the load; install a C compiler")?;
        ensure!(status.success(), "`cc` cannot build bare.c");
        Ok(Self { program })
    }

    /// The program with these arguments, on one core if asked to.
    #[must_use]
    pub fn command(&self, args: &[&str], core: Option<u32>) -> Command {
        let mut command = pinned(&self.program, core);
        command.args(args);
        command
    }
}

/// Its name has a part that changes with each release, and so has its folder.
fn library() -> anyhow::Result<PathBuf> {
    let lib = peers_dir().join("auto-trainer-0.9.11/lib");
    let python = entry(&lib, "python")?;
    entry(&python.join("site-packages/pyzmq.libs"), "libzmq-")
}

fn entry(folder: &Path, prefix: &str) -> anyhow::Result<PathBuf> {
    let missing = || {
        format!(
            "no {prefix}* in {}: run `cargo xtask peers`",
            folder.display()
        )
    };
    for entry in folder.read_dir().with_context(missing)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(entry.path());
        }
    }
    anyhow::bail!(missing())
}
