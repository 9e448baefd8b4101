//! Whether a default keeps its parameter's own rules.

use syn::Type;

use super::Kind;
use super::select::Choice;
use crate::literal::{Literal, LiteralKind, Number};
use crate::options::Errors;
use crate::ty;

/// Complains about a literal that no execution could have.
pub(super) fn check(kind: &Kind, ty: &Type, default: &Literal, errors: &mut Errors) {
    if default.is_expr() {
        return;
    }
    let problem = if default.is_null() {
        (!ty::is_option(ty)).then(|| "only an `Option<…>` can be null by default".to_owned())
    } else {
        default_problem(kind, ty, default)
    };
    if let Some(problem) = problem {
        errors.push(default.span, problem);
    }
}

fn default_problem(kind: &Kind, ty: &Type, default: &Literal) -> Option<String> {
    let wrong = |what| {
        Some(format!(
            "the default of a {} parameter is {what}, not {}",
            kind.name(),
            default.display()
        ))
    };
    match (kind, &default.kind) {
        (Kind::Number(range) | Kind::Slider(range), LiteralKind::Number(number)) => range
            .problem(*number)
            .or_else(|| integer_problem(ty, *number)),
        (Kind::Number(_) | Kind::Slider(_), _) => wrong("a number"),
        (Kind::Boolean, LiteralKind::Bool(_))
        | (Kind::Text { .. } | Kind::FilePicker, LiteralKind::Text(_)) => None,
        (Kind::Boolean, _) => wrong("`true` or `false`"),
        (Kind::Text { .. }, _) => wrong("a text"),
        (Kind::FilePicker, _) => wrong("a file name"),
        (Kind::Color, LiteralKind::Text(text)) if is_color(text) => None,
        (Kind::Color, _) => wrong("a colour such as \"#ff8800\" or \"rgba(255, 136, 0, 0.5)\""),
        (Kind::Select(choices), _) => select_problem(choices, default),
    }
}

fn integer_problem(ty: &Type, number: Number) -> Option<String> {
    let integer = ty::is_integer(ty);
    match number {
        Number::Float(value) if integer && value.fract() != 0.0 => Some(format!(
            "the default {value} is no whole number, but the type takes only these"
        )),
        Number::Integer(value) if value < 0 && ty::is_unsigned(ty) => Some(format!(
            "the default {value} is negative, which the type cannot be"
        )),
        Number::Integer(_) | Number::Float(_) => None,
    }
}

fn select_problem(choices: &[Choice], default: &Literal) -> Option<String> {
    if choices.is_empty() || choices.iter().any(|choice| choice.value.same_as(default)) {
        return None;
    }
    let allowed: Vec<_> = choices
        .iter()
        .map(|choice| choice.value.display())
        .collect();
    Some(format!(
        "the default {} is not one of the options {}",
        default.display(),
        allowed.join(", ")
    ))
}

/// `#rgb`, `#rrggbb`, `#rrggbbaa`, `rgb(…)`, `rgba(…)`
fn is_color(text: &str) -> bool {
    let function = |name| {
        text.strip_prefix(name)
            .is_some_and(|rest: &str| rest.starts_with('(') && rest.ends_with(')'))
    };
    text.strip_prefix('#').map_or_else(
        || function("rgb") || function("rgba"),
        |digits| {
            matches!(digits.len(), 3 | 6 | 8)
                && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_recognised() {
        for color in [
            "#f80",
            "#ff8800",
            "#ff880080",
            "rgb(1, 2, 3)",
            "rgba(1,2,3,0.5)",
        ] {
            assert!(is_color(color), "{color}");
        }
        for other in ["", "#", "#ff", "#ggg", "red", "rgb", "rgb(1", "ff8800"] {
            assert!(!is_color(other), "{other}");
        }
    }
}
