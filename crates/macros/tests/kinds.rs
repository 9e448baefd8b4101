//! Everything the macros accept, without a warning.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub)]

use std::collections::BTreeMap;

use bytes::Bytes;
use nodewire::{AssetRef, Context, Json, NodeError, Outputs, PortValue, Value, node};

/// Every sort of input, with modules that shadow what generated code needs.
mod core {}
#[allow(non_camel_case_types, dead_code, reason = "as an author might name it")]
type u8_alias = u8;

/// Takes all.
#[node]
pub async fn inputs(
    text: String,
    borrowed: &str,
    texts: &[String],
    mut many: Vec<f64>,
    maybe: Option<bool>,
    maybe_many: Option<Vec<u32>>,
    bytes: Bytes,
    asset: AssetRef,
    json: Json,
    any: Value,
    value: serde_json::Value,
    whole: PortValue,
    whole_or_none: Option<PortValue>,
    map: BTreeMap<String, f64>,
    pair: (f64, f64),
    #[input(name = "type", default = 5)] r#type: u64,
    #[input(default = ["a", "b"])] list: Vec<String>,
    /// In words.
    #[input(type = "asset:image", optional, size_hint = "large")]
    image: Option<AssetRef>,
    context: &Context,
) {
    many.clear();
    let _ = (
        text,
        borrowed,
        texts,
        many,
        maybe,
        maybe_many,
        bytes,
        asset,
        json,
        any,
        value,
        whole,
        whole_or_none,
    );
    let _ = (map, pair, r#type, list, image, context);
}

/// A mode.
#[derive(Debug, Clone, Copy, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Quick.
    Fast,
    /// Careful.
    Slow,
}

const COUNT: u32 = 3;

#[node(uid = "params", name = "P", category = "A/B", version = env!("CARGO_PKG_VERSION"), concurrency = 2, queue = 0)]
fn parameters(
    #[param(default = "> ", label = "Prefix", multiline)] prefix: &str,
    #[param(slider, min = 0, max = 1, step = 0.05, precision = 2, default = 0.5)] strength: f64,
    #[param(default = COUNT, min = -1, max = 10)] count: u32,
    #[param(default = false)] upper: bool,
    #[param(select("fast" = "Fast", "slow"), default = Mode::Fast)] mode: Mode,
    #[param(select(1 = "One", -2 = "Minus two"), default = -2)] number: i64,
    #[param(color, default = "#ff0000")] tint: String,
    #[param(filepicker)] file: Option<String>,
    #[param(text, default = null, description = "Text")] path: Option<std::path::PathBuf>,
    #[param] required: String,
    _context: Context,
) {
    let _ = (
        prefix, strength, count, upper, mode, number, tint, file, path, required,
    );
}

/// All sorts of outputs.
#[derive(Debug, Outputs)]
pub struct Everything {
    /// One.
    pub text: String,
    /// Many.
    pub texts: Vec<String>,
    /// Perhaps.
    pub maybe: Option<u64>,
    /// Perhaps many.
    pub maybe_many: Option<Vec<u64>>,
    /// An image.
    #[output(type = "asset:image", name = "sheet", size_hint = "large")]
    pub asset: AssetRef,
    /// Bytes.
    pub bytes: Bytes,
    /// As it came.
    pub whole: PortValue,
    /// Anything.
    pub json: Json,
}

#[derive(Outputs)]
struct Nothing;

#[node]
async fn everything(value: PortValue) -> Result<Everything, NodeError> {
    Err(NodeError::invalid_input(format!("{value:?}")))
}

#[node]
async fn nothing() -> Nothing {
    Nothing
}

type Fallible<T> = Result<T, NodeError>;

#[node]
async fn aliased() -> Fallible<Nothing> {
    Ok(Nothing)
}

#[node(output = "sum", blocking = false)]
fn add(a: f64, b: f64) -> f64 {
    a + b
}

#[node(
    output(name = "file", type = "asset:text", description = "What was found"),
    blocking
)]
fn find(path: String) -> std::io::Result<Option<AssetRef>> {
    std::fs::read_to_string(path).map(|text| Some(AssetRef::new(text)))
}

#[node(output = "text", output(name = "image", type = "asset:image"))]
async fn pass(text: PortValue) -> Result<Outputs, NodeError> {
    Ok(Outputs::new().with("text", text))
}

#[cfg(any())]
#[node]
async fn left_out() -> Missing {}

#[node]
#[cfg(any())]
async fn left_out_too() {}

#[node]
#[allow(clippy::needless_pass_by_value, reason = "attributes stay")]
async fn in_function(text: String) -> Result<(), String> {
    if text.is_empty() {
        Err("empty".to_owned())
    } else {
        Ok(())
    }
}

#[test]
fn what_the_macros_accept_compiles_and_runs() {
    let executor = nodewire::Executor::default();
    executor.registry().insert(parameters()).unwrap();
    let nodes: Vec<Box<dyn nodewire::DynNode>> = vec![
        Box::new(inputs()),
        Box::new(everything()),
        Box::new(nothing()),
        Box::new(aliased()),
        Box::new(add()),
        Box::new(find()),
        Box::new(pass()),
        Box::new(in_function()),
    ];
    for node in nodes {
        assert!(!node.definition().uid.is_empty());
    }
    assert_eq!(add::call(1.0, 2.0), 3.0);
}
