//! Reading a request.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use bytestring::ByteString;
use nodewire_core::{
    AssetRef, ExecutionRequest, Inputs, NodeDefinition, NodeError, Parameters, Port, PortValue,
    Value,
};
use nodewire_json::{Json, Kind, ScanError, members};

use super::{ASSET, BYTES, PortType};

/// What a caller asks for, before it is known which node's types its inputs have. Values share the memory of the text.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PlainRequest {
    /// The node's uid, if the document names it.
    pub node: Option<ByteString>,
    /// The object of inputs.
    pub inputs: Option<Json>,
    /// The object of parameters.
    pub parameters: Option<Json>,
    /// From now; see [`ExecutionRequest::deadline`].
    pub timeout: Option<Duration>,
    /// See [`ExecutionRequest::priority`].
    pub priority: Option<i32>,
    /// The caller's own name for it.
    pub caller_id: Option<ByteString>,
    /// W3C `traceparent`.
    pub trace_parent: Option<String>,
    /// W3C `tracestate`. It says nothing without `traceparent`.
    pub trace_state: Option<String>,
}

impl PlainRequest {
    /// Longest `callerId` and `traceparent` in bytes.
    pub const TEXT_LENGTH_MAX: usize = 256;
    /// Longest `tracestate` in bytes; of headers, a longer one is left out, as its standard allows.
    pub const TRACE_STATE_LENGTH_MAX: usize = 512;
    /// Most inputs, and most parameters.
    pub const NAMES_MAX: usize = 1_024;

    /// Reads a document. Its length is not limited here: whoever receives it does that.
    ///
    /// # Errors
    /// `InvalidInput`, with the member that is wrong or unknown, or the place where the text is no JSON.
    pub fn parse(text: &ByteString) -> Result<Self, NodeError> {
        let mut request = Self::default();
        for member in members(text) {
            let member = member.map_err(|error| not_json(&error))?;
            let value = Json::found_in(text, member.value);
            if !value.is_null() {
                request.set(&member.key(), value)?;
            }
        }
        Ok(request)
    }

    /// As [`Self::parse`], from bytes that should be UTF-8.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_bytes(bytes: Bytes) -> Result<Self, NodeError> {
        let text = ByteString::try_from(bytes).map_err(|error| {
            NodeError::invalid_input(format!("the request is no UTF-8: {error}"))
        })?;
        Self::parse(&text)
    }

    /// The execution of `node`, with values as the definition's types want them; without a definition they are all JSON.
    ///
    /// # Errors
    /// `InvalidInput`, with the input or parameter that cannot be read.
    pub fn into_execution(
        self,
        node: impl Into<ByteString>,
        definition: Option<&NodeDefinition>,
    ) -> Result<ExecutionRequest, NodeError> {
        let mut execution = ExecutionRequest::new(node);
        execution.inputs = match &self.inputs {
            Some(given) => inputs(given, definition)?,
            None => Inputs::new(),
        };
        execution.parameters = match &self.parameters {
            Some(given) => parameters(given)?,
            None => Parameters::new(),
        };
        // A time beyond what the clock can say is none.
        execution.deadline = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        execution.priority = self.priority.unwrap_or(0);
        execution.caller_id = self.caller_id.unwrap_or_default();
        execution.trace_parent = self.trace_parent;
        execution.trace_state = self.trace_state;
        Ok(execution)
    }

    /// Takes W3C trace context out of headers, where the document has none.
    #[cfg(any(feature = "http", feature = "nats"))]
    pub(crate) fn trace_from_headers(&mut self, parent: Option<&str>, state: Option<&str>) {
        let (None, Some(parent)) = (&self.trace_parent, parent) else {
            return;
        };
        self.trace_parent = Some(parent.to_owned());
        let fits = |state: &&str| state.len() <= Self::TRACE_STATE_LENGTH_MAX;
        self.trace_state = state.filter(fits).map(str::to_owned);
    }

    fn set(&mut self, member: &str, value: Json) -> Result<(), NodeError> {
        match member {
            "node" => self.node = Some(text(member, &value, NodeDefinition::UID_LENGTH_MAX)?),
            "inputs" => self.inputs = Some(object(member, value)?),
            "parameters" => self.parameters = Some(object(member, value)?),
            "timeoutMs" => self.timeout = Some(Duration::from_millis(timeout_ms(&value)?)),
            "priority" => self.priority = Some(priority(&value)?),
            "callerId" => self.caller_id = Some(text(member, &value, Self::TEXT_LENGTH_MAX)?),
            "traceparent" => {
                let parent = text(member, &value, Self::TEXT_LENGTH_MAX)?;
                self.trace_parent = Some(parent.to_string());
            }
            "tracestate" => {
                let state = text(member, &value, Self::TRACE_STATE_LENGTH_MAX)?;
                self.trace_state = Some(state.to_string());
            }
            _ => {
                return Err(NodeError::invalid_input(format!(
                    "the request has an unknown member `{}`; it may have node, inputs, parameters, timeoutMs, \
                     priority, callerId, traceparent and tracestate",
                    member.chars().take(60).collect::<String>()
                )));
            }
        }
        Ok(())
    }
}

