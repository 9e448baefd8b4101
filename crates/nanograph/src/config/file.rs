//! The file as written.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nodewire_json::{Json, MemberRef, members};

use super::lenient::{self, Plain, position};
use super::problem::{ConfigError, Problem, Severity};
use super::{FILE_NAME, MAX_FILE_BYTES};

pub(super) const DOMAIN_RULE: &str =
    "must be letters, digits, dots, dashes or underscores, with a port if needed";

/// What the nodes of a server are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// `python`, also when the file says nothing.
    #[default]
    Python,
    /// `javascript`
    Javascript,
    /// `rust`; ours, the vendor's tools do not know it.
    Rust,
}

impl Language {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Javascript => "javascript",
            Self::Rust => "rust",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Python, Self::Javascript, Self::Rust]
            .into_iter()
            .find(|language| language.as_str() == text)
    }
}

/// `nanoserver.json` as written: what it leaves out is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigFile {
    /// `domain`
    pub domain: Option<String>,
    /// `serverDisplayName`
    pub server_display_name: Option<String>,
    /// `serverUid`
    pub server_uid: Option<String>,
    /// `serverPackageId`
    pub server_package_id: Option<String>,
    /// `language`
    pub language: Option<Language>,
    /// `port`; the Python SDK ignores it (quirk N3).
    pub port: Option<u16>,
    /// `nodesPath`
    pub nodes_path: Option<PathBuf>,
    /// `autoWatch`
    pub auto_watch: Option<bool>,
    /// `watchDebounceTime`
    pub watch_debounce: Option<Duration>,
    /// Warnings and notes, in the order of the file.
    pub problems: Vec<Problem>,
    /// The same content as plain JSON, which the Python SDK accepts; lines that held nothing but comments are gone.
    pub plain_json: String,
}

impl ConfigFile {
    /// Reads `nanoserver.json` in `dir`.
    ///
    /// # Errors
    /// The file cannot be read or has errors: all of them at once.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join(FILE_NAME);
        let text = read(&path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
        })?;
        Self::parse(&text).map_err(|error| error.in_file(&path))
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// All errors in it at once.
    pub fn parse(source: &str) -> Result<Self, ConfigError> {
        let Plain { text, problems } = lenient::blank(source);
        let mut reader = Reader {
            text: &text,
            file: Self {
                problems,
                ..Self::default()
            },
        };
        reader.read_members();
        let mut file = reader.file;
        file.plain_json = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("\n");
        file.plain_json.push('\n');
        file.problems = ConfigError::check(file.problems)?;
        Ok(file)
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let message = format!("the file is larger than {MAX_FILE_BYTES} bytes");
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            message,
        ));
    }
    Ok(text)
}

/// `[A-Za-z0-9._-]+(:\d+)?`. spec: nanograph 12.3
pub(super) fn is_domain(text: &str) -> bool {
    let (name, port) = text
        .split_once(':')
        .map_or((text, None), |(name, port)| (name, Some(port)));
    let name_fits = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    name_fits
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

struct Reader<'a> {
    text: &'a str,
    file: ConfigFile,
}

impl<'a> Reader<'a> {
    fn read_members(&mut self) {
        if let Err(error) = Json::parse(self.text.to_owned()) {
            let problem = Problem::file(Severity::Error, error.kind.to_string());
            return self
                .file
                .problems
                .push(problem.at(position(self.text, error.offset)));
        }
        let mut seen = Vec::new();
        for member in members(self.text) {
            let Ok(member) = member else {
                return self.file.problems.push(Problem::file(
                    Severity::Error,
                    "the top level must be an object",
                ));
            };
            let key = member.key();
            if seen.contains(&key) {
                self.report(
                    &member,
                    Problem::warning(&*key, "is there twice; the last one counts"),
                );
            }
            self.read_member(&key, &member);
            seen.push(key);
        }
    }

