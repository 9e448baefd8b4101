//! `KEY=VALUE` arguments as inputs and parameters.

use std::path::Path;

use bytes::Bytes;
use nodewire::client::NodeDescription;
use nodewire::{AssetRef, Inputs, Parameters, PortValue, Value};
use nodewire_json::Json;

use crate::failure::Failure;

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What the help of the commands says.
pub(super) const VALUES: &str = "\
KEY=VALUE gives an input a value: a text where the node takes one, else JSON, else a text. KEY=@FILE reads it from a file: \
bytes where the node takes them or they are no text. A key that is repeated has a list of values. Where KEY is no input but \
a parameter, it is that.";

/// What goes in.
#[derive(Debug)]
pub(super) struct Values {
    /// Those of one key are a list.
    pub(super) inputs: Inputs,
    pub(super) parameters: Parameters,
    /// What the node does not tell of, in words. Others' nodes may take more than they tell, so that this is no error.
    pub(super) unknown: Vec<String>,
}

/// Reads what goes in, for this node as its wire tells of it.
pub(super) fn read(
    arguments: &[String],
    set: &[String],
    node: &NodeDescription,
) -> Result<Values, Failure> {
    let mut unknown = Vec::new();
    let mut ports: Vec<(&str, Vec<Value>)> = Vec::new();
    let mut parameters = Parameters::new();
    for argument in arguments {
        let (key, text) = split(argument, "KEY=VALUE")?;
        if !has_input(node, key) {
            if has_parameter(node, key) {
                parameters.insert(key, parameter(key, text, node));
                continue;
            }
            unknown.push(told_of(node, "input", key));
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
            unknown.push(told_of(node, "parameter", key));
        }
        parameters.insert(key, parameter(key, text, node));
    }
    let ports = ports.into_iter();
    let inputs = ports
        .map(|(key, values)| (key, PortValue::List(values)))
        .collect();
    Ok(Values {
        inputs,
        parameters,
        unknown,
    })
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

/// Whether the node may have it: others' do not tell.
fn has_input(node: &NodeDescription, key: &str) -> bool {
    let names = node.input_names();
    names.is_none_or(|names| names.iter().any(|name| name == key))
}

/// Whether the node may have it: others' do not tell.
fn has_parameter(node: &NodeDescription, key: &str) -> bool {
    let names = node.parameter_names();
    names.is_none_or(|names| names.iter().any(|name| name == key))
}

/// What the node tells of instead.
fn told_of(node: &NodeDescription, what: &str, key: &str) -> String {
    let mut names = node.input_names().unwrap_or_default();
    if names.iter().any(|name| name == key) {
        return format!(
            "`{key}` is an input of `{}`: give {key}=VALUE without --param",
            node.uid
        );
    }
    names.extend(node.parameter_names().unwrap_or_default());
    let all = match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    format!("`{}` tells of no {what} `{key}`; it has {all}", node.uid)
}

/// Checks the form of arguments, and that files are there, before anybody is asked.
pub(super) fn check(inputs: &[String], parameters: &[String]) -> Result<(), Failure> {
    for argument in inputs {
        let (key, text) = split(argument, "KEY=VALUE")?;
        if let Some(path) = text.strip_prefix('@') {
            check_file(key, Path::new(path))?;
        }
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
    check_file(key, path)?;
    let read = std::fs::read(path).map(Bytes::from);
    read.map_err(|error| unusable(key, path, &format!("cannot read it: {error}")))
}

fn check_file(key: &str, path: &Path) -> Result<(), Failure> {
    let file = std::fs::metadata(path);
    let file = file.map_err(|error| unusable(key, path, &format!("cannot read it: {error}")))?;
    if !file.is_file() {
        return Err(unusable(key, path, "it is no file"));
    }
    if file.len() > FILE_BYTES_MAX {
        let why = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(unusable(key, path, &why));
    }
    Ok(())
}

fn unusable(key: &str, path: &Path, why: &str) -> Failure {
    Failure::usage(format!("{key}: {}: {why}", path.display()))
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
        let read = read(&given, &[], &node).unwrap();
        assert_eq!(read.inputs.get("a").unwrap().values().len(), 2);
        assert!(read.parameters.is_empty() && read.unknown.is_empty());
        for wrong in ["a", "=1", "", "a=@/no/such/file", "a=@/"] {
            assert!(check(&[wrong.to_owned()], &[]).is_err(), "{wrong}");
        }
        for wrong in ["a", "=1", ""] {
            assert!(check(&[], &[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_input_that_is_set_as_a_parameter_is_told_as_that() {
        let schema = r#"{"properties": {"inputs": {"properties": {"permits": {}}}}}"#;
        let mut node = NodeDescription::default();
        node.schema = Some(Json::parse(schema).unwrap());
        let read = read(&[], &["permits=20".to_owned()], &node).unwrap();
        assert!(
            read.unknown[0].contains("`permits` is an input"),
            "{:?}",
            read.unknown
        );
    }
}
