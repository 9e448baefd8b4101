//! Parameter values against their definitions. spec: nanograph 17.4

use nanograph::message::{Parameter, SelectOption};
use nodewire_json::{Json, Kind};

use super::{Checked, NodeFacts};
use crate::workflow::graph::GraphNode;
use crate::workflow::problem::{Problem, ProblemCode};

/// How far off a step a number may be, as a part of the step.
const STEP_TOLERANCE: f64 = 1e-9;

/// A finding about one value; where it is, the caller knows.
type Finding = (ProblemCode, String);

impl Checked<'_> {
    pub(super) fn check_params(&mut self) {
        let found: Vec<Problem> = self
            .running()
            .flat_map(|(_, node, facts)| node_params(node, facts))
            .collect();
        self.problems.extend(found);
    }
}

fn node_params(node: &GraphNode, facts: &NodeFacts) -> Vec<Problem> {
    if facts.from_graph {
        return Vec::new();
    }
    let mut found = Vec::new();
    for given in &node.params {
        let defined = facts
            .definition
            .parameters
            .iter()
            .find(|parameter| parameter.name == given.name);
        let findings = match defined {
            Some(parameter) => check(parameter, &given.value),
            None => vec![(
                ProblemCode::UnknownParam,
                "the node does not know it".to_owned(),
            )],
        };
        found.extend(findings.into_iter().map(|(code, what)| {
            let message = format!("parameter \"{}\" of {}: {what}", given.name, node.title());
            Problem::new(code, message).node(node.id).param(&given.name)
        }));
    }
    found
}

fn check(parameter: &Parameter, value: &Json) -> Vec<Finding> {
    if value.is_null() && parameter.default.is_null() {
        return Vec::new();
    }
    match parameter.kind.as_str() {
        "number" | "slider" => check_number(parameter, value),
        "text" => check_kind(value, Kind::String, "a string"),
        "boolean" => check_kind(value, Kind::Bool, "true or false"),
        "select" => check_option(&parameter.options, value),
        "color" => check_color(value),
        "filepicker" if value.is_null() => Vec::new(),
        "filepicker" => check_kind(value, Kind::String, "a string or null"),
        // Kinds of later versions are the node's own business.
        _ => Vec::new(),
    }
}

fn wrong_type(value: &Json, wanted: &str) -> Vec<Finding> {
    vec![(
        ProblemCode::ParamType,
        format!("must be {wanted}, is {}", head(value)),
    )]
}

fn check_kind(value: &Json, kind: Kind, wanted: &str) -> Vec<Finding> {
    if value.kind() == kind {
        Vec::new()
    } else {
        wrong_type(value, wanted)
    }
}

fn check_number(parameter: &Parameter, value: &Json) -> Vec<Finding> {
    // `NaN` and the infinities are numbers on the wire but no settings.
    let Ok(number) = value.decode::<f64>() else {
        return wrong_type(value, "a number");
    };
    let finding = |code, what: String| Some((code, format!("{value} {what}")));
    let below = parameter.min.filter(|min| number < *min);
    let above = parameter.max.filter(|max| number > *max);
    [
        below.and_then(|min| finding(ProblemCode::ParamRange, format!("is less than {min}"))),
        above.and_then(|max| finding(ProblemCode::ParamRange, format!("is more than {max}"))),
        off_step(parameter, number).and_then(|step| {
            finding(
                ProblemCode::ParamStep,
                format!("is between steps of {step}"),
            )
        }),
        too_fine(parameter, number).and_then(|digits| {
            finding(
                ProblemCode::ParamPrecision,
                format!("has more than {digits} decimals"),
            )
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn off_step(parameter: &Parameter, number: f64) -> Option<f64> {
    let step = parameter.step.filter(|step| *step > 0.0)?;
    let steps = (number - parameter.min.unwrap_or(0.0)) / step;
    // Many steps away, the rounding of the division itself is more than the tolerance.
    let tolerance = STEP_TOLERANCE.max(steps.abs() * f64::EPSILON * 4.0);
    ((steps - steps.round()).abs() > tolerance).then_some(step)
}

fn too_fine(parameter: &Parameter, number: f64) -> Option<u32> {
    let digits = parameter.precision?;
    let scaled = number * 10_f64.powi(i32::try_from(digits).ok()?);
    let tolerance = scaled.abs().max(1.0) * 1e-12;
    (scaled.is_finite() && (scaled - scaled.round()).abs() > tolerance).then_some(digits)
}

fn check_option(options: &[SelectOption], value: &Json) -> Vec<Finding> {
    if options.is_empty() || options.iter().any(|option| same(&option.value, value)) {
        return Vec::new();
    }
    let known: Vec<&str> = options.iter().map(|option| option.value.as_str()).collect();
    vec![(
        ProblemCode::ParamOption,
        format!("{} is none of {}", head(value), known.join(", ")),
    )]
}

/// Equal values, whatever their spelling.
fn same(one: &Json, other: &Json) -> bool {
    let decode = |json: &Json| json.decode::<serde_json::Value>().ok();
    one == other || (one.kind() == other.kind() && decode(one) == decode(other))
}

fn check_color(value: &Json) -> Vec<Finding> {
    let Some(text) = value
        .decode::<String>()
        .ok()
        .filter(|_| value.kind() == Kind::String)
    else {
        return wrong_type(value, "a string");
    };
    let is_color = text
        .strip_prefix('#')
        .map_or_else(|| is_rgb_function(&text), is_hex_color);
    if is_color {
        Vec::new()
    } else {
        vec![(
            ProblemCode::ParamColor,
            format!("{} is no colour", head(value)),
        )]
    }
}

fn is_hex_color(digits: &str) -> bool {
    matches!(digits.len(), 3 | 6 | 8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `rgb(r, g, b)` or `rgba(r, g, b, a)`; parts may be percentages, separated by commas or spaces, `/` before alpha.
fn is_rgb_function(text: &str) -> bool {
    let inside = |name: &str| {
        text.strip_prefix(name)?
            .strip_prefix('(')?
            .strip_suffix(')')
    };
    let (counts, parts): (&[usize], _) = match (inside("rgba"), inside("rgb")) {
        (Some(parts), _) => (&[4], parts),
        (None, Some(parts)) => (&[3, 4], parts),
        (None, None) => return false,
    };
    let parts: Vec<&str> = parts
        .split([',', ' ', '/'])
        .filter(|part| !part.is_empty())
        .collect();
    let is_part = |part: &&str| {
        part.strip_suffix('%')
            .unwrap_or(part)
            .parse::<f64>()
            .is_ok_and(f64::is_finite)
    };
    counts.contains(&parts.len()) && parts.iter().all(is_part)
}

fn head(value: &Json) -> String {
    const SHOWN: usize = 60;
    let mut text: String = value.as_str().chars().take(SHOWN).collect();
    if text.len() < value.as_str().len() {
        text.push('…');
    }
    text
}
