#![allow(unused, reason = "only what the macros say matters here")]

use nodewire::node;

#[node]
fn defaults(
    #[param(min = 1, max = 10, default = 11)] above: u32,
    #[param(slider, min = 0.5, max = 1, default = 0.25)] below: f64,
    #[param(default = "3")] text_for_number: u32,
    #[param(default = 2.5)] fraction: u32,
    #[param(default = -1)] negative: u32,
    #[param(default = 1)] number_for_text: String,
    #[param(default = "yes")] text_for_boolean: bool,
    #[param(select("a" = "A", "b"), default = "c")] not_an_option: String,
    #[param(color, default = "red-ish")] no_color: String,
    #[param(default = null)] null: String,
) {
}

#[node]
fn rules(
    #[param(slider)] unbounded: f64,
    #[param(min = 3, max = 2)] reversed: f64,
    #[param(step = 0, precision = 99)] steps: f64,
    #[param(min = "1")] not_a_number: f64,
    #[param(min = 1)] range_of_text: String,
    #[param(multiline)] lines_of_number: f64,
    #[param(select())] no_options: String,
    #[param(select("a", "a"))] same_options: String,
    #[param(color, slider, min = 0, max = 1)] two_kinds: String,
    #[param(maximum = 3, label = 4)] unknown: f64,
    #[param] what: std::time::Duration,
) {
}

fn main() {}
