//! What `#[node]` and `#[derive(Outputs)]` make, and how it behaves when executed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread;

use bytes::Bytes;
use nodewire::{
    AssetRef, Context, ExecutionError, ExecutionRequest, Executor, Inputs, Json, Node,
    NodeDefinition, NodeError, NodeErrorKind, NumberRange, Outputs, Parameter, ParameterKind,
    Parameters, Port, PortValue, SelectOption, SizeHint, Value, node,
};
use serde::Deserialize;

fn json(text: &'static str) -> Json {
    Json::parse(text).unwrap()
}

fn list(texts: &[&'static str]) -> PortValue {
    PortValue::List(texts.iter().map(|text| Value::Json(json(text))).collect())
}

async fn run(
    node: impl Node,
    inputs: Inputs,
    parameters: Parameters,
) -> Result<Outputs, NodeError> {
    let uid = node.definition().uid.to_string();
    let executor = Executor::default();
    executor.registry().insert(node).unwrap();
    let request = ExecutionRequest::new(uid)
        .inputs(inputs)
        .parameters(parameters);
    match executor.submit(request).unwrap().outputs().await {
        Ok(outputs) => Ok(outputs),
        Err(ExecutionError::Failed(error)) => Err(NodeError::new(error.kind(), error.message())),
        Err(other) => panic!("{other}"),
    }
}

async fn refused(node: impl Node, inputs: Inputs, parameters: Parameters) -> String {
    let error = run(node, inputs, parameters).await.unwrap_err();
    assert_eq!(error.kind(), NodeErrorKind::InvalidInput, "{error}");
    error.message().to_owned()
}

/// Prefixes each text.
///
/// A second paragraph, written
/// over two lines.
#[node(category = "Text", version = "1.0.0", concurrency = 4, queue = 10)]
async fn make_echo(
    text: Vec<String>,
    /// Looked at, not changed.
    #[input(type = "asset:image", size_hint = "large")]
    image: Option<AssetRef>,
    #[input(default = 2, description = "How often")] times: u8,
    #[input(default = ["a", "b"], name = "type")] r#type: Vec<String>,
    #[param(default = "> ", label = "Prefix", multiline)] prefix: &str,
    context: &Context,
) -> Result<Texts, NodeError> {
    context.message("echoing");
    let sheet = image
        .ok_or("no image")
        .unwrap_or_else(|_| AssetRef::new("none"));
    let texts = text
        .iter()
        .map(|text| format!("{prefix}{}", text.repeat(times.into())));
    Ok(Texts {
        text: texts.chain(r#type).collect(),
        sheet,
        count: None,
    })
}

/// Doc comments of the struct describe nothing.
#[derive(Debug, PartialEq, Outputs)]
struct Texts {
    text: Vec<String>,
    /// All texts.
    #[output(type = "asset:image", size_hint = "xlarge")]
    sheet: AssetRef,
    count: Option<u64>,
}

#[test]
fn the_definition_is_what_the_function_says() {
    let expected = NodeDefinition::builder("make-echo")
        .name("Make Echo")
        .category("Text")
        .version("1.0.0")
        .description("Prefixes each text.\n\nA second paragraph, written over two lines.")
        .concurrency(4)
        .queue(10)
        .input(Port::new("text", "string"))
        .input(
            Port::new("image", "asset:image")
                .optional()
                .description("Looked at, not changed.")
                .size_hint(SizeHint::Large),
        )
        .input(
            Port::new("times", "number")
                .default_value(json("2"))
                .description("How often"),
        )
        .input(Port::new("type", "string").default_value(json(r#"["a", "b"]"#)))
        .output(Port::new("text", "string"))
        .output(
            Port::new("sheet", "asset:image")
                .description("All texts.")
                .size_hint(SizeHint::ExtraLarge),
        )
        .output(Port::new("count", "number").optional())
        .parameter(
            Parameter::new(
                "prefix",
                ParameterKind::Text { multiline: true },
                json("\"> \""),
            )
            .label("Prefix"),
        )
        .build()
        .unwrap();
    assert_eq!(make_echo().definition(), &expected);
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Fast,
    Slow,
}

const LIMIT: u32 = 3;

#[node(output = "seen", blocking = false)]
fn parameters(
    #[param(slider, min = 0, max = 1, step = 0.05, precision = 2, default = 0.5)] strength: f64,
    #[param(default = LIMIT, min = -1, max = 10)] count: u32,
    #[param(default = -1.5)] offset: f32,
    #[param(default = false)] upper: bool,
    #[param(select("fast" = "Quick", "slow"), default = Mode::Slow, name = "how")] mode: Mode,
    #[param(select(1 = "One", -2), default = -2)] number: i64,
    #[param(color, default = "#ff0000")] tint: String,
    #[param(filepicker, description = "Where from")] file: Option<String>,
    #[param] required: String,
) -> String {
    format!("{strength} {count} {offset} {upper} {mode:?} {number} {tint} {file:?} {required}")
}

fn range(min: f64, max: f64) -> NumberRange {
    NumberRange {
        min: Some(min),
        max: Some(max),
        ..NumberRange::default()
    }
}

fn option(value: &'static str, label: &str) -> SelectOption {
    SelectOption {
        value: json(value),
        label: label.to_owned(),
    }
}

#[test]
fn every_kind_of_parameter_is_defined() {
    let slider = NumberRange {
        step: Some(0.05),
        precision: Some(2),
        ..range(0.0, 1.0)
    };
    let count = NumberRange {
        precision: Some(0),
        ..range(-1.0, 10.0)
    };
    let modes = vec![option("\"fast\"", "Quick"), option("\"slow\"", "slow")];
    let numbers = vec![option("1", "One"), option("-2", "-2")];
    let expected = [
        Parameter::new("strength", ParameterKind::Slider(slider), json("0.5")),
        Parameter::new("count", ParameterKind::Number(count), json("3")),
        Parameter::new(
            "offset",
            ParameterKind::Number(NumberRange::default()),
            json("-1.5"),
        ),
        Parameter::new("upper", ParameterKind::Boolean, json("false")),
        Parameter::new("how", ParameterKind::Select(modes), json("\"slow\"")),
        Parameter::new("number", ParameterKind::Select(numbers), json("-2")),
        Parameter::new("tint", ParameterKind::Color, json("\"#ff0000\"")),
        Parameter::new("file", ParameterKind::FilePicker, Json::null()).description("Where from"),
        Parameter::new(
            "required",
            ParameterKind::Text { multiline: false },
            Json::null(),
        ),
    ];
    assert_eq!(parameters().definition().parameters, expected);
}

#[tokio::test]
async fn parameters_are_defaults_until_set() {
    let set = Parameters::new().with("required", "x");
    let outputs = run(parameters(), Inputs::new(), set.clone()).await.unwrap();
    let expected = "0.5 3 -1.5 false Slow -2 #ff0000 None x";
    assert_eq!(outputs, Outputs::new().with("seen", expected));

    let set = set
        .with("count", json("4.0"))
        .with("how", "fast")
        .with("file", "f")
        .with("unknown", "ignored");
    let outputs = run(parameters(), Inputs::new(), set).await.unwrap();
    let expected = "0.5 4 -1.5 false Fast -2 #ff0000 Some(\"f\") x";
    assert_eq!(outputs, Outputs::new().with("seen", expected));
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_told_by_name() {
    let cases = [
        (
            "strength",
            "2",
            "parameter `strength`: 2 is more than the maximum 1",
        ),
        (
            "upper",
            "1",
            "parameter `upper`: expected true or false, got 1",
        ),
        (
            "count",
            "2.5",
            "parameter `count`: expected number, got 2.5: invalid type: floating point `2.5`, expected u32",
        ),
        (
            "how",
            "\"late\"",
            "parameter `how`: \"late\" is not one of \"fast\", \"slow\"",
        ),
        (
            "required",
            "null",
            "parameter `required` has no default; set it",
        ),
    ];
    for (name, value, message) in cases {
        let set = Parameters::new()
            .with("required", "x")
            .with(name, json(value));
        assert_eq!(refused(parameters(), Inputs::new(), set).await, message);
    }
}

#[tokio::test]
async fn inputs_become_arguments_and_fields_outputs() {
    let inputs = Inputs::new()
        .with("text", list(&["\"x\"", "\"y\""]))
        .with("image", AssetRef::new("sha256:1"))
        .with("times", list(&["3", "[]"]));
    let outputs = run(make_echo(), inputs, Parameters::new().with("prefix", "-"))
        .await
        .unwrap();
    let expected = Outputs::new()
        .with("text", list(&["\"-xxx\"", "\"-yyy\"", "\"a\"", "\"b\""]))
        .with("sheet", AssetRef::new("sha256:1"));
    assert_eq!(outputs, expected);
}

#[tokio::test]
async fn inputs_that_do_not_fit_are_told_by_name_and_index() {
    let text = |value: PortValue| Inputs::new().with("text", value);
    let cases = [
        (Inputs::new(), "input `text` is missing"),
        (
            text(list(&["\"a\"", "5"])),
            "input `text`[1]: expected string, got 5",
        ),
        (
            text(Value::Bytes(Bytes::from_static(b"abc")).into()),
            "input `text`[0]: expected string, got 3 bytes of binary data",
        ),
        (
            text(list(&[])).with("times", list(&[])),
            "input `times` has no value",
        ),
        (
            text(list(&[])).with("times", list(&["300"])),
            "input `times`: expected number, got 300: invalid value: integer `300`, expected u8",
        ),
        (
            text(list(&[])).with("image", list(&["{}"])),
            "input `image`: expected asset:image, got {}",
        ),
    ];
    for (inputs, message) in cases {
        assert_eq!(
            refused(make_echo(), inputs, Parameters::new()).await,
            message
        );
    }
}

#[node]
async fn everything(
    json: Json,
    value: Value,
    bytes: Bytes,
    whole: PortValue,
    numbers: Option<Vec<f64>>,
) -> Everything {
    Everything {
        json,
        value: vec![value],
        bytes: Some(bytes),
        whole,
        numbers,
    }
}

#[derive(Outputs)]
struct Everything {
    json: Json,
    value: Vec<Value>,
    bytes: Option<Bytes>,
    whole: PortValue,
    numbers: Option<Vec<f64>>,
}

#[tokio::test]
async fn values_go_through_as_they_are() {
    let inputs = Inputs::new()
        .with("json", json("[NaN, 1.000, 100000000000000000000000]"))
        .with("value", AssetRef::new("a"))
        .with("bytes", Bytes::from_static(&[0, 255]))
        .with("whole", PortValue::Single(Value::from("bare")));
    let expected: Outputs = inputs.clone().into_iter().collect();
    assert_eq!(
        run(everything(), inputs, Parameters::new()).await.unwrap(),
        expected
    );
    let node = everything();
    let kinds: Vec<_> = node
        .definition()
        .outputs
        .iter()
        .map(|port| port.kind.as_str())
        .collect();
    assert_eq!(kinds, ["any", "any", "bytes", "any", "number"]);
}

#[node(output(name = "thread", description = "Where it ran"))]
fn blocking() -> Result<String, std::io::Error> {
    Ok(format!("{:?}", thread::current().id()))
}

#[node(output = "thread", blocking = false)]
fn in_place() -> String {
    format!("{:?}", thread::current().id())
}

#[tokio::test]
async fn plain_functions_run_on_the_blocking_pool_unless_told() {
    let here = Outputs::new().with("thread", format!("{:?}", thread::current().id()).as_str());
    assert_ne!(
        run(blocking(), Inputs::new(), Parameters::new())
            .await
            .unwrap(),
        here
    );
    assert_eq!(
        run(in_place(), Inputs::new(), Parameters::new())
            .await
            .unwrap(),
        here
    );
    assert_eq!(
        blocking().definition().outputs,
        [Port::new("thread", "string").description("Where it ran")]
    );
}

#[node(output = "text", output(name = "image", type = "asset:image"))]
async fn announced(text: PortValue) -> Result<Outputs, NodeError> {
    Ok(Outputs::new().with("text", text).with("surprise", "!"))
}

#[node(output = "found")]
async fn perhaps(found: Option<String>) -> Option<String> {
    found
}

#[node]
async fn fails(#[param(default = "broken")] message: String) -> Result<(), String> {
    Err(message)
}

#[tokio::test]
async fn outputs_take_every_form() {
    let inputs = Inputs::new().with("text", "a");
    let outputs = run(announced(), inputs, Parameters::new()).await.unwrap();
    assert_eq!(
        outputs,
        Outputs::new().with("text", "a").with("surprise", "!")
    );
    assert_eq!(
        announced().definition().outputs,
        [Port::new("text", "any"), Port::new("image", "asset:image")]
    );

    assert!(
        run(perhaps(), Inputs::new(), Parameters::new())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        perhaps().definition().outputs,
        [Port::new("found", "string").optional()]
    );

    let error = run(fails(), Inputs::new(), Parameters::new())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (NodeErrorKind::Internal, "broken")
    );
}

#[tokio::test]
async fn the_function_itself_can_be_called() {
    assert_eq!(
        perhaps::call(Some("x".to_owned())).await,
        Some("x".to_owned())
    );
    assert_eq!(in_place::call(), format!("{:?}", thread::current().id()));
}

mod late {
    const TOO_MUCH: u32 = 11;

    #[nodewire::node]
    pub(super) async fn defect(#[param(max = 10, default = TOO_MUCH)] count: u32) {
        let _ = count;
    }
}

#[test]
#[should_panic(
    expected = "node `defect`, default of parameter `count`: 11 is more than the maximum 10"
)]
fn what_only_shows_at_run_time_shows_at_registration() {
    let _ = Executor::default().registry().insert(late::defect());
}
