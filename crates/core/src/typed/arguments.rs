//! Inputs and parameters of one execution, as the types a handler takes.

use std::borrow::Cow;

use super::codec::Mismatch;
use crate::definition::NodeDefinition;
use crate::error::NodeError;
use crate::value::{Inputs, Parameters, PortValue, Value};

type Decode<T> = fn(&Value) -> Result<T, Mismatch>;

/// What an execution was given, read by the node's definition: defaults where nothing was given, rules enforced.
/// Inputs and parameters that the definition does not know are ignored, where they were not refused before
/// ([`Executor::refusing_unknown`](crate::Executor::refusing_unknown)).
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a> {
    definition: &'a NodeDefinition,
    inputs: &'a Inputs,
    parameters: &'a Parameters,
}

impl<'a> Arguments<'a> {
    /// The inputs and parameters of one execution of the node with this definition.
    #[must_use]
    pub fn new(
        definition: &'a NodeDefinition,
        inputs: &'a Inputs,
        parameters: &'a Parameters,
    ) -> Self {
        Self {
            definition,
            inputs,
            parameters,
        }
    }

    /// The first value of an input.
    ///
    /// # Errors
    /// If there is none, or it does not become a `T`.
    pub fn one<T>(&self, input: &str, decode: Decode<T>) -> Result<T, NodeError> {
        let values = self.given(input)?;
        let first = values.first();
        let first = first
            .ok_or_else(|| NodeError::invalid_input(format!("input `{input}` has no value")))?;
        decode(first).map_err(|mismatch| self.misfit(input, None, &mismatch))
    }

    /// The first value of an input; `None` if there is none or it is `null`.
    ///
    /// # Errors
    /// If it does not become a `T`.
    pub fn optional<T>(&self, input: &str, decode: Decode<T>) -> Result<Option<T>, NodeError> {
        let values = self.values(input).unwrap_or_default();
        let first = values.first().filter(|value| !is_null(value));
        first
            .map(decode)
            .transpose()
            .map_err(|mismatch| self.misfit(input, None, &mismatch))
    }

    /// All values of an input.
    ///
    /// # Errors
    /// If nothing was given, or a value does not become a `T`.
    pub fn list<T>(&self, input: &str, decode: Decode<T>) -> Result<Vec<T>, NodeError> {
        self.decode_all(input, &self.given(input)?, decode)
    }

    /// All values of an input; `None` if nothing was given.
    ///
    /// # Errors
    /// If a value does not become a `T`.
    pub fn optional_list<T>(
        &self,
        input: &str,
        decode: Decode<T>,
    ) -> Result<Option<Vec<T>>, NodeError> {
        self.values(input)
            .map(|values| self.decode_all(input, &values, decode))
            .transpose()
    }

    /// An input as it came.
    ///
    /// # Errors
    /// If nothing was given.
    pub fn whole(&self, input: &str) -> Result<PortValue, NodeError> {
        self.optional_whole(input).ok_or_else(|| missing(input))
    }

    /// An input as it came; `None` if nothing was given.
    #[must_use]
    pub fn optional_whole(&self, input: &str) -> Option<PortValue> {
        self.inputs
            .get(input)
            .cloned()
            .or_else(|| self.default_values(input).map(PortValue::List))
    }

    /// A parameter's value, or its default.
    ///
    /// # Errors
    /// If the value does not keep the parameter's rules or does not become a `T`; if none was set and there is no
    /// default, unless `T` takes `null`.
    pub fn parameter<T>(&self, name: &str, decode: Decode<T>) -> Result<T, NodeError> {
        let Some(parameter) = self.definition.parameter(name) else {
            return Err(NodeError::internal(format!(
                "the node defines no parameter `{name}`"
            )));
        };
        let set = self.parameters.get(name);
        if let Some(value) = set {
            parameter
                .check(value)
                .map_err(|error| NodeError::invalid_input(error.to_string()))?;
        }
        let value = set.unwrap_or(&parameter.default);
        decode(&Value::Json(value.clone())).map_err(|mismatch| {
            NodeError::invalid_input(if value.is_null() {
                format!("parameter `{name}` has no default; set it")
            } else {
                let mismatch = mismatch.expecting(parameter.kind.name());
                format!("parameter `{name}`: {mismatch}")
            })
        })
    }

