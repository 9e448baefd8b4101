//! Files with CURVE keys, in the form that ZeroMQ's own tools write and read (`zmq.auth` of pyzmq for instance).

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use autotrainer_api::zmq::{KeyPair, PublicKey, SecretKey};

use crate::failure::Failure;

/// Longer files are no key files.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Everybody but the owner.
const OTHERS: u32 = 0o077;

/// Writes a pair to a new file that only its owner can read.
pub(super) fn write_pair(path: &Path, pair: &KeyPair) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return Failure::failed(format!(
                "{} is there already; keys are never overwritten",
                path.display()
            ));
        }
        failed(path, &error)
    })?;
    let text = format!(
        "#   CURVE keys of ZeroMQ. Whoever can read this file can pass for its owner.\n\
         curve\n    public-key = \"{}\"\n    secret-key = \"{}\"\n",
        pair.public,
        pair.secret.to_z85()
    );
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|error| failed(path, &error))
}

/// The pair of a file that only its owner can read.
pub(super) fn read_pair(path: &Path) -> Result<KeyPair, Failure> {
    let (file, text) = read(path)?;
    let metadata = file.metadata().map_err(|error| failed(path, &error))?;
    let mode = metadata.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(Failure::usage(format!(
            "{} has a secret key, but others than its owner have access to it; chmod 600 it",
            path.display()
        )));
    }
    let secret = field(&text, "secret-key").and_then(|key| key.parse::<SecretKey>().ok());
    let pair = secret.map(KeyPair::from).ok_or_else(|| {
        Failure::usage(format!(
            "{} has no secret key; `nodewire device keys generate` writes such files",
            path.display()
        ))
    })?;
    match field(&text, "public-key").map(str::parse::<PublicKey>) {
        Some(public) if public != Ok(pair.public) => Err(Failure::usage(format!(
            "the public key in {} does not belong to its secret key",
            path.display()
        ))),
        Some(_) | None => Ok(pair),
    }
}

/// The public key of a file, with a secret one or without.
pub(super) fn read_public(path: &Path) -> Result<PublicKey, Failure> {
    let (_, text) = read(path)?;
    let named = field(&text, "public-key").and_then(|key| key.parse().ok());
    let derived = || {
        let secret = field(&text, "secret-key")?.parse::<SecretKey>().ok()?;
        Some(KeyPair::from(secret).public)
    };
    let alone = || listed(&text).next()?.1.parse().ok();
    named
        .or_else(derived)
        .or_else(alone)
        .ok_or_else(|| Failure::usage(format!("{} has no key", path.display())))
}

/// A public key, or the file that has it.
pub(super) fn public_key(text: &str) -> Result<PublicKey, Failure> {
    if Path::new(text).is_file() {
        return read_public(Path::new(text));
    }
    text.parse().map_err(|error| {
        Failure::usage(format!(
            "{text:?} is no public key, and no file that has one: {error}"
        ))
    })
}

/// The public keys of a list: one a line, with whatever says whose it is after it.
pub(super) fn read_list(path: &Path) -> Result<HashSet<PublicKey>, Failure> {
    let (_, text) = read(path)?;
    let key = |(line, key): (usize, &str)| {
        key.parse::<PublicKey>()
            .map_err(|error| Failure::usage(format!("{}, line {line}: {error}", path.display())))
    };
    listed(&text).map(key).collect()
}

/// The first word of every line that has one, with its number. A key may begin with `#`, so a comment has a blank after it.
fn listed(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines.filter_map(|(place, line)| {
        let word = line.split_whitespace().next()?;
        (word != "#").then_some((place + 1, word))
    })
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(name)?.trim_start();
        let value = value.strip_prefix('=')?.trim();
        Some(value.trim_matches(['"', '\'']))
    })
}

fn read(path: &Path) -> Result<(File, String), Failure> {
    let file = File::open(path).map_err(|error| failed(path, &error))?;
    let mut text = String::new();
    let read = (&file).take(FILE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| failed(path, &error))?;
    Ok((file, text))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn a_pair_comes_back_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.key");
        let pair = KeyPair::generate();
        write_pair(&path, &pair).unwrap();
        assert_eq!(read_pair(&path).unwrap().public, pair.public);
        assert_eq!(read_public(&path).unwrap(), pair.public);
        assert!(write_pair(&path, &KeyPair::generate()).is_err());
        assert_eq!(read_public(&path).unwrap(), pair.public);
        assert_eq!(public_key(&pair.public.to_string()).unwrap(), pair.public);
        assert_eq!(public_key(path.to_str().unwrap()).unwrap(), pair.public);

        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = read_pair(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        assert!(!error.contains(&pair.secret.to_z85()), "{error}");
    }

    #[test]
    fn a_pair_whose_halves_do_not_fit_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mixed.key");
        let mixed = KeyPair {
            public: KeyPair::generate().public,
            ..KeyPair::generate()
        };
        write_pair(&path, &mixed).unwrap();
        assert!(read_pair(&path).is_err());
    }

    #[test]
    fn a_list_has_names_comments_and_empty_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clients");
        let (one, two) = (KeyPair::generate().public, KeyPair::generate().public);
        fs::write(&path, format!("# who may\n\n{one} the office\n  {two}\n")).unwrap();
        assert_eq!(read_list(&path).unwrap(), HashSet::from([one, two]));
        fs::write(&path, format!("{one}\nsomebody\n")).unwrap();
        let error = read_list(&path).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
