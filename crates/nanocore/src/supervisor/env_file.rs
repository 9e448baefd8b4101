//! `.env` in a server's folder. spec: nanograph 12.4

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// The variables in the folder's `.env`, in its order; none if there is no such file. Blocks on the file system.
pub(super) fn read_env_file(folder: &Path) -> io::Result<Vec<(String, String)>> {
    let file = match File::open(folder.join(".env")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let message = format!("the file is larger than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text.lines().filter_map(variable).collect())
}

/// `NAME=value`, also with `export` before it, quotes around the value, or a comment after it.
fn variable(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if !is_name || value.contains('\0') {
        return None;
    }
    Some((name.to_owned(), unquote(value)))
}

fn unquote(value: &str) -> String {
    if let Some((inner, _)) = value
        .strip_prefix('\'')
        .and_then(|rest| rest.split_once('\''))
    {
        return inner.to_owned();
    }
    if let Some(rest) = value.strip_prefix('"') {
        return double_quoted(rest);
    }
    let end = value.find(" #").unwrap_or(value.len());
    value[..end].trim_end().to_owned()
}

fn double_quoted(rest: &str) -> String {
    let mut text = String::new();
    let mut chars = rest.chars();
    while let Some(one) = chars.next() {
        match one {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_in_such_files_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_env_file(folder.path()).unwrap(), []);
        let text = "# secrets\nA=1\n  export B = two words  # why\nC='a # b'\nD=\"x\\n\\\"y\\\"\" # z\nE=\n\
                    1F=no\nG-H=no\nnothing\n=x\nI=a=b\nJ=a#b\n";
        std::fs::write(folder.path().join(".env"), text).unwrap();
        let found = read_env_file(folder.path()).unwrap();
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "a # b"),
            ("D", "x\n\"y\""),
            ("E", ""),
            ("I", "a=b"),
            ("J", "a#b"),
        ];
        let found: Vec<_> = found
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_huge_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "A=1\n".repeat(100_000)).unwrap();
        assert!(read_env_file(folder.path()).is_err());
    }
}
