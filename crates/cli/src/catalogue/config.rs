//! `[catalogue]` of `nodewire.toml`. Its other tables are the servers', and are not looked at.

use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use nodewire::capability::Wire;
use nodewire::client::Target;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::near;
use crate::failure::Failure;

/// Where it is looked for without `--config`.
const FILE: &str = "nodewire.toml";

/// Bytes of the file.
const BYTES_MAX: u64 = 1 << 20;

/// Further problems are only counted.
const PROBLEMS_SHOWN_MAX: usize = 20;

const KEYS: [&str; 10] = [
    "nanograph",
    "nats",
    "nats_credentials",
    "autotrainer",
    "nnrp",
    "nnrp_ca",
    "nnrp_insecure",
    "http",
    "http_token_file",
    "daemon",
];

/// Where to look.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    pub(super) nanograph: Vec<String>,
    pub(super) nats: Vec<String>,
    pub(super) nats_credentials: Option<PathBuf>,
    pub(super) autotrainer: Vec<String>,
    pub(super) nnrp: Vec<String>,
    pub(super) nnrp_ca: Option<PathBuf>,
    pub(super) nnrp_insecure: bool,
    pub(super) http: Vec<String>,
    pub(super) http_token_file: Option<PathBuf>,
    pub(super) daemon: Option<bool>,
}

/// Reads the table; `None` if there is no file, or no such table in it. Relative paths start at the file's folder.
///
/// # Errors
/// The file that was named is not there; or it cannot be read, or the table is wrong: all that is, each with its place.
pub(super) fn read(named: Option<&Path>) -> Result<Option<Catalogue>, Failure> {
    let path = named.unwrap_or_else(|| Path::new(FILE));
    let failed = |why: String| Failure::usage(format!("{}: {why}", path.display()));
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(failed(format!("cannot read it: {error}"))),
    };
    let mut text = String::new();
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| failed(format!("cannot read it: {error}")))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(failed(format!("it has more than {BYTES_MAX} bytes")));
    }
    let mut reader = Reader {
        text: &text,
        path,
        problems: Vec::new(),
    };
    let catalogue = reader.document();
    match reader.told() {
        None => Ok(catalogue),
        Some(problems) => Err(Failure::usage(problems)),
    }
}

impl Catalogue {
    pub(super) fn names_targets(&self) -> bool {
        let lists = [
            &self.nanograph,
            &self.nats,
            &self.autotrainer,
            &self.nnrp,
            &self.http,
        ];
        lists.iter().any(|list| !list.is_empty())
    }
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    /// In the order of the file. They never repeat a value, which may have a password.
    problems: Vec<(Range<usize>, String)>,
}

