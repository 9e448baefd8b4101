#![allow(unused, reason = "only what the macros say matters here")]

use nodewire::{Context, node};

#[node]
async fn ports(
    a: String,
    #[input(name = "a")] b: String,
    #[input(name = "")] c: String,
    #[input(type = "")] d: String,
    bytes: Vec<u8>,
    inner: Option<&str>,
    #[input(optional)] optional: String,
    #[input(default = "three")] default: u32,
    #[input(default = [1, "two"])] defaults: Vec<u32>,
    #[input(size_hint = "huge")] huge: String,
    #[input] #[param] both: String,
    (x, y): (f64, f64),
    lifetime: &'static str,
    mutable: &mut String,
    context: Context,
    another: &Context,
) {
}

#[node]
async fn generic<T>(value: T) {}

#[node]
const unsafe extern "C" fn qualified() {}

struct Counter;

impl Counter {
    #[node]
    async fn method(&self) {}
}

fn main() {}
