//! A handler's result as outputs.

use bytestring::ByteString;
use nodewire_json::DecodeError;

use crate::definition::Port;
use crate::error::NodeError;
use crate::value::{Outputs, PortValue, Value};

type Encode<T> = fn(T) -> Result<Value, DecodeError>;

/// What a handler may return: a struct with `#[derive(Outputs)]`, `()`, [`Outputs`], or a `Result` of these.
#[diagnostic::on_unimplemented(
    message = "a node cannot return `{Self}`",
    label = "these are no outputs",
    note = "return a struct with `#[derive(Outputs)]`, or name the one output: `#[node(output = \"text\")]`"
)]
pub trait IntoOutputs {
    /// The output ports.
    fn ports() -> Vec<Port>;

    /// The values, by port.
    ///
    /// # Errors
    /// The handler's own, or a defect: a value that cannot be written.
    fn into_outputs(self) -> Result<Outputs, NodeError>;
}

impl IntoOutputs for () {
    fn ports() -> Vec<Port> {
        Vec::new()
    }

    fn into_outputs(self) -> Result<Outputs, NodeError> {
        Ok(Outputs::new())
    }
}

/// Values as they are. Their ports are named by `#[node(output(…))]`.
impl IntoOutputs for Outputs {
    fn ports() -> Vec<Port> {
        Vec::new()
    }

    fn into_outputs(self) -> Result<Outputs, NodeError> {
        Ok(self)
    }
}

impl<T: IntoOutputs, E: Into<NodeError>> IntoOutputs for Result<T, E> {
    fn ports() -> Vec<Port> {
        T::ports()
    }

    fn into_outputs(self) -> Result<Outputs, NodeError> {
        self.map_err(Into::into)?.into_outputs()
    }
}

/// Puts outputs together, port by port.
#[derive(Debug, Default)]
pub struct OutputsWriter(Outputs);

impl OutputsWriter {
    /// No ports yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Outputs::new())
    }

    /// A list of one value.
    ///
    /// # Errors
    /// A defect of the node: the value cannot be written.
    pub fn one<T>(
        &mut self,
        output: &'static str,
        value: T,
        encode: Encode<T>,
    ) -> Result<(), NodeError> {
        let value = encode(value).map_err(|error| defect(output, error))?;
        self.0.insert(ByteString::from_static(output), value);
        Ok(())
    }

    /// As [`Self::one`]; `None` leaves the port out.
    ///
    /// # Errors
    /// As [`Self::one`].
    pub fn optional<T>(
        &mut self,
        output: &'static str,
        value: Option<T>,
        encode: Encode<T>,
    ) -> Result<(), NodeError> {
        value.map_or(Ok(()), |value| self.one(output, value, encode))
    }

    /// A list of values.
    ///
    /// # Errors
    /// As [`Self::one`].
    pub fn list<T>(
        &mut self,
        output: &'static str,
        values: Vec<T>,
        encode: Encode<T>,
    ) -> Result<(), NodeError> {
        let values: Result<Vec<_>, _> = values.into_iter().map(encode).collect();
        self.0
            .insert(output, values.map_err(|error| defect(output, error))?);
        Ok(())
    }

    /// As [`Self::list`]; `None` leaves the port out.
    ///
    /// # Errors
    /// As [`Self::one`].
    pub fn optional_list<T>(
        &mut self,
        output: &'static str,
        values: Option<Vec<T>>,
        encode: Encode<T>,
    ) -> Result<(), NodeError> {
        values.map_or(Ok(()), |values| self.list(output, values, encode))
    }

    /// A port's values as they are.
    pub fn whole(&mut self, output: &'static str, values: PortValue) {
        self.0.insert(ByteString::from_static(output), values);
    }

    /// As [`Self::whole`]; `None` leaves the port out.
    pub fn optional_whole(&mut self, output: &'static str, values: Option<PortValue>) {
        if let Some(values) = values {
            self.whole(output, values);
        }
    }

    /// What was put together.
    #[must_use]
    pub fn finish(self) -> Outputs {
        self.0
    }
}

fn defect(output: &str, error: DecodeError) -> NodeError {
    NodeError::internal(format!(
        "output `{output}` cannot be written as JSON: {error}"
    ))
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::NodeErrorKind;
    use crate::typed::{Codec, EncodeJson as _};

    #[test]
    fn one_value_is_a_list_of_one() {
        let mut outputs = OutputsWriter::new();
        outputs
            .one("text", "a".to_owned(), Codec::<String>::encode)
            .unwrap();
        outputs
            .list("empty", Vec::new(), Codec::<u8>::encode)
            .unwrap();
        let expected = Outputs::new().with("text", "a").with("empty", Vec::new());
        assert_eq!(outputs.finish(), expected);
    }

    #[test]
    fn none_leaves_the_port_out() {
        let mut outputs = OutputsWriter::new();
        outputs.optional("a", None, Codec::<u8>::encode).unwrap();
        outputs
            .optional_list("b", None, Codec::<u8>::encode)
            .unwrap();
        outputs.optional_whole("c", None);
        outputs
            .optional("d", Some("x".to_owned()), Codec::<String>::encode)
            .unwrap();
        assert_eq!(outputs.finish(), Outputs::new().with("d", "x"));
    }

    #[test]
    fn what_cannot_be_written_is_a_defect_of_the_node() {
        type Keys = std::collections::BTreeMap<(u8, u8), u8>;
        let error = OutputsWriter::new()
            .one("map", Keys::from([((1, 2), 3)]), Codec::<Keys>::encode)
            .unwrap_err();
        assert_eq!(error.kind(), NodeErrorKind::Internal);
        assert_eq!(
            error.message(),
            "output `map` cannot be written as JSON: key must be a string"
        );
    }

    #[test]
    fn a_result_has_the_ports_and_errors_of_what_is_in_it() {
        assert!(<Result<(), NodeError>>::ports().is_empty());
        let error = Err::<(), _>("broken").into_outputs().unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (NodeErrorKind::Internal, "broken")
        );
        assert_eq!(
            Ok::<_, NodeError>(Outputs::new().with("a", "b"))
                .into_outputs()
                .unwrap()
                .len(),
            1
        );
    }
}
