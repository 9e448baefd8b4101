//! From a request to an execution.

use std::time::Duration;

use bytestring::ByteString;
use nats_micro::Request;
use nodewire_core::{
    ExecutionRequest, NodeDefinition, NodeError, Port, PortValue, Registry, Value,
};
use nodewire_json::Json;

use super::headers;
use crate::plain::{PlainRequest, input_value};

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) execution: ExecutionRequest,
    pub(super) form: Form,
}

/// The form that replies take.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    /// Progress and partial outputs are wanted, and the end is marked.
    pub(super) stream: bool,
    /// The caller said which type it wants, and learns which it got.
    pub(super) typed: bool,
    /// The output that is the body, if it has one value.
    pub(super) bytes_output: Option<String>,
}

/// Reads a request to `node`, or to the node that it names.
///
/// # Errors
/// `InvalidInput`, with what is wrong.
pub(super) fn read(
    request: &Request,
    node: Option<&str>,
    registry: &Registry,
) -> Result<Asked, NodeError> {
    let is_bytes = headers::is_octet_stream(request, headers::CONTENT_TYPE);
    let mut plain = if is_bytes || request.payload().is_empty() {
        PlainRequest::default()
    } else {
        PlainRequest::parse_bytes(request.payload().clone())?
    };
    let uid = node_uid(node, plain.node.take(), request.header(headers::NODE))?;
    let node = registry.get(&uid);
    let definition = node.as_ref().map(|node| node.definition());
    add_headers(&mut plain, request)?;
    let mut execution = plain.into_execution(uid, definition)?;
    if let Some(definition) = definition {
        if is_bytes {
            let body = Value::Bytes(request.payload().clone());
            let port = bytes_input(definition)?.to_owned();
            execution.inputs.insert(port, body);
        }
        add_values(&mut execution, request, definition)?;
    }
    if execution.caller_id.is_empty() {
        execution.caller_id = request
            .header(headers::EXECUTION)
            .unwrap_or_default()
            .into();
    }
    let form = form(request, definition);
    Ok(Asked { execution, form })
}

/// The form of replies to this request.
fn form(request: &Request, definition: Option<&NodeDefinition>) -> Form {
    let typed = headers::is_octet_stream(request, headers::ACCEPT);
    Form {
        stream: headers::wants_stream(request),
        typed,
        bytes_output: definition
            .filter(|_| typed)
            .and_then(|definition| only_bytes(&definition.outputs))
            .map(str::to_owned),
    }
}

fn node_uid(
    served: Option<&str>,
    named: Option<ByteString>,
    header: Option<&str>,
) -> Result<ByteString, NodeError> {
    let named = named.or_else(|| header.map(ByteString::from));
    match (served, named) {
        (Some(served), Some(named)) if *served != *named => Err(NodeError::invalid_input(format!(
            "the request names node `{named}`, but this subject is that of node `{served}`"
        ))),
        (Some(served), _) => Ok(served.into()),
        (None, Some(named)) => Ok(named),
        (None, None) => Err(NodeError::invalid_input(
            "the request names no node: set `node`, or the header `Nodewire-Node`",
        )),
    }
}

fn add_headers(plain: &mut PlainRequest, request: &Request) -> Result<(), NodeError> {
    if let Some(timeout_ms) = number(request, headers::TIMEOUT_MS)? {
        let timeout = Duration::from_millis(timeout_ms);
        plain.timeout = Some(plain.timeout.map_or(timeout, |other| other.min(timeout)));
    }
    if plain.priority.is_none() {
        plain.priority = number(request, headers::PRIORITY)?;
    }
    let parent = request.header(headers::TRACE_PARENT);
    if parent.is_some_and(|parent| parent.len() > PlainRequest::TEXT_LENGTH_MAX) {
        return Err(NodeError::invalid_input(
            "the header `traceparent` is too long",
        ));
    }
    plain.trace_from_headers(parent, request.header(headers::TRACE_STATE));
    Ok(())
}

fn number<T: std::str::FromStr>(request: &Request, header: &str) -> Result<Option<T>, NodeError> {
    let parse = |text: &str| {
        text.trim().parse().map_err(|_| {
            NodeError::invalid_input(format!(
                "the header `{header}` is no whole number in its range"
            ))
        })
    };
    request.header(header).map(parse).transpose()
}

/// The input that a body of bytes is for.
fn bytes_input(definition: &NodeDefinition) -> Result<&str, NodeError> {
    only_bytes(&definition.inputs).ok_or_else(|| {
        NodeError::invalid_input(format!(
            "node `{}` has not exactly one input that takes bytes: send JSON",
            definition.uid
        ))
    })
}

/// Adds what stands in headers and not in the body.
fn add_values(
    execution: &mut ExecutionRequest,
    request: &Request,
    definition: &NodeDefinition,
) -> Result<(), NodeError> {
    for given in prefixed(request, headers::INPUT_PREFIX) {
        let (name, value) = given?;
        if execution.inputs.get(&name).is_none() {
            let value = port_value(definition.input(&name), value)?;
            execution.inputs.insert(name, value);
        }
    }
    for given in prefixed(request, headers::PARAMETER_PREFIX) {
        let (name, value) = given?;
        if execution.parameters.get(&name).is_none() {
            execution.parameters.insert(name, value);
        }
    }
    Ok(())
}

fn port_value(port: Option<&Port>, given: Json) -> Result<PortValue, NodeError> {
    let value = |given: Json| match port {
        Some(port) => input_value(port, given),
        None => Ok(Value::Json(given)),
    };
    match given.elements() {
        Some(elements) => {
            let values = elements.into_iter().map(value);
            Ok(PortValue::List(values.collect::<Result<_, _>>()?))
        }
        None => Ok(PortValue::Single(value(given)?)),
    }
}

/// The values of headers with this prefix, by what follows it; an error for one that comes twice. A header's name is as it
/// was sent.
fn prefixed(
    request: &Request,
    prefix: &'static str,
) -> impl Iterator<Item = Result<(String, Json), NodeError>> {
    let sent = request
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter());
    sent.filter_map(move |(name, values)| {
        let name: &str = name.as_ref();
        let start = name.get(..prefix.len())?;
        let matches = start.eq_ignore_ascii_case(prefix) && name.len() > prefix.len();
        let value = values.first().filter(|_| matches)?.as_str();
        if values.len() > 1 {
            return Some(Err(NodeError::invalid_input(format!(
                "the header `{name}` is given {} times; several values are a JSON array",
                values.len()
            ))));
        }
        Some(Ok((name[prefix.len()..].to_owned(), json_or_text(value))))
    })
}

fn json_or_text(value: &str) -> Json {
    Json::parse(value.to_owned()).unwrap_or_else(|_| Json::from(value))
}

/// The name of the only port of bytes.
fn only_bytes(ports: &[Port]) -> Option<&str> {
    let mut ports = ports.iter().filter(|port| port.kind == "bytes");
    let first = ports.next()?;
    ports.next().is_none().then_some(first.name.as_str())
}
