//! Sources that do no IO and look at no clock: bytes and time go in, bytes and the next deadline come out.
//!
//! What they depend on is an allow list already ([`crate::rules::ONLY_EXTERNAL`]); this is about the standard library.

/// Packages whose sources are such.
const PACKAGES: &[&str] = &["nnrp-wire"];

/// What they must not name. Modules are found by their paths, types by their names, however they were imported.
const BANNED: &[(&str, &str)] = &[
    ("std::net", "sockets are the caller's"),
    ("std::os", "sockets are the caller's"),
    ("std::fs", "files are the caller's"),
    ("std::process", "processes are the caller's"),
    ("std::thread", "tasks are the caller's"),
    ("Instant", "take the time as a `Duration`"),
    ("SystemTime", "take the time as a `Duration`"),
    ("UNIX_EPOCH", "take the time as a `Duration`"),
    ("stdin", "input is the caller's"),
    (
        "use std::{",
        "import from one module at a time, so that this can be checked",
    ),
    (
        "use std as",
        "import from one module at a time, so that this can be checked",
    ),
    (
        "use std::*",
        "import from one module at a time, so that this can be checked",
    ),
];

/// Whether this is about a package's sources.
pub(crate) fn applies_to(package: &str) -> bool {
    PACKAGES.contains(&package)
}

/// Line, what stands there, and what to do instead. Comments are left out.
pub(crate) fn problems(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let lines = (1..).zip(text.lines());
    let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(number, line)| {
        let found = BANNED.iter().filter(|(banned, _)| names(line, banned));
        found.map(move |(banned, instead)| (number, *banned, *instead))
    })
    .collect()
}

/// As whole words.
fn names(line: &str, banned: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(banned).any(|(start, _)| {
        let ends_in_word = banned.ends_with(is_word);
        let after = line[start + banned.len()..].chars().next();
        let before = line[..start].chars().next_back();
        !(before.is_some_and(is_word) || ends_in_word && after.is_some_and(is_word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banned(text: &str) -> Vec<&'static str> {
        problems(text)
            .into_iter()
            .map(|(_, banned, _)| banned)
            .collect()
    }

    #[test]
    fn what_reaches_outside_is_found() {
        assert_eq!(banned("use std::net::TcpStream;"), ["std::net"]);
        assert_eq!(banned("let text = std::fs::read(path);"), ["std::fs"]);
        assert_eq!(banned("    std::thread::sleep(time);"), ["std::thread"]);
        assert_eq!(banned("use std::time::{Duration, Instant};"), ["Instant"]);
        assert_eq!(banned("let now = SystemTime::now();"), ["SystemTime"]);
        assert_eq!(banned("use std::{\n    fs,\n};"), ["use std::{"]);
        let text = "fn a() {}\n\nuse std::os::unix::net::UnixStream;\n";
        assert_eq!(problems(text)[0].0, 3);
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for text in [
            "use std::time::Duration;",
            "use std::io::IoSlice;",
            "use std::ops::{Deref, Range};",
            "// `Instant` is the caller's: std::net too",
            "/// Not std::fs.",
            "let is_Instantaneous = InstantNoodles;",
            "std::network();",
        ] {
            assert_eq!(banned(text), [""; 0], "{text}");
        }
    }
}
