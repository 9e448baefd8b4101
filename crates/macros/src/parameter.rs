//! Parameters, with their rules checked against their default as far as both are literals.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Expr, LitStr, Result, Token, Type};

use crate::literal::{self, Literal, LiteralKind, Number};
use crate::options::{Errors, Options};
use crate::port;
use crate::ty;

/// A parameter and its type in Rust.
pub(crate) struct Parameter {
    pub(crate) name: LitStr,
    ty: Type,
    kind: Kind,
    default: Option<Literal>,
    label: Option<LitStr>,
    description: String,
}

enum Kind {
    Number(Range),
    Slider(Range),
    Text { multiline: bool },
    Boolean,
    Select(Vec<Choice>),
    Color,
    FilePicker,
}

#[derive(Default)]
struct Range {
    min: Option<Number>,
    max: Option<Number>,
    step: Option<Number>,
    precision: Option<u32>,
}

/// `"value" = "Label"` or `"value"`
struct Choice {
    value: Literal,
    label: Option<LitStr>,
}

impl Parameter {
    pub(crate) fn new(
        name: LitStr,
        ty: &Type,
        description: String,
        mut options: Options,
        errors: &mut Errors,
    ) -> Self {
        let name = port::checked_name(options.string("name", errors), name, errors);
        let kind = Kind::take(ty, &mut options, errors);
        let default = options
            .expr("default", errors)
            .and_then(|default| errors.ok(Literal::from_expr(default)));
        let label = options.string("label", errors);
        let description = options
            .string("description", errors)
            .map_or(description, |text| text.value());
        options.finish(errors);
        if let Some(reference) = ty::inner_reference(ty) {
            errors.push(
                reference.span(),
                "parameters are decoded into owned types; a reference can only be outermost",
            );
        }
        if let Some(default) = &default {
            check_default(&kind, ty, default, errors);
        }
        Self {
            name,
            ty: ty.clone(),
            kind,
            default,
            label,
            description,
        }
    }

