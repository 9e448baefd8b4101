//! From a call to an execution.

use std::time::{Duration, Instant};

use bytestring::ByteString;
use nodewire_core::{ArgumentKind, ExecutionRequest, NodeError, Port, PortValue, UnknownArgument};
use nodewire_json::{Json, MAX_DEPTH};
use rmcp::ErrorData;
use rmcp::model::{JsonObject, RequestMetaObject};
use serde_json::Value;

use super::catalogue::Described;
use super::tool::Argument;
use crate::plain::{self, PlainRequest};

/// The execution of a tool with these arguments.
///
/// # Errors
/// `InvalidInput`, with the argument that is not known or cannot be read.
pub(super) fn execution(
    described: &Described,
    arguments: JsonObject,
) -> Result<ExecutionRequest, NodeError> {
    let definition = &described.definition;
    let mut request = ExecutionRequest::new(&*definition.uid);
    for (name, value) in arguments {
        let argument = described
            .argument(&name)
            .ok_or_else(|| unknown(described, &name))?;
        if value.is_null() {
            continue;
        }
        if is_too_deep(&value, MAX_DEPTH) {
            return Err(too_deep(&name));
        }
        let value = Json::from(value);
        match argument {
            Argument::Input(i) => {
                let port = &definition.inputs[i];
                let value = port_value(port, value)?;
                request.inputs.insert(port.name.as_str(), value);
            }
            Argument::Parameter(i) => {
                let name = definition.parameters[i].name.as_str();
                request.parameters.insert(name, value);
            }
        }
    }
    Ok(request)
}

/// Adds what a call says besides its arguments.
///
/// # Errors
/// A member that cannot be read.
pub(super) fn add_meta(
    request: &mut ExecutionRequest,
    meta: &RequestMetaObject,
    timeout_max: Option<Duration>,
) -> Result<(), ErrorData> {
    let asked = whole(meta, "nodewire/timeoutMs")?.map(Duration::from_millis);
    let timeout = match (asked, timeout_max) {
        (Some(asked), Some(max)) => Some(asked.min(max)),
        (asked, max) => asked.or(max),
    };
    // A time beyond what the clock can say is none.
    request.deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    if let Some(priority) = meta.get("nodewire/priority") {
        let priority = priority.as_i64().and_then(|it| i32::try_from(it).ok());
        request.priority =
            priority.ok_or_else(|| unreadable("nodewire/priority", "a whole number of 32 bits"))?;
    }
    let length_max = PlainRequest::TEXT_LENGTH_MAX;
    if let Some(id) = text(meta, "nodewire/callerId", length_max)? {
        request.caller_id = ByteString::from(id);
    }
    // Trace context that cannot be is none, as W3C says.
    let trace = |key: &str, length_max: usize| {
        let text = meta.get(key).and_then(|value| value.as_str());
        text.filter(|text| text.len() <= length_max)
            .map(str::to_owned)
    };
    request.trace_parent = trace("traceparent", length_max);
    request.trace_state = trace("tracestate", PlainRequest::TRACE_STATE_LENGTH_MAX);
    Ok(())
}

fn port_value(port: &Port, given: Json) -> Result<PortValue, NodeError> {
    let Some(elements) = given.elements() else {
        return Ok(PortValue::Single(plain::input_value(port, given)?));
    };
    let values = elements
        .into_iter()
        .map(|element| plain::input_value(port, element));
    Ok(PortValue::List(values.collect::<Result<_, _>>()?))
}

/// The SDK takes what is nested deeper than our JSON; itself, it has a limit, so that this comes to an end.
fn is_too_deep(value: &Value, levels_max: usize) -> bool {
    let Some(levels_max) = levels_max.checked_sub(1) else {
        return matches!(value, Value::Array(_) | Value::Object(_));
    };
    match value {
        Value::Array(values) => values.iter().any(|it| is_too_deep(it, levels_max)),
        Value::Object(members) => members.values().any(|it| is_too_deep(it, levels_max)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn too_deep(name: &str) -> NodeError {
    NodeError::invalid_input(format!(
        "the argument `{name}` is nested deeper than {MAX_DEPTH} levels"
    ))
}

fn unknown(described: &Described, name: &str) -> NodeError {
    let known = described.arguments();
    let uid = &described.definition.uid;
    let unknown = UnknownArgument::new(uid, ArgumentKind::Argument, name, known);
    NodeError::invalid_input(unknown.to_string())
}

fn whole(meta: &RequestMetaObject, key: &str) -> Result<Option<u64>, ErrorData> {
    let Some(value) = meta.get(key) else {
        return Ok(None);
    };
    let whole = value.as_u64();
    whole
        .map(Some)
        .ok_or_else(|| unreadable(key, "a whole number, 0 or more"))
}

fn text<'a>(
    meta: &'a RequestMetaObject,
    key: &str,
    length_max: usize,
) -> Result<Option<&'a str>, ErrorData> {
    let Some(value) = meta.get(key) else {
        return Ok(None);
    };
    let text = value.as_str().filter(|text| text.len() <= length_max);
    text.map(Some)
        .ok_or_else(|| unreadable(key, &format!("a string of at most {length_max} bytes")))
}

fn unreadable(key: &str, wanted: &str) -> ErrorData {
    ErrorData::invalid_params(format!("`_meta`: `{key}` must be {wanted}"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> Value {
        (1..levels).fold(Value::Array(Vec::new()), |inner, level| {
            if level % 2 == 0 {
                Value::Array(vec![inner])
            } else {
                serde_json::json!({ "inner": inner })
            }
        })
    }

    #[test]
    fn what_our_json_takes_and_nothing_else_is_taken() {
        for levels in [1, 2, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, MAX_DEPTH + 5] {
            let value = nested(levels);
            let taken = Json::parse(value.to_string()).is_ok();
            assert_eq!(is_too_deep(&value, MAX_DEPTH), !taken, "{levels}");
        }
        assert!(!is_too_deep(&Value::from(1), 0));
    }
}