    fn read_member(&mut self, key: &str, member: &MemberRef<'a>) {
        let Ok(value) = Json::parse(member.value.as_str().to_owned()) else {
            return;
        };
        match key {
            "domain" => {
                self.file.domain = self
                    .text_of(key, member, &value)
                    .filter(|domain| self.check_domain(member, domain))
            }
            "serverDisplayName" => {
                self.file.server_display_name = self.text_of(key, member, &value)
            }
            "serverUid" => self.file.server_uid = self.text_of(key, member, &value),
            "serverPackageId" => self.file.server_package_id = self.text_of(key, member, &value),
            "language" => self.file.language = self.language(member, &value),
            "port" => self.file.port = self.port(member, &value),
            "nodesPath" => {
                self.file.nodes_path = self.text_of(key, member, &value).map(PathBuf::from)
            }
            "autoWatch" => {
                self.file.auto_watch = self.decode(key, member, &value, "must be true or false")
            }
            "watchDebounceTime" => self.file.watch_debounce = self.debounce(member, &value),
            _ => self.report(
                member,
                Problem::note(key, "is not a known key and is ignored"),
            ),
        }
    }

    fn text_of(&mut self, key: &str, member: &MemberRef<'a>, value: &Json) -> Option<String> {
        self.decode(key, member, value, "must be a text in quotes")
            .filter(|text: &String| !text.is_empty())
    }

    /// The value, unless it is `null`, which counts as missing, or of another type, which is an error.
    fn decode<T: serde::de::DeserializeOwned>(
        &mut self,
        key: &str,
        member: &MemberRef<'a>,
        value: &Json,
        rule: &str,
    ) -> Option<T> {
        if value.is_null() {
            // The Python SDK takes these as they are and breaks later. spec: nanograph 1
            if matches!(key, "nodesPath" | "autoWatch" | "watchDebounceTime") {
                self.report(
                    member,
                    Problem::warning(key, "is null, which breaks the Python SDK; leave it out"),
                );
            }
            return None;
        }
        let decoded = value.decode().ok();
        if decoded.is_none() {
            self.report(
                member,
                Problem::error(key, format!("{rule}, not {}", shorten(value.as_str()))),
            );
        }
        decoded
    }

    fn language(&mut self, member: &MemberRef<'a>, value: &Json) -> Option<Language> {
        let text = self.text_of("language", member, value)?;
        let language = Language::parse(&text);
        if language.is_none() {
            let message = format!(
                "must be \"python\", \"javascript\" or \"rust\", not {}",
                shorten(value.as_str())
            );
            self.report(member, Problem::error("language", message));
        }
        language
    }

    fn port(&mut self, member: &MemberRef<'a>, value: &Json) -> Option<u16> {
        const RULE: &str = "must be a whole number from 1 to 65535";
        let port = self.decode("port", member, value, RULE)?;
        if port == 0 {
            self.report(member, Problem::error("port", format!("{RULE}, not 0")));
        }
        Some(port)
    }

    fn debounce(&mut self, member: &MemberRef<'a>, value: &Json) -> Option<Duration> {
        const RULE: &str = "must be a number of milliseconds, 0 or more";
        let ms: f64 = self.decode("watchDebounceTime", member, value, RULE)?;
        let duration = Duration::try_from_secs_f64(ms / 1000.0).ok();
        if duration.is_none() {
            self.report(
                member,
                Problem::error(
                    "watchDebounceTime",
                    format!("{RULE}, not {}", shorten(value.as_str())),
                ),
            );
        }
        duration
    }

    fn check_domain(&mut self, member: &MemberRef<'a>, domain: &str) -> bool {
        let fits = is_domain(domain);
        if !fits {
            self.report(
                member,
                Problem::error(
                    "domain",
                    format!("{DOMAIN_RULE}, not {}", shorten(member.value.as_str())),
                ),
            );
        }
        fits
    }

    fn report(&mut self, member: &MemberRef<'a>, problem: Problem) {
        // Both are slices of the same text, so the difference of the addresses is the offset.
        let offset = member.value.as_str().as_ptr() as usize - self.text.as_ptr() as usize;
        self.file
            .problems
            .push(problem.at(position(self.text, offset)));
    }
}

fn shorten(value: &str) -> String {
    const MAX_CHARS: usize = 60;
    let mut chars = value.chars();
    let head: String = chars.by_ref().take(MAX_CHARS).collect();
    if chars.next().is_some() {
        format!("{head}…")
    } else {
        head
    }
}