    fn decode_all<T>(
        &self,
        input: &str,
        values: &[Value],
        decode: Decode<T>,
    ) -> Result<Vec<T>, NodeError> {
        let decoded = values.iter().enumerate();
        decoded
            .map(|(i, value)| {
                decode(value).map_err(|mismatch| self.misfit(input, Some(i), &mismatch))
            })
            .collect()
    }

    fn given(&self, input: &str) -> Result<Cow<'a, [Value]>, NodeError> {
        self.values(input).ok_or_else(|| missing(input))
    }

    fn values(&self, input: &str) -> Option<Cow<'a, [Value]>> {
        let inputs: &'a Inputs = self.inputs;
        let given = inputs.get(input).map(|given| Cow::Borrowed(given.values()));
        given.or_else(|| self.default_values(input).map(Cow::Owned))
    }

    fn default_values(&self, input: &str) -> Option<Vec<Value>> {
        let default = self.definition.input(input)?.default.as_ref()?;
        let values = default.elements().unwrap_or_else(|| vec![default.clone()]);
        Some(values.into_iter().map(Value::Json).collect())
    }

    fn misfit(&self, input: &str, index: Option<usize>, mismatch: &Mismatch) -> NodeError {
        let expected = self
            .definition
            .input(input)
            .map_or("another value", |port| port.kind.as_str());
        let index = index.map_or_else(String::new, |index| format!("[{index}]"));
        NodeError::invalid_input(format!(
            "input `{input}`{index}: {}",
            mismatch.expecting(expected)
        ))
    }
}

fn missing(input: &str) -> NodeError {
    NodeError::invalid_input(format!("input `{input}` is missing"))
}