    /// An expression that makes the core `Parameter`.
    pub(crate) fn define(&self, core: &TokenStream) -> TokenStream {
        let Self {
            name, description, ..
        } = self;
        let kind = self.kind.define(core);
        let null = || quote!(#core::typed::default_value(&()));
        let default = self
            .default
            .as_ref()
            .map_or_else(null, |default| default.to_json(core));
        let label = self.label.as_ref().map(|label| quote!(.label(#label)));
        let description = (!description.is_empty()).then(|| quote!(.description(#description)));
        quote!(#core::Parameter::new(#name, #core::ParameterKind::#kind, #default) #label #description)
    }

    /// An expression that reads the parameter from `arguments`, and fails with `?`.
    pub(crate) fn read(&self, core: &TokenStream, arguments: &syn::Ident) -> TokenStream {
        let Self { name, ty, .. } = self;
        let decode = quote_spanned!(ty.span()=> <#core::typed::Codec<#ty>>::decode);
        quote!(#arguments.parameter(#name, #decode)?)
    }
}

impl Kind {
    /// The kind that the options name, or that the type suggests.
    fn take(ty: &Type, options: &mut Options, errors: &mut Errors) -> Self {
        let mut named = Vec::new();
        for key in ["number", "slider", "text", "boolean", "color", "filepicker"] {
            named.extend(options.flag(key, errors).map(|span| (key, span)));
        }
        let select = options.list("select", errors);
        named.extend(select.as_ref().map(|(span, _)| ("select", *span)));
        let multiline = options.flag("multiline", errors);
        let range = Range::take(ty, options, errors);
        if let Some((_, span)) = named.get(1) {
            errors.push(*span, format!("the parameter is a {} already", named[0].0));
        }
        let name = named
            .first()
            .map_or_else(|| infer(ty, multiline, errors), |(name, _)| *name);
        let kind = match (name, select) {
            ("slider", _) => Self::Slider(range.value),
            ("boolean", _) => Self::Boolean,
            ("color", _) => Self::Color,
            ("filepicker", _) => Self::FilePicker,
            ("select", Some((span, choices))) => Self::Select(parse_choices(span, choices, errors)),
            ("text", _) => Self::Text {
                multiline: multiline.is_some(),
            },
            _ => Self::Number(range.value),
        };
        kind.check_options(
            named.first().map(|(_, span)| *span),
            multiline,
            range.first_key,
            errors,
        );
        kind
    }

    fn check_options(
        &self,
        named: Option<Span>,
        multiline: Option<Span>,
        range: Option<Span>,
        errors: &mut Errors,
    ) {
        if let (Self::Slider(Range { min, max, .. }), Some(span)) = (self, named)
            && (min.is_none() || max.is_none())
        {
            errors.push(span, "a slider needs `min` and `max`");
        }
        if let (false, Some(span)) = (matches!(self, Self::Text { .. }), multiline) {
            errors.push(
                span,
                format!(
                    "a {} parameter has no lines; `multiline` is for texts",
                    self.name()
                ),
            );
        }
        if let (false, Some(span)) = (matches!(self, Self::Number(_) | Self::Slider(_)), range) {
            let name = self.name();
            errors.push(span, format!("a {name} parameter has no range; `min`, `max`, `step` and `precision` are for numbers"));
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Number(_) => "number",
            Self::Slider(_) => "slider",
            Self::Text { .. } => "text",
            Self::Boolean => "boolean",
            Self::Select(_) => "select",
            Self::Color => "color",
            Self::FilePicker => "filepicker",
        }
    }

    fn define(&self, core: &TokenStream) -> TokenStream {
        match self {
            Self::Number(range) => {
                let range = range.define(core);
                quote!(Number(#range))
            }
            Self::Slider(range) => {
                let range = range.define(core);
                quote!(Slider(#range))
            }
            Self::Text { multiline } => quote!(Text { multiline: #multiline }),
            Self::Boolean => quote!(Boolean),
            Self::Select(choices) => {
                let choices = choices.iter().map(|choice| choice.define(core));
                quote!(Select(::std::vec![#(#choices),*]))
            }
            Self::Color => quote!(Color),
            Self::FilePicker => quote!(FilePicker),
        }
    }
}

fn infer(ty: &Type, multiline: Option<Span>, errors: &mut Errors) -> &'static str {
    match ty::kind_of(ty) {
        "number" => "number",
        "boolean" => "boolean",
        "string" => "text",
        _ if multiline.is_some() => "text",
        _ => {
            let kinds =
                "`select(…)`, `text`, `number`, `slider`, `boolean`, `color` or `filepicker`";
            errors.push(
                ty.span(),
                format!("what kind of parameter is this? Add one of {kinds}"),
            );
            "text"
        }
    }
}

/// A range, and where its first option stands.
struct TakenRange {
    value: Range,
    first_key: Option<Span>,
}

impl Range {
    fn take(ty: &Type, options: &mut Options, errors: &mut Errors) -> TakenRange {
        let mut first_key = None;
        let mut take = |key| {
            let expr = options.expr(key, errors)?;
            first_key = first_key.or_else(|| Some(expr.span()));
            errors
                .ok(literal::number(&expr, key))
                .map(|number| (number, expr.span()))
        };
        let [min, max, step, precision] = ["min", "max", "step", "precision"].map(&mut take);
        if let (Some((min, _)), Some((max, span))) = (min, max)
            && min.value() > max.value()
        {
            errors.push(
                span,
                format!("`max` is less than `min`, which is {}", min.display()),
            );
        }
        if let Some((_, span)) = step.filter(|(step, _)| step.value() <= 0.0) {
            errors.push(span, "`step` must be more than 0");
        }
        let precision = precision.and_then(|(number, span)| decimals(number, span, errors));
        let value = |number: Option<(Number, Span)>| number.map(|(number, _)| number);
        // Whole numbers only, so that an editor does not offer what cannot be decoded.
        let precision = precision.or_else(|| ty::is_integer(ty).then_some(0));
        TakenRange {
            value: Self {
                min: value(min),
                max: value(max),
                step: value(step),
                precision,
            },
            first_key,
        }
    }

    fn define(&self, core: &TokenStream) -> TokenStream {
        let some = |number: Option<Number>| match number
            .map(|number| literal::float_token(number.value()))
        {
            Some(number) => quote!(::core::option::Option::Some(#number)),
            None => quote!(::core::option::Option::None),
        };
        let [min, max, step] = [self.min, self.max, self.step].map(some);
        let precision = self.precision.map_or_else(
            || quote!(::core::option::Option::None),
            |decimals| quote!(::core::option::Option::Some(#decimals)),
        );
        quote!(#core::NumberRange { min: #min, max: #max, step: #step, precision: #precision })
    }

    fn problem(&self, number: Number) -> Option<String> {
        let (value, shown) = (number.value(), number.display());
        if let Some(min) = self.min.filter(|min| value < min.value()) {
            return Some(format!(
                "the default {shown} is less than the minimum {}",
                min.display()
            ));
        }
        let max = self.max.filter(|max| value > max.value())?;
        Some(format!(
            "the default {shown} is more than the maximum {}",
            max.display()
        ))
    }
}

fn decimals(number: Number, span: Span, errors: &mut Errors) -> Option<u32> {
    const DECIMALS_MAX: u32 = 17;
    let decimals = match number {
        Number::Integer(value) => u32::try_from(value)
            .ok()
            .filter(|decimals| *decimals <= DECIMALS_MAX),
        Number::Float(_) => None,
    };
    if decimals.is_none() {
        errors.push(
            span,
            format!("`precision` counts decimals, 0 to {DECIMALS_MAX}"),
        );
    }
    decimals
}

impl Parse for Choice {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        // Not a whole expression, or `"a" = "A"` would be an assignment.
        let negative: Option<Token![-]> = input.parse()?;
        let literal: syn::Lit = input.parse()?;
        let value: Expr = syn::parse_quote!(#negative #literal);
        let label = if input.parse::<Option<Token![=]>>()?.is_some() {
            Some(input.parse()?)
        } else {
            None
        };
        Ok(Self {
            value: Literal::from_expr(value)?,
            label,
        })
    }
}

impl Choice {
    fn define(&self, core: &TokenStream) -> TokenStream {
        let value = self.value.to_json(core);
        let label = self
            .label
            .as_ref()
            .map_or_else(|| self.own_label(), LitStr::value);
        quote!(#core::SelectOption { value: #value, label: ::std::string::String::from(#label) })
    }

    fn own_label(&self) -> String {
        if let LiteralKind::Text(text) = &self.value.kind {
            text.clone()
        } else {
            self.value.display()
        }
    }
}

fn parse_choices(span: Span, choices: TokenStream, errors: &mut Errors) -> Vec<Choice> {
    let parsed = Punctuated::<Choice, Token![,]>::parse_terminated.parse2(choices);
    let Some(parsed) = errors.ok(parsed) else {
        return Vec::new();
    };
    let choices: Vec<_> = parsed.into_iter().collect();
    if choices.is_empty() {
        errors.push(
            span,
            "a select needs options: `select(\"a\" = \"Label A\", \"b\")`",
        );
    }
    for (i, choice) in choices.iter().enumerate() {
        if choices[..i]
            .iter()
            .any(|other| other.value.same_as(&choice.value))
        {
            errors.push(
                choice.value.span,
                format!("two options have the value {}", choice.value.display()),
            );
        }
    }
    choices
}

fn check_default(kind: &Kind, ty: &Type, default: &Literal, errors: &mut Errors) {
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
