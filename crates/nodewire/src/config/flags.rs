//! The program's flags.
//!
//! Written by hand: all flags follow from the list of settings, so that a parser needs nothing but `--name value`,
//! `--name=value` and switches, which may leave the value out. A crate would bring more code than this.

use std::ffi::OsString;
use std::path::PathBuf;

use super::layers::Layers;
use super::near::{hint, nearest};
use super::problem::{ConfigPlace, Problems};
use super::setting::{SETTINGS, Setting};
use super::value::Kind;

/// What the program is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Action {
    /// Serve.
    #[default]
    Run,
    /// Serve MCP on standard input and output.
    #[cfg(feature = "mcp")]
    McpStdio,
    /// Say what flags there are.
    Help,
    /// Say who it is.
    Version,
    /// Say what it would run with.
    PrintConfig,
}

/// The command line, read.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    pub(crate) action: Action,
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
    pub(super) layers: Layers,
}

/// Flags that are no settings.
pub(super) const OWN: &[(&str, &str)] = &[
    ("--config FILE", "read this file instead of nodewire.toml"),
    #[cfg(feature = "mcp")]
    (
        "--mcp-stdio",
        "serve MCP on standard input and output, and nothing else",
    ),
    (
        "--print-config",
        "print the configuration, without secrets, and exit",
    ),
    ("-h, --help", "print this and exit"),
    ("-V, --version", "print name and version and exit"),
];

/// Reads the arguments after the program's name.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    problems: &mut Problems,
) -> Flags {
    let mut flags = Flags::default();
    let mut arguments = arguments.into_iter().peekable();
    let mut place = 0_usize;
    while let Some(argument) = arguments.next() {
        place += 1;
        let text = argument.to_string_lossy();
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_ref(), None),
        };
        if !name.starts_with('-') {
            // Not repeated: it may be a secret.
            problems.add(
                &ConfigPlace::Flag(format!("argument {place}")),
                "this program takes flags only; --help shows them",
            );
            continue;
        }
        let mut value = || {
            let next = arguments.next_if(|next| !next.to_string_lossy().starts_with("--"));
            place += usize::from(next.is_some());
            next
        };
        let flag = ConfigPlace::Flag(name.to_owned());
        if let Some(action) = action(name) {
            flags.action = flags.action.max_with(action);
            if inline.is_some() {
                problems.add(&flag, "takes no value");
            }
        } else if name == "--config" {
            match inline.map(OsString::from).or_else(value) {
                Some(file) if !file.is_empty() => flags.file = Some(file.into()),
                _ => problems.add(&flag, "needs the path of a file"),
            }
        } else if let Some(setting) = find(name) {
            let given = inline.or_else(|| value().map(|text| text.to_string_lossy().into_owned()));
            let text = match (given, setting.kind) {
                (None, Kind::Switch) => Some("true".to_owned()),
                (given, _) => given,
            };
            flags.layers.by_flag.insert(setting.table, flag.clone());
            match text {
                Some(text) => flags.layers.give_text(setting, &text, flag, problems),
                None => problems.add(&flag, format!("needs {}", setting.kind.rule())),
            }
        } else {
            // What follows is probably its value.
            let _ = value();
            problems.add(&flag, format!("is no flag of this program{}", meant(name)));
        }
    }
    flags
}

impl Action {
    /// Help wins over everything.
    fn max_with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Help, _) | (_, Self::Help) => Self::Help,
            (Self::Version, _) | (_, Self::Version) => Self::Version,
            #[cfg(feature = "mcp")]
            (Self::PrintConfig, Self::McpStdio) => Self::PrintConfig,
            #[cfg(feature = "mcp")]
            (Self::McpStdio, other) => other,
            (Self::PrintConfig | Self::Run, other) => other,
        }
    }
}

fn action(name: &str) -> Option<Action> {
    match name {
        "-h" | "--help" => Some(Action::Help),
        "-V" | "--version" => Some(Action::Version),
        "--print-config" => Some(Action::PrintConfig),
        #[cfg(feature = "mcp")]
        "--mcp-stdio" => Some(Action::McpStdio),
        _ => None,
    }
}

/// Those that have a flag in this build.
pub(super) fn settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS
        .iter()
        .filter(|setting| !setting.is_secret && setting.table.is_built())
}

fn find(name: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.flag() == name)
}

fn meant(name: &str) -> String {
    let secret = SETTINGS
        .iter()
        .find(|setting| setting.is_secret && setting.flag() == name);
    if let Some(setting) = secret {
        // Everybody on the machine can read command lines.
        return format!(
            ": secrets do not belong on command lines; set {}, or use {name}-file",
            setting.variable()
        );
    }
    let own = [
        "--config",
        "--help",
        "--version",
        "--print-config",
        #[cfg(feature = "mcp")]
        "--mcp-stdio",
    ];
    let known: Vec<String> = settings()
        .map(Setting::flag)
        .chain(own.map(str::to_owned))
        .collect();
    hint(nearest(name, known.iter().map(String::as_str)))
}
