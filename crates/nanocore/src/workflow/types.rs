//! Which output may be linked to which input. spec: nanograph 17.4

/// Whether a link's two port types fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// They do.
    Yes,
    /// They do, but the author should know this.
    WithWarning(&'static str),
    /// They do not.
    No,
}

/// How strictly links' types are checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TypeCheck {
    /// What does not fit prevents the run.
    #[default]
    Strict,
    /// What does not fit is only a warning.
    Warn,
    /// Types are not looked at.
    Off,
}

const REFERENCE_AS_TEXT: Fit = Fit::WithWarning("the input gets the asset's reference as text");
const ASSET_AS_FILE: Fit =
    Fit::WithWarning("the input takes files in general, the output is a more special asset");

/// Whether a value of type `source` may go to an input of type `target`.
///
/// A type is `base` or `base:subtype`, or several of those separated by `,` or `|`; it fits if some pair does.
///
/// ```
/// use nanocore::workflow::{Fit, port_types_fit};
///
/// assert_eq!(port_types_fit("asset:image", "string | asset"), Fit::Yes);
/// assert_eq!(port_types_fit("asset:image", "asset:mesh"), Fit::No);
/// ```
#[must_use]
pub fn port_types_fit(source: &str, target: &str) -> Fit {
    let mut best = Fit::No;
    for source in members(source) {
        for target in members(target) {
            match pair_fits(source, target) {
                Fit::Yes => return Fit::Yes,
                Fit::WithWarning(reason) => best = Fit::WithWarning(reason),
                Fit::No => {}
            }
        }
    }
    best
}

/// Whether a port of this type may be given references to assets.
pub(crate) fn carries_assets(kind: &str) -> bool {
    members(kind).any(|member| is_any(member) || split(member).0 == "asset")
}

fn members(union: &str) -> impl Iterator<Item = &str> {
    union.split([',', '|']).map(str::trim)
}

fn pair_fits(source: &str, target: &str) -> Fit {
    if source == target || is_any(source) || is_any(target) {
        return Fit::Yes;
    }
    let (source_base, source_subtype) = split(source);
    let (target_base, target_subtype) = split(target);
    if source_base == target_base && (source_subtype.is_none() || target_subtype.is_none()) {
        return Fit::Yes;
    }
    match (source_base, target) {
        ("asset", "asset:file") => ASSET_AS_FILE,
        ("asset", "string") => REFERENCE_AS_TEXT,
        _ => Fit::No,
    }
}

/// A port without a type takes and gives anything.
fn is_any(kind: &str) -> bool {
    matches!(kind, "" | "any" | "*")
}

fn split(kind: &str) -> (&str, Option<&str>) {
    kind.split_once(':')
        .map_or((kind, None), |(base, subtype)| (base, Some(subtype)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_table() {
        for (source, target, fit) in [
            ("string", "string", Fit::Yes),
            ("string", "number", Fit::No),
            ("any", "number", Fit::Yes),
            ("number", "*", Fit::Yes),
            ("", "number", Fit::Yes),
            ("asset:image", "asset", Fit::Yes),
            ("asset", "asset:image", Fit::Yes),
            ("asset:image", "asset:mesh", Fit::No),
            ("asset:image", "asset:file", ASSET_AS_FILE),
            ("model:checkpoint", "model:lora", Fit::No),
            ("asset:image", "string", REFERENCE_AS_TEXT),
            ("asset", "string", REFERENCE_AS_TEXT),
            ("string", "asset", Fit::No),
            ("String", "string", Fit::No),
            ("number|string", "boolean, string", Fit::Yes),
            ("asset:image|number", "string,number", Fit::Yes),
            ("number|boolean", "string|asset", Fit::No),
        ] {
            assert_eq!(port_types_fit(source, target), fit, "{source} to {target}");
        }
    }
}
