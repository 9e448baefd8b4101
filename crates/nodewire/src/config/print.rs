//! What help and `--print-config` say.

use std::fmt::Write;

use super::flags;
use super::layers::{Given, Layers};
use super::setting::{self, Setting, Table};
use super::value::{Kind, Value};
use super::wires::is_in_code;
use crate::server::Wires;

/// Columns before the text of a flag.
const FLAG_WIDTH: usize = 46;

/// All flags.
pub(crate) fn help(name: &str, version: Option<&str>) -> String {
    let mut text = format!(
        "{}\nUsage: {name} [FLAGS]\n\n",
        self::version(name, version)
    );
    let mut line = |flag: &str, about: &str| {
        let _ = writeln!(text, "  {flag:FLAG_WIDTH$} {about}");
    };
    for (flag, about) in flags::OWN {
        line(flag, about);
    }
    for table in Table::ALL {
        let mut settings = flags::settings()
            .filter(|setting| setting.table == table)
            .peekable();
        if settings.peek().is_none() {
            continue;
        }
        let _ = write!(text, "\n[{}] {}\n", table.name(), table.about());
        for setting in settings {
            let flag = format!("{} {}", setting.flag(), setting.kind.placeholder());
            let default = match setting.default {
                "" => String::new(),
                default => format!(" [{default}]"),
            };
            let _ = writeln!(text, "  {flag:FLAG_WIDTH$} {}{default}", setting.about);
        }
    }
    text.push_str(
        "\nEvery flag is also a key in a table of nodewire.toml, and an environment variable: --http-listen is `listen` of\n\
         [http], and NODEWIRE_HTTP_LISTEN. Flags win over variables, which win over the file. A wire is served if its table\n\
         is in the file, or one of its flags is given, or NODEWIRE_<WIRE>_ENABLED=true. NODEWIRE_CONFIG names another file.\n",
    );
    text
}

/// Who it is, in one line.
pub(crate) fn version(name: &str, version: Option<&str>) -> String {
    let library = env!("CARGO_PKG_VERSION");
    match version {
        Some(version) => format!("{name} {version} (nodewire {library})\n"),
        None => format!("{name} (nodewire {library})\n"),
    }
}

/// The settings as a file that could be read again, but for secrets, which are hidden.
pub(super) fn config(layers: &Layers, wires: &Wires, served: &[Table]) -> String {
    let mut text = String::from(
        "# The file's settings, then those of the environment and the flags; comments tell defaults.\n",
    );
    for table in Table::ALL.into_iter().filter(|table| table.is_built()) {
        if table.has_switch() && !served.contains(&table) {
            let _ = write!(text, "\n# [{}] is not served\n", table.name());
            continue;
        }
        let _ = write!(text, "\n[{}]\n", table.name());
        let is_in_code = is_in_code(wires, table);
        if is_in_code {
            text.push_str("# configured in the program's code, but for what is here\n");
        }
        for setting in setting::of_table(table) {
            match layers.table(table).given(setting.key) {
                Some(given) => text.push_str(&line(setting, given)),
                None if is_in_code || setting.default.is_empty() => {}
                None => {
                    let _ = writeln!(text, "# {} = {}", setting.key, setting.default);
                }
            }
        }
    }
    text
}

fn line(setting: &Setting, given: &Given) -> String {
    let place = &given.place;
    match &given.value {
        Some(_) if setting.is_secret => {
            format!("# {} is given by {place}, and not shown\n", setting.key)
        }
        Some(value) => format!(
            "{} = {} # {place}\n",
            setting.key,
            toml(setting.kind, value)
        ),
        None => format!("# {} is wrong: {place}\n", setting.key),
    }
}

fn toml(kind: Kind, value: &Value) -> String {
    let list = |texts: Vec<String>| format!("[{}]", texts.join(", "));
    match value {
        Value::Text(text) if matches!(kind, Kind::Url | Kind::Endpoint) => {
            quoted(&without_password(text))
        }
        Value::Text(text) => quoted(text),
        Value::Path(path) => quoted(&path.to_string_lossy()),
        Value::Switch(switch) => switch.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Ratio(ratio) => format!("{ratio:?}"),
        Value::Address(address) => quoted(&address.to_string()),
        Value::Ips(ips) => list(ips.iter().map(|ip| quoted(&ip.to_string())).collect()),
        Value::Words(words) => list(words.iter().map(|word| quoted(word)).collect()),
        Value::Numbers(numbers) => {
            let members = numbers
                .iter()
                .map(|(name, number)| format!("{} = {number}", quoted(name)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Addresses without what is before the `@`: a user and a password, or a token.
fn without_password(urls: &str) -> String {
    let hide = |url: &str| {
        // A password may have an `@` in it.
        let Some((user, host)) = url.rsplit_once('@') else {
            return url.to_owned();
        };
        let scheme = user.split_once("://").map_or("", |(scheme, _)| scheme);
        let colon = if scheme.is_empty() { "" } else { "://" };
        format!("{scheme}{colon}hidden@{host}")
    };
    let parts: Vec<_> = urls.split(',').map(hide).collect();
    parts.join(",")
}

/// The table of the documentation.
#[cfg(test)]
pub(super) fn reference() -> String {
    let mut text = String::from("| In the file | Default | Meaning |\n|---|---|---|\n");
    for setting in setting::SETTINGS {
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let name = if setting.is_secret {
            format!("(only `{}`)", setting.variable())
        } else {
            format!("`[{}]` `{}`", setting.table.name(), setting.key)
        };
        let _ = writeln!(text, "| {name} | {default} | {} |", setting.about);
    }
    text
}