impl Reader<'_> {
    fn document(&mut self) -> Option<Catalogue> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            // What follows the first line is of the source.
            let why = error.message().lines().next().unwrap_or_default();
            let place = error.span().unwrap_or_default();
            self.problems
                .push((place, format!("this is no TOML: {why}")));
        }
        if !self.problems.is_empty() {
            return None;
        }
        let (key, value) = document.get_ref().get_key_value("catalogue")?;
        let DeValue::Table(table) = value.get_ref() else {
            let place = key.span();
            self.problems
                .push((place, "catalogue must be a table: [catalogue]".to_owned()));
            return None;
        };
        Some(self.table(table))
    }

    fn table(&mut self, table: &DeTable<'_>) -> Catalogue {
        let mut read = Catalogue::default();
        for (key, value) in table {
            let name: &str = key.get_ref();
            match name {
                "nanograph" => read.nanograph = self.targets(Wire::Nanograph, value),
                "nats" => read.nats = self.targets(Wire::Nats, value),
                "autotrainer" => read.autotrainer = self.targets(Wire::Autotrainer, value),
                "nnrp" => read.nnrp = self.targets(Wire::Nnrp, value),
                "http" => read.http = self.targets(Wire::Http, value),
                "nats_credentials" => read.nats_credentials = self.file(name, value),
                "nnrp_ca" => read.nnrp_ca = self.file(name, value),
                "http_token_file" => read.http_token_file = self.file(name, value),
                "nnrp_insecure" => read.nnrp_insecure = self.switch(name, value).unwrap_or(false),
                "daemon" => read.daemon = self.switch(name, value),
                other => {
                    let other: String = other.chars().take(64).collect();
                    let near = match near::nearest(&other, &KEYS).as_slice() {
                        [] => format!("its keys are {}", KEYS.join(", ")),
                        near => format!("did you mean {}?", near.join(", ")),
                    };
                    let why = format!("[catalogue] has no key {other:?}; {near}");
                    self.problems.push((key.span(), why));
                }
            }
        }
        read
    }

    fn targets(&mut self, wire: Wire, value: &Spanned<DeValue<'_>>) -> Vec<String> {
        let DeValue::Array(values) = value.get_ref() else {
            self.must_be(
                wire.name(),
                "a list of texts, such as [\"..\", \"..\"]",
                value,
            );
            return Vec::new();
        };
        let mut texts = Vec::new();
        for value in values {
            let Some(text) = value.get_ref().as_str() else {
                self.must_be(wire.name(), "a list of texts", value);
                continue;
            };
            match Target::parse(wire, text) {
                Ok(_) => texts.push(text.to_owned()),
                Err(error) => {
                    let why = format!("[catalogue] {wire}: {error}");
                    self.problems.push((value.span(), why));
                }
            }
        }
        texts
    }

    fn file(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<PathBuf> {
        match value.get_ref().as_str() {
            Some(text) if !text.is_empty() => {
                let folder = self.path.parent().unwrap_or_else(|| Path::new(""));
                Some(folder.join(text))
            }
            Some(_) | None => {
                self.must_be(key, "the path of a file", value);
                None
            }
        }
    }

    fn switch(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        if let DeValue::Boolean(switch) = value.get_ref() {
            return Some(*switch);
        }
        self.must_be(key, "true or false", value);
        None
    }

    fn must_be(&mut self, key: &str, what: &str, value: &Spanned<DeValue<'_>>) {
        let why = format!("[catalogue] {key} must be {what}");
        self.problems.push((value.span(), why));
    }

    /// All problems with their places; `None` if there are none.
    fn told(mut self) -> Option<String> {
        self.problems.sort_by_key(|(place, _)| place.start);
        let more = self.problems.len().saturating_sub(PROBLEMS_SHOWN_MAX);
        let mut lines: Vec<_> = self
            .problems
            .iter()
            .take(PROBLEMS_SHOWN_MAX)
            .map(|(place, why)| format!("{}: {why}", self.place(place.start)))
            .collect();
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        (!lines.is_empty()).then(|| lines.join("\n  "))
    }

    /// File, line and column, both counted from 1; columns count characters.
    fn place(&self, start: usize) -> String {
        let start = self.text.floor_char_boundary(start);
        let before = &self.text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default();
        let column = column.chars().count() + 1;
        format!("{}:{line}:{column}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodewire.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn tables_of_others_are_left_and_paths_start_at_the_file() {
        let text = "[server]\nname = \"x\"\n[catalogue]\nnats = [\"a:1\"]\nnnrp_ca = \"ca.pem\"\ndaemon = false\n";
        let (folder, path) = written(text);
        let read = read(Some(&path)).unwrap().unwrap();
        assert_eq!(read.nats, ["a:1"]);
        assert_eq!(read.nnrp_ca.unwrap(), folder.path().join("ca.pem"));
        assert_eq!(read.daemon, Some(false));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_is_wanted() {
        for (text, told) in [
            (
                "[catalogue]\nnts = []\n",
                "2:1: [catalogue] has no key \"nts\"; did you mean nats?",
            ),
            (
                "[catalogue]\nnast = []\n",
                "2:1: [catalogue] has no key \"nast\"; did you mean nats?",
            ),
            (
                "[catalogue]\nmorse = []\n",
                "2:1: [catalogue] has no key \"morse\"; its keys are nanograph,",
            ),
            (
                "[catalogue]\nnats = 1\n",
                "2:8: [catalogue] nats must be a list of texts",
            ),
            (
                "[catalogue]\nnats = [\"a:1\", 2]\n",
                "2:16: [catalogue] nats must be a list of texts",
            ),
            (
                "[catalogue]\ndaemon = \"no\"\n",
                "2:10: [catalogue] daemon must be true or false",
            ),
            (
                "[catalogue]\nnnrp_ca = true\n",
                "2:11: [catalogue] nnrp_ca must be the path of a file",
            ),
            (
                "[catalogue]\nhttp = [\n  \"http://u:secret@a\",\n]\n",
                "3:3: [catalogue] http: this is no http target: a query, a fragment or a user is not taken; write http://HOST:PORT",
            ),
            (
                "catalogue = 1\n",
                "1:1: catalogue must be a table: [catalogue]",
            ),
            ("[server]\nname = \n", "2:"),
            ("[", "1:"),
        ] {
            let (_folder, path) = written(text);
            let error = read(Some(&path)).unwrap_err().to_string();
            let expected = format!("{}:{told}", path.display());
            assert!(error.starts_with(&expected), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
            assert!(!error.contains('|'), "the library's own text: {error}");
        }
        let (_folder, path) = written("[catalogue]\nnats = 1\nhtp = 2\n");
        let both = read(Some(&path)).unwrap_err().to_string();
        assert!(both.contains(":2:8: ") && both.contains(":3:1: "), "{both}");
        let (_folder, path) = written("[server]\n");
        assert!(read(Some(&path)).unwrap().is_none());
        assert!(read(Some(&path.with_extension("none"))).is_err());
    }

    #[test]
    fn every_key_is_known() {
        let text = "[catalogue]\nnanograph = []\nnats = []\nnats_credentials = \"c\"\nautotrainer = []\nnnrp = []\nnnrp_ca = \"c\"\n\
                    nnrp_insecure = true\nhttp = []\nhttp_token_file = \"t\"\ndaemon = true\n";
        assert!(KEYS.iter().all(|key| text.contains(&format!("\n{key} = "))));
        let (_folder, path) = written(text);
        let read = read(Some(&path)).unwrap().unwrap();
        assert!(read.nnrp_insecure && read.daemon == Some(true));
    }
}
