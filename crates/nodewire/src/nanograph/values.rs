//! Values between the wire's JSON and the core. spec: nanograph 7.5

use std::borrow::Cow;

use bytestring::ByteString;
use nanograph::message::ExecutionRequest;
use nodewire_core::{Inputs, NodeError, Outputs, Parameters, PortValue, Value};
use nodewire_json::{Json, Kind, Member, Reader, ScanError};

/// A request's inputs: each port's list, or the bare value if that is what was sent.
pub(super) fn inputs(request: &ExecutionRequest) -> Inputs {
    let inputs = &request.inputs;
    let mut read = Inputs::new();
    // Well-formed by its type; `null` has no ports.
    let _ = inputs.reader().object(|port, reader| {
        let port = name(inputs, port.name());
        read.insert(port, port_value(inputs, reader)?);
        Ok(())
    });
    read
}

fn port_value(inputs: &Json, reader: &mut Reader<'_>) -> Result<PortValue, ScanError> {
    let value = |reader: &mut Reader<'_>| Ok(Value::Json(inputs.part(reader.value()?)));
    if !reader.at_array() {
        return value(reader).map(PortValue::Single);
    }
    let mut values = Vec::new();
    reader.array(|reader| {
        values.push(value(reader)?);
        Ok(())
    })?;
    Ok(PortValue::List(values))
}

/// A request's parameters, by name. spec: nanograph 7.2
///
/// # Errors
/// If the graph node has none: it was not written by an orchestrator (spec: nanograph 5.3).
pub(super) fn parameters(request: &ExecutionRequest) -> Result<Parameters, NodeError> {
    let mut read = Parameters::new();
    let list = request
        .parameters()
        .filter(|list| list.kind() == Kind::Array);
    let list = list.ok_or_else(|| {
        NodeError::invalid_input("payload.graphNode.parameters is missing or no array")
    })?;
    // Well-formed by its type.
    let _ = list.reader().array(|reader| {
        if let Some((name, value)) = parameter(list, reader)? {
            read.insert(name, value);
        }
        Ok(())
    });
    Ok(read)
}

/// One parameter; `None` if it has no name or value.
fn parameter(
    list: &Json,
    reader: &mut Reader<'_>,
) -> Result<Option<(ByteString, Json)>, ScanError> {
    let (mut found, mut value) = (None, None);
    if reader.at_object() {
        reader.object(|key, reader| {
            match key.name().as_ref() {
                "name" => found = reader.value()?.string(),
                "value" => value = Some(list.part(reader.value()?)),
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(found.map(|found| name(list, found)).zip(value))
}

/// A name, sharing the memory of the text it stands in where it can.
fn name(text: &Json, name: Cow<'_, str>) -> ByteString {
    match name {
        Cow::Borrowed(name) => text.substring(name),
        Cow::Owned(name) => name.into(),
    }
}

/// `outputs`: one list per port, as standard JSON. `NaN` and infinities become `null` (spec: nanograph N7).
pub(super) fn outputs(outputs: &Outputs) -> Json {
    Json::object(outputs.iter().map(|(port, value)| (port, member(value))))
}

fn member(value: &PortValue) -> Member {
    match value {
        PortValue::Single(value) => Member::Value(value_json(value)),
        PortValue::List(values) => Member::List(values.iter().map(value_json).collect()),
    }
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::Json(json) => json.to_strict(),
        Value::Asset(asset) => Json::from(asset.as_str()),
        // `oversize::keep_bytes` has replaced bytes by assets before; what is left has no form on this wire.
        Value::Bytes(_) => Json::null(),
    }
}
