//! `nodewire.toml` as settings with their places.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::layers::{Layers, must_be};
use super::near::{hint, nearest};
use super::problem::{ConfigPlace, Problems};
use super::setting::{self, OTHERS_TABLES, Setting, Table};
use super::value::{Kind, Value};

/// The largest file that is read.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a file.
pub(super) fn load(path: &Path, problems: &mut Problems) -> Layers {
    match read(path) {
        Ok(text) => parse(&text, path, problems),
        Err(error) => {
            let place = ConfigPlace::File {
                path: path.to_owned(),
                position: None,
            };
            problems.add(&place, format!("cannot be read: {error}"));
            Layers::default()
        }
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let message = format!("it is larger than {FILE_BYTES_MAX} bytes");
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            message,
        ));
    }
    Ok(text)
}

/// Reads the text of the file at `path`.
pub(super) fn parse(text: &str, path: &Path, problems: &mut Problems) -> Layers {
    let mut reader = Reader {
        text,
        path,
        problems,
        layers: Layers::default(),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    // Of a file that is no TOML, what could be made out means little.
    if errors.is_empty() {
        reader.document(document.get_ref());
    }
    for error in errors {
        let place = match error.span() {
            Some(span) => reader.place(&span),
            None => reader.whole(),
        };
        reader.problems.add(&place, first_line(error.message()));
    }
    reader.layers
}

/// A message may go on with lines about the source, which may hold a secret.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    problems: &'a mut Problems,
    layers: Layers,
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let place = self.place(&name.span());
            let name: &str = name.get_ref();
            if OTHERS_TABLES.contains(&name) {
                continue;
            }
            match (Table::by_name(name), value.get_ref()) {
                (Some(table), DeValue::Table(_)) if !table.is_built() => self.problems.add(
                    &place,
                    format!("[{name}] needs the feature `{name}` of the crate nodewire, which this program was built without"),
                ),
                (Some(table), DeValue::Table(content)) => {
                    self.layers.in_file.insert(table, place);
                    self.table(table, content);
                }
                (Some(_), _) => self
                    .problems
                    .add(&place, format!("{name} must be a table: [{name}]")),
                (None, _) => {
                    let tables = Table::ALL.iter().map(|table| table.name());
                    let near = nearest(name, tables.chain(OTHERS_TABLES));
                    let near = hint(near.map(|near| format!("[{near}]")));
                    self.problems
                        .add(&place, format!("there is no table {}{near}", quoted(name)));
                }
            }
        }
    }

    fn table(&mut self, table: Table, content: &DeTable<'_>) {
        for (key, value) in content {
            let place = self.place(&key.span());
            let key: &str = key.get_ref();
            match setting::find(table, key) {
                Some(setting) if setting.is_secret => {
                    let (variable, key) = (setting.variable(), setting.key);
                    let message = format!(
                        "{} is a secret, which does not belong in this file: set {variable}, or {key}_file here",
                        setting.name()
                    );
                    self.problems.add(&place, message);
                    self.layers.give(setting, None, place);
                }
                Some(setting) => self.setting(setting, value, place),
                None => {
                    let keys = setting::of_table(table).filter(|setting| !setting.is_secret);
                    let near = hint(nearest(key, keys.map(|setting| setting.key)));
                    let table = table.name();
                    self.problems.add(
                        &place,
                        format!("[{table}] has no key {}{near}", quoted(key)),
                    );
                }
            }
        }
    }

    fn setting(
        &mut self,
        setting: &'static Setting,
        value: &Spanned<DeValue<'_>>,
        place: ConfigPlace,
    ) {
        let read = self.value(setting.kind, value.get_ref());
        if read.is_none() {
            let place = self.place(&value.span());
            self.problems.add(&place, must_be(setting));
        }
        self.layers.give(setting, read, place);
    }

    fn value(&self, kind: Kind, value: &DeValue<'_>) -> Option<Value> {
        match (kind, value) {
            (Kind::Switch, DeValue::Boolean(switch)) => Some(Value::Switch(*switch)),
            (Kind::Number(..), DeValue::Integer(number)) => kind.number(integer(number)?),
            (Kind::Ratio, DeValue::Integer(number)) => kind.parse(&integer(number)?.to_string()),
            (Kind::Ratio, DeValue::Float(number)) => kind.parse(number.as_str()),
            (Kind::Path, DeValue::String(text)) => {
                let Value::Path(path) = kind.parse(text)? else {
                    return None;
                };
                Some(Value::Path(self.folder().join(path)))
            }
            (
                Kind::Text
                | Kind::Url
                | Kind::Endpoint
                | Kind::Choice(_)
                | Kind::Address
                | Kind::Domain,
                DeValue::String(text),
            ) => kind.parse(text),
            (Kind::Ips | Kind::Words, DeValue::Array(values)) => {
                let texts = values
                    .iter()
                    .map(|value| value.get_ref().as_str().map(str::to_owned));
                kind.list(texts.collect::<Option<_>>()?)
            }
            (Kind::Numbers, DeValue::Table(members)) => {
                let numbers = members.iter().map(|(name, value)| {
                    let number = integer(value.get_ref().as_integer()?)?;
                    Some((name.get_ref().to_string(), number))
                });
                let numbers: Option<BTreeMap<_, _>> = numbers.collect();
                numbers.map(Value::Numbers)
            }
            _ => None,
        }
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new(""))
    }

    fn whole(&self) -> ConfigPlace {
        ConfigPlace::File {
            path: self.path.to_owned(),
            position: None,
        }
    }

    fn place(&self, span: &Range<usize>) -> ConfigPlace {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &self.text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default();
        ConfigPlace::File {
            path: self.path.to_owned(),
            position: Some((line, column.chars().count() + 1)),
        }
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A name as it stands there, but no longer than names are.
fn quoted(name: &str) -> String {
    let short: String = name.chars().take(64).collect();
    format!("{short:?}")
}
