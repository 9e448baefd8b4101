//! `KEY=VALUE` arguments as inputs and parameters.

use std::path::Path;

use bytes::Bytes;
use nodewire::client::NodeDescription;
use nodewire::{AssetRef, Inputs, Parameters, PortValue, Value};
use nodewire_json::Json;

use crate::failure::Failure;
use crate::terminal;

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What the help of the commands says.
pub(super) const VALUES: &str = "\
KEY=VALUE gives an input a value: a text where the node takes one, else JSON, else a text. KEY=@FILE reads it from a file: \
bytes where the node takes them or they are no text. A key that is repeated has a list of values. Where KEY is no input but \
a parameter, it is that; Autotrainer tells of neither: there parameters need --param.";

/// What goes in: the inputs, those of one key as a list, and the parameters.
pub(super) fn read(
    arguments: &[String],
    set: &[String],
    node: &NodeDescription,
) -> Result<(Inputs, Parameters), Failure> {
    let mut ports: Vec<(&str, Vec<Value>)> = Vec::new();
    let mut parameters = Parameters::new();
    for argument in arguments {
        let (key, text) = split(argument, "KEY=VALUE")?;
        if !has_input(node, key) {
            if has_parameter(node, key) {
                parameters.insert(key, parameter(key, text, node));
                continue;
            }
            say_unknown(node, "input", key);
        }
        let value = value(key, text, node.input_kind(key).as_deref())?;
        match ports.iter_mut().find(|(other, _)| *other == key) {
            Some((_, values)) => values.push(value),
            None => ports.push((key, vec![value])),
        }
    }
    for argument in set {
        let (key, text) = split(argument, "--param KEY=VALUE")?;
        if !has_parameter(node, key) {
            say_unknown(node, "parameter", key);
        }
        parameters.insert(key, parameter(key, text, node));
    }
    let ports = ports.into_iter();
    let inputs = ports
        .map(|(key, values)| (key, PortValue::List(values)))
        .collect();
    Ok((inputs, parameters))
}

/// JSON, unless the node says that it is a text.
fn parameter(key: &str, text: &str, node: &NodeDescription) -> Json {
    let json = if node.is_text_parameter(key) {
        None
    } else {
        Json::parse(text).ok()
    };
    json.unwrap_or_else(|| Json::from(text))
}

/// Whether the node may have it: not all wires tell.
fn has_input(node: &NodeDescription, key: &str) -> bool {
    node.inputs
        .as_ref()
        .is_none_or(|inputs| inputs.iter().any(|input| input.name == key))
}

/// Whether the node may have it: NNRP does not tell.
fn has_parameter(node: &NodeDescription, key: &str) -> bool {
    node.parameters
        .as_ref()
        .is_none_or(|parameters| parameters.iter().any(|other| other.name == key))
}

/// Others' nodes may take more than they tell, so that this is no error.
fn say_unknown(node: &NodeDescription, what: &str, key: &str) {
    let inputs = node.inputs.iter().flatten().map(|input| &input.name);
    let parameters = node.parameters.iter().flatten();
    let names: Vec<_> = inputs
        .chain(parameters.map(|parameter| &parameter.name))
        .map(String::as_str)
        .collect();
    terminal::say(format_args!(
        "{} `{}` tells of no {what} `{}`; it has {}",
        terminal::warning_word(),
        terminal::plain(&node.uid),
        terminal::plain(key),
        terminal::plain(&names.join(", ")),
    ));
}

/// Checks the form of arguments, before anybody is asked.
pub(super) fn check(inputs: &[String], parameters: &[String]) -> Result<(), Failure> {
    for argument in inputs {
        split(argument, "KEY=VALUE")?;
    }
    for argument in parameters {
        split(argument, "--param KEY=VALUE")?;
    }
    Ok(())
}

fn split<'a>(argument: &'a str, form: &str) -> Result<(&'a str, &'a str), Failure> {
    let split = argument.split_once('=').filter(|(key, _)| !key.is_empty());
    split.ok_or_else(|| Failure::usage(format!("{argument}: expected {form}")))
}

fn value(key: &str, text: &str, kind: Option<&str>) -> Result<Value, Failure> {
    let is_asset = kind.is_some_and(|kind| kind == "asset" || kind.starts_with("asset:"));
    let Some(path) = text.strip_prefix('@') else {
        return Ok(match kind {
            Some("bytes") => Value::Bytes(Bytes::copy_from_slice(text.as_bytes())),
            Some("string") => Value::from(text),
            _ if is_asset => Value::Asset(AssetRef::new(text)),
            _ => json_or_text(text),
        });
    };
    if is_asset {
        return Err(Failure::usage(format!(
            "{key}: the node takes an asset: upload the file, and give its reference"
        )));
    }
    let bytes = file(key, Path::new(path))?;
    if kind == Some("bytes") {
        return Ok(Value::Bytes(bytes));
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Ok(Value::Bytes(bytes));
    };
    Ok(match kind {
        Some("string") => Value::from(text),
        _ => json_or_text(text),
    })
}

fn json_or_text(text: &str) -> Value {
    Json::parse(text).map_or_else(|_| Value::from(text), Value::Json)
}

fn file(key: &str, path: &Path) -> Result<Bytes, Failure> {
    let failed = |why: String| Failure::usage(format!("{key}: {}: {why}", path.display()));
    let cannot = |error: std::io::Error| failed(format!("cannot read it: {error}"));
    let length = std::fs::metadata(path).map_err(cannot)?.len();
    if length > FILE_BYTES_MAX {
        return Err(failed(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read(path).map(Bytes::from).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_the_port_takes() {
        let json = |text: &'static str| Value::Json(Json::parse(text).unwrap());
        assert_eq!(value("k", "1", Some("string")).unwrap(), Value::from("1"));
        assert_eq!(value("k", "1", Some("number")).unwrap(), json("1"));
        assert_eq!(value("k", "[1, 2]", None).unwrap(), json("[1, 2]"));
        assert_eq!(value("k", "a=b", None).unwrap(), Value::from("a=b"));
        let asset = value("k", "sha256:0", Some("asset:image")).unwrap();
        assert_eq!(asset, Value::Asset(AssetRef::new("sha256:0")));
        assert!(value("k", "@/no/such/file", None).is_err());
    }

    #[test]
    fn files_are_bytes_or_texts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let at = format!("@{}", path.display());
        std::fs::write(&path, b"\xff\x00").unwrap();
        let bytes = Value::Bytes(Bytes::from_static(b"\xff\x00"));
        assert_eq!(value("k", &at, None).unwrap(), bytes);
        std::fs::write(&path, "{\"a\": 1}").unwrap();
        assert!(matches!(value("k", &at, None).unwrap(), Value::Json(_)));
        assert!(matches!(
            value("k", &at, Some("bytes")).unwrap(),
            Value::Bytes(_)
        ));
        assert_eq!(
            value("k", &at, Some("string")).unwrap(),
            Value::from("{\"a\": 1}")
        );
        assert!(value("k", &at, Some("asset")).is_err());
    }

    #[test]
    fn a_repeated_key_is_a_list_and_a_missing_one_an_error() {
        let node = NodeDescription::default();
        let given = ["a=1".into(), "b=x".into(), "a=2".into()];
        let (inputs, parameters) = read(&given, &[], &node).unwrap();
        assert_eq!(inputs.get("a").unwrap().values().len(), 2);
        assert!(parameters.is_empty());
        for wrong in ["a", "=1", ""] {
            assert!(check(&[wrong.to_owned()], &[]).is_err(), "{wrong}");
            assert!(check(&[], &[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
