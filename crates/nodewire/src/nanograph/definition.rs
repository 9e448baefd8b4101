//! Definitions as the wire announces them. spec: nanograph 7

use nanograph::message as wire;
use nodewire_core::{NodeDefinition, NumberRange, Parameter, ParameterKind, Port, SizeHint};

/// The wire's form of a definition.
pub(super) fn to_wire(definition: &NodeDefinition) -> wire::NodeDefinition {
    wire::NodeDefinition {
        name: definition.name.clone(),
        category: definition.category.clone(),
        version: definition.version.clone(),
        description: definition.description.clone(),
        inputs: definition.inputs.iter().map(port).collect(),
        outputs: definition.outputs.iter().map(port).collect(),
        parameters: definition.parameters.iter().map(parameter).collect(),
        ..wire::NodeDefinition::new(&*definition.uid)
    }
}

fn port(port: &Port) -> wire::Port {
    wire::Port {
        name: port.name.clone(),
        // Bytes travel as assets here.
        kind: if port.kind == "bytes" {
            "asset".to_owned()
        } else {
            port.kind.clone()
        },
        optional: port.optional,
        size_hint: port.size_hint.map(size_hint),
        description: port.description.clone(),
        ..wire::Port::default()
    }
}

fn size_hint(hint: SizeHint) -> wire::SizeHint {
    match hint {
        SizeHint::Small => wire::SizeHint::Small,
        SizeHint::Medium => wire::SizeHint::Medium,
        SizeHint::Large => wire::SizeHint::Large,
        SizeHint::ExtraLarge => wire::SizeHint::XLarge,
    }
}

fn parameter(parameter: &Parameter) -> wire::Parameter {
    let mut wire = wire::Parameter {
        name: parameter.name.clone(),
        kind: parameter.kind.name().to_owned(),
        value: parameter.default.clone(),
        default: parameter.default.clone(),
        label: parameter.label.clone(),
        description: parameter.description.clone(),
        ..wire::Parameter::default()
    };
    match &parameter.kind {
        ParameterKind::Number(range) | ParameterKind::Slider(range) => set_range(&mut wire, *range),
        ParameterKind::Text { multiline } => wire.multiline = *multiline,
        ParameterKind::Select(options) => {
            let option = |option: &nodewire_core::SelectOption| wire::SelectOption {
                value: option.value.clone(),
                label: option.label.clone(),
            };
            wire.options = options.iter().map(option).collect();
        }
        ParameterKind::Boolean | ParameterKind::Color | ParameterKind::FilePicker => {}
    }
    wire
}

fn set_range(wire: &mut wire::Parameter, range: NumberRange) {
    wire.min = range.min;
    wire.max = range.max;
    wire.step = range.step;
    wire.precision = range.precision;
}
