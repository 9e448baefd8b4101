//! Values of settings, and how they are read from text.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text but an empty one.
    Text,
    /// Addresses that may have a password in them, separated by commas.
    Url,
    /// The address of a collector, which may have a password in it by mistake.
    Endpoint,
    /// A file. A relative one in a file starts at the file's folder.
    Path,
    /// Yes or no.
    Switch,
    /// A whole number in these bounds.
    Number(i64, i64),
    /// A part of all, from 0 to 1.
    Ratio,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An address and a port.
    Address,
    /// A name as in the DNS, with or without a port.
    Domain,
    /// IP addresses.
    Ips,
    /// Texts.
    Words,
    /// Numbers by name.
    Numbers,
}

/// A value that fits its [`Kind`].
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Path(PathBuf),
    Switch(bool),
    Number(i64),
    Ratio(f64),
    Address(SocketAddr),
    Ips(Vec<IpAddr>),
    Words(Vec<String>),
    Numbers(BTreeMap<String, i64>),
}

impl Kind {
    /// What stands for the value in help.
    pub(super) const fn placeholder(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Url | Self::Endpoint => "URL",
            Self::Path => "FILE",
            Self::Switch => "true|false",
            Self::Number(..) | Self::Ratio => "NUMBER",
            Self::Choice(_) => "WORD",
            Self::Address => "IP:PORT",
            Self::Domain => "NAME",
            Self::Ips => "IP,…",
            Self::Words => "TEXT,…",
            Self::Numbers => "NAME=NUMBER,…",
        }
    }

    /// What a value must be, as the end of a sentence.
    pub(super) fn rule(self) -> String {
        match self {
            Self::Text => "a text that is not empty".to_owned(),
            Self::Url => "an address such as nats://127.0.0.1:4222, or several".to_owned(),
            Self::Endpoint => "an address such as http://127.0.0.1:4318".to_owned(),
            Self::Path => "the path of a file".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Number(min, max) => format!("a whole number from {min} to {max}"),
            Self::Ratio => "a number from 0 to 1".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Address => "an IP address and a port, such as 127.0.0.1:8080".to_owned(),
            Self::Domain => {
                "a name of letters, digits, `.`, `_` and `-`, with or without a port".to_owned()
            }
            Self::Ips => "IP addresses, at least one".to_owned(),
            Self::Words => "texts, none of them empty".to_owned(),
            Self::Numbers => "names with whole numbers".to_owned(),
        }
    }

    /// Reads the text of a variable or a flag. Several values are separated by commas.
    pub(super) fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Text | Self::Url | Self::Endpoint => {
                is_text(text).then(|| Value::Text(text.to_owned()))
            }
            Self::Path => is_text(text).then(|| Value::Path(text.into())),
            Self::Switch => text.parse().ok().map(Value::Switch),
            Self::Number(..) => self.number(text.parse().ok()?),
            Self::Ratio => self.ratio(text.parse().ok()?),
            Self::Choice(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Self::Address => text.parse().ok().map(Value::Address),
            Self::Domain => is_domain(text).then(|| Value::Text(text.to_owned())),
            Self::Ips | Self::Words => {
                let parts = text.split(',').map(str::trim).map(str::to_owned);
                self.list(parts.filter(|part| !part.is_empty()).collect())
            }
            Self::Numbers => text
                .split(',')
                .map(|part| {
                    let (name, number) = part.split_once('=')?;
                    Some((name.trim().to_owned(), number.trim().parse().ok()?))
                })
                .collect::<Option<_>>()
                .map(Value::Numbers),
        }
    }

    /// A number, if it is in bounds.
    pub(super) fn number(self, number: i64) -> Option<Value> {
        let Self::Number(min, max) = self else {
            return None;
        };
        (min..=max)
            .contains(&number)
            .then_some(Value::Number(number))
    }

    /// A part of all, if it is one.
    pub(super) fn ratio(self, ratio: f64) -> Option<Value> {
        let fits = self == Self::Ratio && (0.0..=1.0).contains(&ratio);
        fits.then_some(Value::Ratio(ratio))
    }

    /// A list of texts.
    pub(super) fn list(self, texts: Vec<String>) -> Option<Value> {
        if self == Self::Words {
            let are_texts = texts.iter().all(|text| is_text(text));
            return are_texts.then_some(Value::Words(texts));
        }
        if self != Self::Ips || texts.is_empty() {
            return None;
        }
        let ips = texts.iter().map(|text| text.parse().ok());
        ips.collect::<Option<_>>().map(Value::Ips)
    }
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

/// spec: nanograph 12.3
fn is_domain(text: &str) -> bool {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    !name.is_empty() && name.chars().all(is_letter) && port.is_none_or(is_port)
}

/// What a [`Value`] becomes in a wire's own configuration.
pub(super) trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty: $pattern:pat => $result:expr;)+) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $pattern => $result,
                    _ => None,
                }
            }
        }
    )+};
}

from_value! {
    String: Value::Text(text) => Some(text.clone());
    PathBuf: Value::Path(path) => Some(path.clone());
    bool: Value::Switch(switch) => Some(*switch);
    f64: Value::Ratio(ratio) => Some(*ratio);
    u16: Value::Number(number) => u16::try_from(*number).ok();
    u32: Value::Number(number) => u32::try_from(*number).ok();
    u64: Value::Number(number) => u64::try_from(*number).ok();
    usize: Value::Number(number) => usize::try_from(*number).ok();
    i64: Value::Number(number) => Some(*number);
    // All durations are in milliseconds.
    Duration: Value::Number(number) => u64::try_from(*number).ok().map(Self::from_millis);
    SocketAddr: Value::Address(address) => Some(*address);
    Vec<IpAddr>: Value::Ips(ips) => Some(ips.clone());
    Vec<String>: Value::Words(words) => Some(words.clone());
    BTreeSet<String>: Value::Words(words) => Some(words.iter().cloned().collect());
    BTreeMap<String, i64>: Value::Numbers(numbers) => Some(numbers.clone());
}
