//! Definitions as `#[node]` makes them: what could not be checked when compiling is checked when first asked for.

use nodewire_json::Json;
use serde::Serialize;

use crate::definition::{NodeDefinition, NodeDefinitionBuilder};

/// The definition, which is asked for when the node is registered, before anything runs.
///
/// # Panics
/// If the definition makes no sense, or a parameter's default does not keep the parameter's own rules. `#[node]` finds
/// most of this when compiling; what is left are defaults and limits that are no literals.
#[must_use]
#[track_caller]
pub fn definition(builder: NodeDefinitionBuilder) -> NodeDefinition {
    let definition = match builder.build() {
        Ok(definition) => definition,
        Err(error) => panic!("{error}"),
    };
    for parameter in &definition.parameters {
        if let Err(error) = parameter.check(&parameter.default) {
            panic!("node `{}`, default of {error}", definition.uid);
        }
    }
    definition
}

/// The JSON of a default as an author wrote it.
///
/// # Panics
/// If the type's own `Serialize` fails.
#[must_use]
#[track_caller]
pub fn default_value<T: Serialize + ?Sized>(value: &T) -> Json {
    match Json::from_serialize(value) {
        Ok(json) => json,
        Err(error) => panic!("a default cannot be written as JSON: {error}"),
    }
}

/// A default of several values.
#[must_use]
pub fn default_list<const N: usize>(elements: [Json; N]) -> Json {
    Json::array(&elements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::{NumberRange, Parameter, ParameterKind};

    #[test]
    #[should_panic(
        expected = "node `n`, default of parameter `size`: 3 is more than the maximum 2"
    )]
    fn a_default_out_of_range_is_found() {
        let range = NumberRange {
            max: Some(2.0),
            ..NumberRange::default()
        };
        let size = Parameter::new("size", ParameterKind::Number(range), default_value(&3));
        let _ = definition(NodeDefinition::builder("n").parameter(size));
    }

    #[test]
    #[should_panic(expected = "concurrency of 0")]
    fn a_definition_without_sense_is_found() {
        let _ = definition(NodeDefinition::builder("n").concurrency(0));
    }

    #[test]
    fn a_default_may_be_null() {
        let open = Parameter::new("open", ParameterKind::Boolean, default_value(&None::<bool>));
        assert!(
            definition(NodeDefinition::builder("n").parameter(open)).parameters[0]
                .default
                .is_null()
        );
    }
}
