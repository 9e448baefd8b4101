#![allow(unused, reason = "only what the macros say matters here")]

use nodewire::{NodeError, Outputs, node};

#[derive(Outputs)]
struct Tuple(String);

#[derive(Outputs)]
enum Choice {
    A,
}

#[derive(Outputs)]
struct Generic<T> {
    value: T,
}

#[derive(Outputs)]
struct Fields {
    a: String,
    #[output(name = "a")]
    b: String,
    #[output(optional, default = 5)]
    c: u32,
    d: Vec<u8>,
    #[output = "e"]
    e: u32,
}

#[node(output = "a", output = "b")]
async fn several() -> Result<String, NodeError> {
    Ok(String::new())
}

#[node(output(type = "asset:image"))]
async fn nameless() -> Result<String, NodeError> {
    Ok(String::new())
}

#[node]
async fn unnamed_type() -> impl std::fmt::Debug {}

#[node(output = "text")]
async fn borrowed(text: String) -> Result<&'static str, NodeError> {
    drop(text);
    Ok("")
}

fn main() {}