/// One value at a port, as its type wants it.
///
/// # Errors
/// `InvalidInput`, with the port, if marked bytes or a marked reference cannot be read.
pub fn input_value(port: &Port, given: Json) -> Result<Value, NodeError> {
    value(&port.name, PortType::of(&port.kind), given)
}

fn not_json(error: &ScanError) -> NodeError {
    NodeError::invalid_input(format!("the request is no JSON object: {error}"))
}

fn object(member: &str, value: Json) -> Result<Json, NodeError> {
    if value.kind() == Kind::Object {
        return Ok(value);
    }
    Err(NodeError::invalid_input(format!(
        "`{member}` must be an object of values by name"
    )))
}

fn text(member: &str, value: &Json, length_max: usize) -> Result<ByteString, NodeError> {
    let text = value
        .string()
        .ok_or_else(|| NodeError::invalid_input(format!("`{member}` must be a string")))?;
    if text.len() > length_max {
        return Err(NodeError::invalid_input(format!(
            "`{member}` has {} bytes; at most {length_max} are allowed",
            text.len()
        )));
    }
    Ok(value.substring(&text))
}

fn timeout_ms(value: &Json) -> Result<u64, NodeError> {
    let whole = "`timeoutMs` must be a whole number of milliseconds, 0 or more";
    value
        .decode()
        .map_err(|error| NodeError::invalid_input(whole).with_source(error))
}

fn priority(value: &Json) -> Result<i32, NodeError> {
    let whole = "`priority` must be a whole number of 32 bits";
    value
        .decode()
        .map_err(|error| NodeError::invalid_input(whole).with_source(error))
}

fn inputs(given: &Json, definition: Option<&NodeDefinition>) -> Result<Inputs, NodeError> {
    let mut read = Inputs::new();
    for member in members(given.as_str()) {
        let member = member.map_err(|error| not_json(&error))?;
        let port = member.key();
        let port_type = definition
            .and_then(|definition| definition.input(&port))
            .map_or(PortType::Json, |port| PortType::of(&port.kind));
        check_names("inputs", read.len())?;
        let value = port_value(&port, port_type, given.part(member.value))?;
        read.insert(given.substring(&port), value);
    }
    Ok(read)
}

/// A name is looked for among all others.
fn check_names(member: &str, read: usize) -> Result<(), NodeError> {
    if read < PlainRequest::NAMES_MAX {
        return Ok(());
    }
    let max = PlainRequest::NAMES_MAX;
    Err(NodeError::invalid_input(format!(
        "`{member}` has more than {max} names"
    )))
}

fn port_value(port: &str, port_type: PortType, given: Json) -> Result<PortValue, NodeError> {
    let Some(elements) = given.elements() else {
        return Ok(PortValue::Single(value(port, port_type, given)?));
    };
    let values = elements
        .into_iter()
        .map(|element| value(port, port_type, element));
    Ok(PortValue::List(values.collect::<Result<_, _>>()?))
}

fn value(port: &str, port_type: PortType, given: Json) -> Result<Value, NodeError> {
    if port_type == PortType::Json || given.kind() != Kind::Object {
        return Ok(Value::Json(given));
    }
    if let Some(reference) = given.get(ASSET) {
        let reference = reference.string().ok_or_else(|| {
            NodeError::invalid_input(format!("input `{port}`: `{ASSET}` must be a string"))
        })?;
        return Ok(Value::Asset(AssetRef::new(reference)));
    }
    match given.get(BYTES) {
        Some(encoded) if port_type == PortType::Bytes => Ok(Value::Bytes(decode(port, &encoded)?)),
        Some(_) | None => Ok(Value::Json(given)),
    }
}

fn decode(port: &str, encoded: &Json) -> Result<Bytes, NodeError> {
    let base64 = |reason: String| {
        NodeError::invalid_input(format!(
            "input `{port}`: `{BYTES}` must be a string of standard base64: {reason}"
        ))
    };
    let text = encoded
        .string()
        .ok_or_else(|| base64("it is no string".to_owned()))?;
    let bytes = STANDARD
        .decode(text.as_bytes())
        .map_err(|error| base64(error.to_string()))?;
    Ok(bytes.into())
}

