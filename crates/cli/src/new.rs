//! `nodewire new`: a project of a node server that builds, is tested, and can be called over all wires.

mod name;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::args::NewArgs;
use crate::failure::Failure;
use crate::terminal;

/// Where the crate `nodewire` was when this command was built.
const BUILT_BESIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nodewire");

/// What a project has: each file's path and its template.
const FILES: [(&str, &str); 8] = [
    ("Cargo.toml", include_str!("new/Cargo.toml.in")),
    ("src/lib.rs", include_str!("new/lib.rs.in")),
    ("src/main.rs", include_str!("new/main.rs.in")),
    ("tests/greet.rs", include_str!("new/tests.rs.in")),
    ("nodewire.toml", include_str!("new/nodewire.toml.in")),
    ("nanoserver.json", include_str!("new/nanoserver.json.in")),
    ("README.md", include_str!("new/README.md.in")),
    (".gitignore", include_str!("new/gitignore.in")),
];

/// The file with the token of plain HTTP.
const TOKEN_FILE: &str = "http.token";

pub(crate) fn new(args: &NewArgs) -> Result<(), Failure> {
    name::check(&args.name).map_err(Failure::usage)?;
    let folder = match &args.path {
        Some(path) => path.clone(),
        None => PathBuf::from(&args.name),
    };
    check_folder(&folder)?;
    let library = Library::choose(args.nodewire_path.as_deref())?;
    write_project(&folder, &args.name, &library)?;
    tell(&folder, &args.name, &library);
    Ok(())
}

/// Where the project's `nodewire` comes from.
enum Library {
    /// A checkout.
    Path(PathBuf),
    /// A registry, which does not have it yet.
    Version,
}

impl Library {
    /// The one that was named, or the checkout that this command was built from, if it is still there.
    fn choose(named: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = named {
            let has = |path: &Path| is_library(path).then(|| path.to_owned());
            // The checkout may be named as well as the crate in it.
            let found = has(path).or_else(|| has(&path.join("crates/nodewire")));
            let path = found.ok_or_else(|| {
                Failure::usage(format!(
                    "{} is not the crate `nodewire`, and no checkout that has it in crates/nodewire",
                    path.display()
                ))
            })?;
            return Ok(Self::Path(absolute(&path)?));
        }
        let beside = Path::new(BUILT_BESIDE);
        if is_library(beside) {
            return Ok(Self::Path(absolute(beside)?));
        }
        Ok(Self::Version)
    }

    /// What stands in Cargo.toml.
    fn dependency(&self) -> String {
        match self {
            Self::Path(path) => format!("{{ path = {} }}", quoted(&path.to_string_lossy())),
            Self::Version => format!("\"{}\"", env!("CARGO_PKG_VERSION")),
        }
    }
}

fn is_library(path: &Path) -> bool {
    fs::read_to_string(path.join("Cargo.toml"))
        .is_ok_and(|manifest| manifest.lines().any(|line| line == "name = \"nodewire\""))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize()
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Nothing is written where something is.
fn check_folder(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::usage(format!(
            "{shown} is not empty; name another folder with --path"
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::usage(format!("{shown} cannot be used: {error}"))),
    }
}

fn write_project(folder: &Path, name: &str, library: &Library) -> Result<(), Failure> {
    let dependency = library.dependency();
    for (path, template) in FILES {
        let text = template
            .replace("{{name}}", name)
            .replace("{{crate}}", &name.replace('-', "_"))
            .replace("{{nodewire}}", &dependency);
        write(&folder.join(path), &text, 0o666)?;
    }
    let (first, second) = (Uuid::new_v4().simple(), Uuid::new_v4().simple());
    // Whoever has the token can run the nodes.
    write(
        &folder.join(TOKEN_FILE),
        &format!("{first}{second}\n"),
        0o600,
    )?;
    match library {
        Library::Path(path) => take_versions(path, folder),
        Library::Version => Ok(()),
    }
}

/// The versions that the library was tested with. Cargo leaves out what the project does not need.
fn take_versions(library: &Path, folder: &Path) -> Result<(), Failure> {
    let lock = library
        .ancestors()
        .nth(2)
        .map(|root| root.join("Cargo.lock"));
    match lock.map(fs::read_to_string) {
        Some(Ok(text)) => write(&folder.join("Cargo.lock"), &text, 0o666),
        // Then cargo chooses.
        Some(Err(_)) | None => Ok(()),
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let failed = |error| Failure::failed(format!("{} cannot be written: {error}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(failed)
}

fn tell(folder: &Path, name: &str, library: &Library) {
    let shown = folder.display().to_string();
    match library {
        Library::Path(path) => terminal::say(terminal::plain(&format!(
            "it uses the crate nodewire in {}; --nodewire-path names another one",
            path.display()
        ))),
        Library::Version => terminal::say(
            "it asks the registry for nodewire, which is not there yet: give its path with --nodewire-path, or change Cargo.toml",
        ),
    }
    let next = format!(
        "made {name} in {shown}\n\n  cd {shown}\n  cargo test\n  cargo run\n\nand then, in another terminal there (README.md has the other wires):\n\n  \
         curl -H \"Authorization: Bearer $(cat {TOKEN_FILE})\" -H 'Content-Type: application/json' \\\n    \
         -d '{{\"inputs\": {{\"names\": [\"Ada\"]}}}}' http://127.0.0.1:8080/nodes/greet/execute"
    );
    next.lines()
        .for_each(|line| terminal::result(terminal::plain(line)));
}
