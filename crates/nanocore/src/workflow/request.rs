//! The request that a node's server gets: the placed node merged with its definition, and the inputs' lists.
//! spec: nanograph 14.3, 14.4

use std::borrow::Cow;

use nanograph::message::{NodeDefinition, Parameter};
use nodewire_json::{Json, Kind, ScanError};

use super::catalog::{InputStyle, Server};
use super::graph::GraphNode;
use super::object::{ObjectWriter, push_array};
use super::plan::PlanInput;

/// Keys of a graph node that the request passes on unchanged.
const PASSED_ON: &[&str] = &["x", "y", "width", "height"];

/// The request's `graphNode`.
pub(crate) fn graph_node_json(
    node: &GraphNode,
    definition: &NodeDefinition,
    server: &Server,
) -> Json {
    let announced = definition.to_json();
    let ports = |key| announced.get(key).unwrap_or_else(|| Json::array([]));
    let mut object = ObjectWriter::new();
    object
        .text_member("id", &node.id.to_string())
        .string("uid", &node.uid);
    object
        .string("name", &definition.name)
        .string("category", &definition.category);
    object
        .string("version", &definition.version)
        .string("description", &definition.description);
    object
        .member("inputs", &ports("inputs"))
        .member("outputs", &ports("outputs"));
    parameters(object.open("parameters"), node, definition, &announced);
    object
        .string("serverUid", &server.uid)
        .optional_string("domain", server.domain.as_deref());
    for (key, value) in node
        .extra
        .iter()
        .filter(|(key, _)| PASSED_ON.contains(&key.as_str()))
    {
        object.member(key, value);
    }
    let flag = |flag: bool| if flag { "true" } else { "false" };
    object
        .text_member("muted", flag(node.muted))
        .text_member("active", flag(node.active));
    // What came from a file or a server stood deeper there. The scheduler fails a node whose own is too deep.
    object.finish().unwrap_or_default()
}

/// Every parameter of the definition in its order with the value that counts, then those only the graph knows.
fn parameters(text: &mut String, node: &GraphNode, definition: &NodeDefinition, announced: &Json) {
    let raw = announced
        .get("parameters")
        .and_then(|list| list.elements())
        .unwrap_or_default();
    let named = |one: &Json| {
        one.get("name")
            .and_then(|name| name.decode::<String>().ok())
    };
    let mut items: Vec<String> = Vec::new();
    for parameter in &definition.parameters {
        let as_announced = raw
            .iter()
            .find(|one| named(one).as_deref() == Some(&parameter.name));
        items.push(with_value(
            parameter,
            as_announced,
            value_of(node, parameter),
        ));
    }
    let only_here = |name: &str| {
        !definition
            .parameters
            .iter()
            .any(|parameter| parameter.name == name)
    };
    for given in node.params.iter().filter(|given| only_here(&given.name)) {
        let mut object = ObjectWriter::new();
        object
            .string("name", &given.name)
            .optional_string("type", given.kind.as_deref());
        items.push({
            object.member("value", &given.value);
            object.into_text()
        });
    }
    push_array(text, items, |text, item| text.push_str(&item));
}

pub(crate) fn value_of<'a>(node: &'a GraphNode, parameter: &'a Parameter) -> &'a Json {
    let own = if parameter.value.is_null() {
        &parameter.default
    } else {
        &parameter.value
    };
    node.param(&parameter.name).unwrap_or(own)
}

fn with_value(parameter: &Parameter, as_announced: Option<&Json>, value: &Json) -> String {
    let mut object = ObjectWriter::new();
    match as_announced.and_then(Json::entries) {
        Some(entries) => {
            for (key, kept) in entries.iter().filter(|(key, _)| key != "value") {
                object.member(key, kept);
            }
        }
        None => drop(
            object
                .string("name", &parameter.name)
                .string("type", &parameter.kind),
        ),
    }
    object.member("value", value);
    object.into_text()
}

/// The lists that reach a node: an object from port to list, without the ports that nothing reaches.
///
/// `output` gives what a source put out; `convert` makes of that what the input takes.
///
/// # Errors
/// If the values together are nested too deeply.
pub(crate) fn assemble_inputs<'v>(
    inputs: &'v [PlanInput],
    output: impl Fn(usize, &str) -> SourceValue<'v>,
    convert: impl Fn(&PlanInput, &'v Json) -> Cow<'v, Json>,
) -> Result<Json, ScanError> {
    let mut object = ObjectWriter::with_capacity(64);
    for input in inputs {
        let values: Vec<SourceValue<'_>> = input
            .sources
            .iter()
            .map(|(node, name)| output(*node, name))
            .collect();
        let linked = values
            .iter()
            .any(|value| !matches!(value, SourceValue::Unusable));
        let list: Vec<Cow<'v, Json>> = if linked {
            let values = values.iter().filter_map(SourceValue::value);
            values.map(|value| convert(input, value)).collect()
        } else if let Some(constant) = &input.constant {
            vec![convert(input, constant)]
        } else {
            continue;
        };
        push_list(&mut object, input, list.iter().map(AsRef::as_ref));
    }
    object.finish()
}

/// What a link's source gives.
pub(crate) enum SourceValue<'v> {
    /// The source failed or was skipped: as if there were no link. spec: nanograph 16.3
    Unusable,
    /// The source completed, without this output.
    Nothing,
    /// The output's value.
    Value(&'v Json),
}

impl<'v> SourceValue<'v> {
    fn value(&self) -> Option<&'v Json> {
        match self {
            Self::Value(value) if !value.is_null() => Some(value),
            Self::Value(_) | Self::Nothing | Self::Unusable => None,
        }
    }
}

fn push_list<'v>(
    object: &mut ObjectWriter,
    input: &PlanInput,
    values: impl Iterator<Item = &'v Json> + Clone,
) {
    if input.style == InputStyle::Scalar
        && let Some(element) = only_element(values.clone())
    {
        object.member(&input.name, &element);
        return;
    }
    let insides = values.map(inside).filter(|inside| !inside.is_empty());
    push_array(object.open(&input.name), insides, |text, inside| {
        text.push_str(inside)
    });
}

/// The elements' text: what stands between an array's brackets, or a value that is no array.
fn inside(value: &Json) -> &str {
    let text = value.as_str();
    let between = (value.kind() == Kind::Array)
        .then(|| text.get(1..text.len() - 1))
        .flatten();
    between.map_or(text, str::trim)
}

fn only_element<'v>(mut values: impl Iterator<Item = &'v Json>) -> Option<Json> {
    let mut all = Vec::new();
    values.try_for_each(|value| {
        all.extend(value.elements().unwrap_or_else(|| vec![value.clone()]));
        (all.len() <= 1).then_some(())
    })?;
    all.pop()
}
