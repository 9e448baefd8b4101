//! The data folder, its disk and lock, and the programs that servers need.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nanocore::db;
use nanocore::home::{self, Holder};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use tokio::process::Command;

use super::super::place::Place;
use super::super::show::bytes;
use super::{Finding, reason};

/// Below this, large assets and environments do not fit.
const SPACE_LOW_BYTES: u64 = 2 << 30;
/// Below this, next to nothing fits.
const SPACE_OUT_BYTES: u64 = 100 << 20;
/// How long a program may take to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

/// The folder and what is secret in it.
pub(super) fn folder(place: &Place) -> Vec<Finding> {
    let data = &place.data;
    let metadata = match fs::metadata(data) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!(
                "{} does not exist yet; the first `nodewire up` or `register` makes it",
                data.display()
            );
            return vec![Finding::ok("data folder", text)];
        }
        Err(error) => {
            let text = format!("{}: {error}", data.display());
            return vec![Finding::error(
                "data folder",
                text,
                "choose another with --data",
            )];
        }
    };
    if !metadata.is_dir()
        || access(
            data.as_path(),
            AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK,
        )
        .is_err()
    {
        let text = format!("{} cannot be written to", data.display());
        return vec![Finding::error(
            "data folder",
            text,
            "make it yours (chown), or choose another with --data",
        )];
    }
    let mut findings = vec![Finding::ok("data folder", data.display().to_string())];
    findings.extend(private(&data.join("token"), "token"));
    findings
}

/// Whether only its owner can read a file.
fn private(path: &Path, name: &str) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Some(Finding::ok(name, "only you can read it"));
    }
    let text = format!("others can read {} (mode {mode:03o})", path.display());
    Some(Finding::error(
        name,
        text,
        format!(
            "chmod 600 {0}; delete it to get a new one, if others may have read it",
            path.display()
        ),
    ))
}

/// How full the disk is that the folder is on, or will be.
pub(super) fn space(place: &Place) -> Option<Finding> {
    let there = place.data.ancestors().find(|folder| folder.exists())?;
    let disk = match statvfs(there) {
        Ok(disk) => disk,
        Err(error) => {
            return Some(Finding::warning(
                "disk",
                reason(&error),
                "look at it with df",
            ));
        }
    };
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    let text = format!("{} free at {}", bytes(free), there.display());
    Some(match free {
        0..SPACE_OUT_BYTES => Finding::error(
            "disk",
            text,
            "make room, or choose another folder with --data",
        ),
        SPACE_OUT_BYTES..SPACE_LOW_BYTES => Finding::warning(
            "disk",
            text,
            "make room, for example with `nodewire assets rm`",
        ),
        SPACE_LOW_BYTES.. => Finding::ok("disk", text),
    })
}

/// Who has the folder.
pub(super) fn lock(place: &Place) -> (Option<Holder>, Finding) {
    match place.holder() {
        Ok(None) => (None, Finding::ok("lock", "no daemon has the data folder")),
        Ok(Some(holder)) => {
            let at = holder.address.map_or_else(
                || "is starting".to_owned(),
                |address| format!("listens on {address}"),
            );
            let text = format!("process {} has the data folder and {at}", holder.pid);
            (Some(holder), Finding::ok("lock", text))
        }
        Err(failure) => (
            None,
            Finding::error(
                "lock",
                failure.to_string(),
                "look at the folder's permissions",
            ),
        ),
    }
}

/// Whether the database is whole, if there is one. All of it is read, also beside a daemon that uses it.
pub(super) async fn database(place: &Place) -> Option<Finding> {
    let path = home::database(&place.data);
    if !path.exists() {
        return None;
    }
    let name = path.display().to_string();
    let checked = tokio::task::spawn_blocking(move || db::check(&path)).await;
    Some(match checked {
        Ok(Ok(())) => Finding::ok("database", format!("{name} is whole")),
        // It says what to do.
        Ok(Err(error)) => Finding::error(
            "database",
            reason(&error),
            "stop the daemon before you touch the file",
        ),
        Err(error) => Finding::error("database", reason(&error), "report this"),
    })
}

/// What Python, JavaScript and Rust servers are installed and run with.
pub(super) async fn tools(place: &Place) -> Vec<Finding> {
    let python = place.python(None);
    let venv = &["-c", "import ensurepip, venv"][..];
    let (python_version, has_venv, node, npm, cargo) = tokio::join!(
        run(&python, &["--version"]),
        run(&python, venv),
        run(Path::new("node"), &["--version"]),
        run(Path::new("npm"), &["--version"]),
        run(Path::new("cargo"), &["--version"]),
    );
    let named = place.named_python(None).map(|(named_by, _)| named_by);
    let mut findings = vec![match (named, &python_version) {
        (Some(named_by), Err(error)) => Finding::error(
            named_by,
            format!("{}: {error}", python.display()),
            "name a Python that can be run: `nodewire up` does not start with this one",
        ),
        _ => tool(&python.display().to_string(), &python_version, "Python"),
    }];
    if python_version.is_ok() && has_venv.is_err() {
        let advice =
            "install it (Debian: apt install python3-venv), or name another Python with --python";
        findings.push(Finding::error(
            "python venv",
            "this Python cannot make virtual environments",
            advice,
        ));
    }
    findings.extend([
        tool("node", &node, "JavaScript"),
        tool("npm", &npm, "JavaScript"),
        tool("cargo", &cargo, "Rust"),
    ]);
    findings
}

fn tool(name: &str, said: &Result<String, String>, language: &str) -> Finding {
    match said {
        Ok(version) => Finding::ok(name, version),
        Err(error) => Finding::warning(
            name,
            error,
            format!("needed for node servers written in {language}"),
        ),
    }
}

/// The first line that a program prints.
async fn run(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(VERSION_TIMEOUT, output).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("cannot be run: {error}")),
        Err(_) => return Err("says nothing".to_owned()),
    };
    if !output.status.success() {
        return Err(format!("failed ({})", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_token_that_others_can_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert_eq!(private(&path, "token"), None);
        fs::write(&path, "secret").unwrap();
        for (mode, level) in [(0o600, Level::Ok), (0o640, Level::Error)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(private(&path, "token").unwrap().level, level);
        }
    }

    #[tokio::test]
    async fn a_database_that_is_destroyed_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            data: folder.path().to_owned(),
            settings: Default::default(),
        };
        assert_eq!(database(&place).await, None);
        let path = home::database(&place.data);
        let opened = db::Database::open(&path, db::DatabaseOptions::default()).unwrap();
        opened.close().await;
        drop(opened);
        assert_eq!(database(&place).await.unwrap().level, Level::Ok);
        let mut bytes = fs::read(&path).unwrap();
        bytes[4_096..].fill(0xAA);
        fs::write(&path, bytes).unwrap();
        let found = database(&place).await.unwrap();
        assert_eq!(found.level, Level::Error);
        assert!(found.message.contains("is damaged"), "{}", found.message);
    }

    #[tokio::test]
    async fn programs_say_their_version_or_why_not() {
        assert_eq!(run(Path::new("echo"), &["one"]).await, Ok("one".to_owned()));
        assert!(
            run(Path::new("false"), &[])
                .await
                .unwrap_err()
                .starts_with("failed")
        );
        assert!(
            run(Path::new("/nowhere/x"), &[])
                .await
                .unwrap_err()
                .starts_with("cannot be run")
        );
    }
}
