//! JSON for programs.

use serde::Serialize;

use crate::failure::Failure;
use crate::terminal;

/// As the reference writes it: indented by two, an empty array as `[]`.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        Failure::failed(format!("the result cannot be written as JSON: {error}"))
    })?;
    terminal::json(text);
    Ok(())
}