fn parameters(given: &Json) -> Result<Parameters, NodeError> {
    let mut read = Parameters::new();
    for member in members(given.as_str()) {
        let member = member.map_err(|error| not_json(&error))?;
        check_names("parameters", read.len())?;
        read.insert(given.substring(&member.key()), given.part(member.value));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use nodewire_core::NodeErrorKind;

    use super::*;

    fn parse(text: &'static str) -> Result<PlainRequest, NodeError> {
        PlainRequest::parse(&ByteString::from_static(text))
    }

    fn invalid<T: std::fmt::Debug>(result: Result<T, NodeError>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), NodeErrorKind::InvalidInput);
        error.message().to_owned()
    }

    fn definition() -> NodeDefinition {
        NodeDefinition::builder("n")
            .input(Port::new("data", "bytes"))
            .input(Port::new("image", "asset:image"))
            .input(Port::new("any", "any"))
            .build()
            .unwrap()
    }

    fn first(text: &'static str, port: &str) -> Value {
        let execution = parse(text)
            .unwrap()
            .into_execution("n", Some(&definition()));
        execution.unwrap().inputs.first(port).unwrap().clone()
    }

    #[test]
    fn all_members_are_read() {
        let text = r#"{"node": "n", "inputs": {"a": [1, 2], "b": 3}, "parameters": {"p": "x"}, "timeoutMs": 0,
            "priority": -2, "callerId": "me", "traceparent": "00-1"}"#;
        let request = parse(text).unwrap();
        assert_eq!(request.node.as_deref(), Some("n"));
        let execution = request.into_execution("n", None).unwrap();
        let number = |text: &'static str| Value::Json(Json::parse(text).unwrap());
        let inputs = Inputs::new()
            .with("a", vec![number("1"), number("2")])
            .with("b", PortValue::Single(number("3")));
        assert_eq!(execution.inputs, inputs);
        assert_eq!(execution.parameters.get("p").unwrap().as_str(), "\"x\"");
        assert!(execution.deadline.unwrap() <= Instant::now());
        assert_eq!(execution.priority, -2);
        assert_eq!(&*execution.caller_id, "me");
        assert_eq!(execution.trace_parent.as_deref(), Some("00-1"));
    }

    #[test]
    fn null_is_left_out() {
        let request = parse(r#"{"inputs": null, "timeoutMs": null}"#).unwrap();
        assert_eq!(request, PlainRequest::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(invalid(parse(r#"{"input": {}}"#)).contains("unknown member `input`"));
        assert!(invalid(parse(r#"{"inputs": []}"#)).contains("`inputs` must be an object"));
        assert!(invalid(parse(r#"{"timeoutMs": -1}"#)).contains("`timeoutMs`"));
        assert!(invalid(parse(r#"{"priority": 1.5}"#)).contains("`priority`"));
        assert!(invalid(parse(r#"{"callerId": 7}"#)).contains("`callerId` must be a string"));
        assert!(invalid(parse("[]")).contains("no JSON object"));
        assert!(invalid(parse("{} x")).contains("no JSON object"));
        let not_utf8 = PlainRequest::parse_bytes(Bytes::from_static(b"{\"a\": \"\xff\"}"));
        assert!(invalid(not_utf8).contains("UTF-8"));
    }

    #[test]
    fn long_texts_are_refused() {
        let id = "x".repeat(PlainRequest::TEXT_LENGTH_MAX + 1);
        let text = ByteString::from(format!(r#"{{"callerId": "{id}"}}"#));
        assert!(invalid(PlainRequest::parse(&text)).contains("at most 256"));
    }

    #[test]
    fn names_are_bounded() {
        let names = |count: usize| {
            let names = (0..count).map(|i| (i.to_string(), Json::from("x")));
            Json::object(
                names
                    .collect::<Vec<_>>()
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.clone())),
            )
        };
        for member in ["inputs", "parameters"] {
            let of = |count| {
                let text = Json::object([(member, names(count))]).to_string();
                let request = PlainRequest::parse(&ByteString::from(text)).unwrap();
                request.into_execution("n", None)
            };
            assert!(of(PlainRequest::NAMES_MAX).is_ok());
            assert!(invalid(of(PlainRequest::NAMES_MAX + 1)).contains(member));
        }
    }

    #[test]
    fn bytes_and_assets_are_read_where_the_types_say_so() {
        let asset = || Value::Asset(AssetRef::new("ref"));
        assert_eq!(
            first(r#"{"inputs": {"data": [{"$bytes": "AP8="}]}}"#, "data"),
            Value::Bytes(Bytes::from_static(b"\x00\xff"))
        );
        assert_eq!(
            first(r#"{"inputs": {"data": {"$asset": "ref"}}}"#, "data"),
            asset()
        );
        assert_eq!(
            first(r#"{"inputs": {"image": {"$asset": "ref"}}}"#, "image"),
            asset()
        );
        let json = first(r#"{"inputs": {"any": {"$bytes": "AP8="}}}"#, "any");
        assert_eq!(
            json,
            Value::Json(Json::parse(r#"{"$bytes": "AP8="}"#).unwrap())
        );
    }

    #[test]
    fn bad_base64_is_told_with_its_input() {
        let request = parse(r#"{"inputs": {"data": {"$bytes": "?"}}}"#).unwrap();
        let message = invalid(request.into_execution("n", Some(&definition())));
        assert!(message.contains("input `data`"), "{message}");
    }
}
