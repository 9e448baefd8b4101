//! Parameters, with their rules checked against their default as far as both are literals.

mod default;
mod range;
mod select;

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{LitStr, Type};

use self::range::Range;
use self::select::Choice;
use crate::literal::Literal;
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
            default::check(&kind, ty, default, errors);
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
        let range_span = range.span();
        if let Some((_, span)) = named.get(1) {
            errors.push(*span, format!("the parameter is a {} already", named[0].0));
        }
        let name = named
            .first()
            .map_or_else(|| infer(ty, multiline, errors), |(name, _)| *name);
        let kind = match (name, select) {
            ("slider", _) => Self::Slider(range),
            ("boolean", _) => Self::Boolean,
            ("color", _) => Self::Color,
            ("filepicker", _) => Self::FilePicker,
            ("select", Some((span, choices))) => Self::Select(select::parse(span, choices, errors)),
            ("text", _) => Self::Text {
                multiline: multiline.is_some(),
            },
            _ => Self::Number(range),
        };
        kind.check_options(
            named.first().map(|(_, span)| *span),
            multiline,
            range_span,
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