fn is_null(value: &Value) -> bool {
    matches!(value, Value::Json(json) if json.is_null())
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use nodewire_json::Json;

    use super::*;
    use crate::definition::Port;
    use crate::error::NodeErrorKind;
    use crate::parameter::{NumberRange, Parameter, ParameterKind};
    use crate::typed::{Codec, DecodeJson as _};

    fn json(text: &'static str) -> Json {
        Json::parse(text).unwrap()
    }

    fn definition() -> NodeDefinition {
        let range = NumberRange {
            min: Some(1.0),
            max: Some(10.0),
            ..NumberRange::default()
        };
        NodeDefinition::builder("test")
            .input(Port::new("text", "string"))
            .input(Port::new("with_default", "number").default_value(json("7")))
            .input(Port::new("with_list", "number").default_value(json("[1, 2]")))
            .parameter(Parameter::new(
                "count",
                ParameterKind::Number(range),
                json("3"),
            ))
            .parameter(Parameter::new(
                "open",
                ParameterKind::Text { multiline: false },
                Json::null(),
            ))
            .build()
            .unwrap()
    }

    fn with<R>(inputs: &Inputs, parameters: &Parameters, read: impl Fn(Arguments<'_>) -> R) -> R {
        read(Arguments::new(&definition(), inputs, parameters))
    }

    fn invalid<T: fmt::Debug>(result: Result<T, NodeError>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), NodeErrorKind::InvalidInput);
        error.message().to_owned()
    }

    fn texts(values: &[&'static str]) -> Inputs {
        let values: Vec<_> = values.iter().map(|text| Value::Json(json(text))).collect();
        Inputs::new().with("text", values)
    }

    const UNSET: &Parameters = &Parameters::new();

    #[test]
    fn one_is_the_first_value() {
        with(&texts(&["\"a\"", "5"]), UNSET, |arguments| {
            assert_eq!(arguments.one("text", Codec::<String>::decode).unwrap(), "a");
        });
    }

    #[test]
    fn what_is_missing_is_named() {
        with(&Inputs::new(), UNSET, |arguments| {
            assert_eq!(
                invalid(arguments.one("text", Codec::<String>::decode)),
                "input `text` is missing"
            );
            assert_eq!(
                invalid(arguments.list("text", Codec::<String>::decode)),
                "input `text` is missing"
            );
            assert_eq!(invalid(arguments.whole("text")), "input `text` is missing");
            assert_eq!(
                arguments.optional("text", Codec::<String>::decode).unwrap(),
                None
            );
            assert_eq!(
                arguments
                    .optional_list("text", Codec::<String>::decode)
                    .unwrap(),
                None
            );
            assert_eq!(arguments.optional_whole("text"), None);
        });
    }

    #[test]
    fn an_empty_list_is_given_but_has_no_first_value() {
        with(&texts(&[]), UNSET, |arguments| {
            assert_eq!(
                invalid(arguments.one("text", Codec::<String>::decode)),
                "input `text` has no value"
            );
            assert_eq!(
                arguments.optional("text", Codec::<String>::decode).unwrap(),
                None
            );
            assert_eq!(
                arguments.list("text", Codec::<String>::decode).unwrap(),
                Vec::<String>::new()
            );
            assert_eq!(
                arguments
                    .optional_list("text", Codec::<String>::decode)
                    .unwrap(),
                Some(Vec::new())
            );
        });
    }

    #[test]
    fn null_is_no_optional_value_but_a_wrong_required_one() {
        with(&texts(&["null"]), UNSET, |arguments| {
            assert_eq!(
                arguments.optional("text", Codec::<String>::decode).unwrap(),
                None
            );
            assert_eq!(
                invalid(arguments.one("text", Codec::<String>::decode)),
                "input `text`: expected string, got null"
            );
        });
    }

    #[test]
    fn a_wrong_value_in_a_list_is_told_by_its_index() {
        with(&texts(&["\"a\"", "5"]), UNSET, |arguments| {
            let expected = "input `text`[1]: expected string, got 5";
            assert_eq!(
                invalid(arguments.list("text", Codec::<String>::decode)),
                expected
            );
            assert_eq!(
                invalid(arguments.optional_list("text", Codec::<String>::decode)),
                expected
            );
        });
    }

    #[test]
    fn defaults_take_the_place_of_what_is_missing() {
        with(&Inputs::new(), UNSET, |arguments| {
            assert_eq!(
                arguments.one("with_default", Codec::<u8>::decode).unwrap(),
                7
            );
            assert_eq!(
                arguments
                    .optional("with_default", Codec::<u8>::decode)
                    .unwrap(),
                Some(7)
            );
            assert_eq!(
                arguments.list("with_list", Codec::<u8>::decode).unwrap(),
                [1, 2]
            );
            assert_eq!(arguments.whole("with_list").unwrap().values().len(), 2);
        });
        let given = Inputs::new().with("with_default", json("8"));
        with(&given, UNSET, |arguments| {
            assert_eq!(
                arguments.one("with_default", Codec::<u8>::decode).unwrap(),
                8
            );
        });
    }

    #[test]
    fn a_bare_value_stays_bare_where_the_whole_is_taken() {
        let bare = PortValue::Single(Value::from("a"));
        with(
            &Inputs::new().with("text", bare.clone()),
            UNSET,
            |arguments| {
                assert_eq!(arguments.whole("text").unwrap(), bare);
                assert_eq!(
                    arguments.list("text", Codec::<String>::decode).unwrap(),
                    ["a"]
                );
            },
        );
    }

    #[test]
    fn parameters_have_defaults_and_keep_their_rules() {
        let count = |parameters: Parameters| {
            with(&Inputs::new(), &parameters, |arguments| {
                arguments.parameter("count", Codec::<u8>::decode)
            })
        };
        assert_eq!(count(Parameters::new()).unwrap(), 3);
        assert_eq!(
            count(
                Parameters::new()
                    .with("count", json("4"))
                    .with("unknown", json("1"))
            )
            .unwrap(),
            4
        );
        assert_eq!(
            invalid(count(Parameters::new().with("count", json("11")))),
            "parameter `count`: 11 is more than the maximum 10"
        );
        assert_eq!(
            invalid(count(Parameters::new().with("count", json("2.5")))),
            "parameter `count`: expected number, got 2.5: invalid type: floating point `2.5`, expected u8"
        );
    }

    #[test]
    fn a_parameter_without_default_must_be_set_or_take_null() {
        with(&Inputs::new(), UNSET, |arguments| {
            assert_eq!(
                invalid(arguments.parameter("open", Codec::<String>::decode)),
                "parameter `open` has no default; set it"
            );
            assert_eq!(
                arguments
                    .parameter("open", Codec::<Option<String>>::decode)
                    .unwrap(),
                None
            );
        });
    }
}
