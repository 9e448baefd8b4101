//! Input and output ports.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{LitStr, Type};

use crate::literal::{Literal, LiteralKind};
use crate::options::{Errors, Options};
use crate::ty::{self, PortType};

/// A port and the type its values have in Rust.
pub(crate) struct Port {
    pub(crate) name: LitStr,
    pub(crate) ty: PortType,
    kind: LitStr,
    optional: bool,
    description: String,
    size_hint: Option<TokenStream>,
    default: Option<Literal>,
}

/// Which side of the node a port is on; outputs have fewer options.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Input,
    Output,
}

impl Port {
    /// The port of a value of this type; `name` unless the options give another.
    pub(crate) fn new(
        side: Side,
        name: LitStr,
        ty: &Type,
        description: String,
        mut options: Options,
        errors: &mut Errors,
    ) -> Self {
        let name = checked_name(options.string("name", errors), name, errors);
        let kind = options.string("type", errors);
        let port_type = PortType::of(ty);
        check_type(side, ty, &port_type, kind.as_ref(), errors);
        let inferred = || LitStr::new(ty::kind_of(&port_type.element), ty.span());
        let mut port = Self {
            kind: kind.unwrap_or_else(inferred),
            optional: port_type.optional,
            description: options
                .string("description", errors)
                .map_or(description, |text| text.value()),
            size_hint: options
                .string("size_hint", errors)
                .and_then(|hint| size_hint(&hint, errors)),
            default: None,
            name,
            ty: port_type,
        };
        if side == Side::Input {
            port.take_input_options(&mut options, errors);
        }
        options.finish(errors);
        port
    }

    fn take_input_options(&mut self, options: &mut Options, errors: &mut Errors) {
        let optional = options.flag("optional", errors);
        let default = options.expr("default", errors);
        self.default = default.and_then(|default| errors.ok(Literal::from_expr(default)));
        if let Some(default) = &self.default {
            check_default(&self.kind.value(), default, errors);
        }
        if let Some(span) = optional {
            self.make_optional(span, errors);
        }
    }

    fn make_optional(&mut self, span: Span, errors: &mut Errors) {
        let nothing_fits = self.ty.optional || self.default.is_some();
        if !nothing_fits {
            errors.push(span, "what is optional needs an `Option<…>` or a `default`");
        }
        self.optional = true;
    }

    /// An expression that makes the core `Port`.
    pub(crate) fn define(&self, core: &TokenStream) -> TokenStream {
        let Self {
            name,
            kind,
            description,
            ..
        } = self;
        let optional = self.optional.then(|| quote!(.optional()));
        let description = (!description.is_empty()).then(|| quote!(.description(#description)));
        let size_hint = self
            .size_hint
            .as_ref()
            .map(|hint| quote!(.size_hint(#core::SizeHint::#hint)));
        let default = self.default.as_ref().map(|default| default.to_json(core));
        let default = default.map(|default| quote!(.default_value(#default)));
        quote!(#core::Port::new(#name, #kind) #optional #description #size_hint #default)
    }

    /// An expression that reads the input from `arguments`, and fails with `?`.
    pub(crate) fn read(&self, core: &TokenStream, arguments: &syn::Ident) -> TokenStream {
        let (name, element) = (&self.name, &self.ty.element);
        let method = syn::Ident::new(self.ty.method(), Span::mixed_site());
        match self.ty.shape {
            ty::Shape::Whole if self.ty.optional => quote!(#arguments.#method(#name)),
            ty::Shape::Whole => quote!(#arguments.#method(#name)?),
            ty::Shape::One | ty::Shape::List => {
                let decode =
                    quote_spanned!(element.span()=> <#core::typed::Codec<#element>>::decode);
                quote!(#arguments.#method(#name, #decode)?)
            }
        }
    }

    /// A statement that writes `value` into `outputs`, and fails with `?`.
    pub(crate) fn write(
        &self,
        core: &TokenStream,
        outputs: &syn::Ident,
        value: &TokenStream,
    ) -> TokenStream {
        let (name, element) = (&self.name, &self.ty.element);
        let method = syn::Ident::new(self.ty.method(), Span::mixed_site());
        match self.ty.shape {
            ty::Shape::Whole => quote!(#outputs.#method(#name, #value);),
            ty::Shape::One | ty::Shape::List => {
                let encode =
                    quote_spanned!(element.span()=> <#core::typed::Codec<#element>>::encode);
                quote!(#outputs.#method(#name, #value, #encode)?;)
            }
        }
    }
}

/// The given name, or the default; never empty.
pub(crate) fn checked_name(given: Option<LitStr>, default: LitStr, errors: &mut Errors) -> LitStr {
    let name = given.unwrap_or(default);
    if name.value().is_empty() {
        errors.push(name.span(), "a name must not be empty");
    }
    name
}

/// Complains about names that occur twice.
pub(crate) fn check_names<'a>(
    what: &str,
    names: impl IntoIterator<Item = &'a LitStr>,
    errors: &mut Errors,
) {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if !seen.insert(name.value()) {
            errors.push(
                name.span(),
                format!("two {what} are named `{}`", name.value()),
            );
        }
    }
}

fn check_type(
    side: Side,
    ty: &Type,
    port_type: &PortType,
    kind: Option<&LitStr>,
    errors: &mut Errors,
) {
    if kind.is_none() && port_type.is_byte_list() {
        let message = "`Vec<u8>` would be a list of numbers; use `Bytes` for binary data, or say `type = \"number\"`";
        errors.push(ty.span(), message);
    }
    if let Some(kind) = kind.filter(|kind| kind.value().is_empty()) {
        errors.push(
            kind.span(),
            "a port type must not be empty; `any` takes everything",
        );
    }
    if let Some(reference) = ty::inner_reference(ty) {
        let message = match side {
            Side::Input => {
                "inputs are decoded into owned types; a reference can only be outermost, as in `&str`"
            }
            Side::Output => "outputs outlive the function; return owned values",
        };
        errors.push(reference.span(), message);
    }
}

fn check_default(kind: &str, default: &Literal, errors: &mut Errors) {
    let fits = match (&default.kind, kind) {
        (LiteralKind::List(elements), _) => {
            elements
                .iter()
                .for_each(|element| check_default(kind, element, errors));
            true
        }
        (LiteralKind::Expr(_) | LiteralKind::Null, _) => true,
        (LiteralKind::Text(_), "number" | "boolean" | "bytes") => false,
        (LiteralKind::Number(_), "string" | "boolean" | "bytes") => false,
        (LiteralKind::Bool(_), "string" | "number" | "bytes") => false,
        _ => true,
    };
    if !fits {
        errors.push(
            default.span,
            format!(
                "{} is no default for an input of type {kind}",
                default.display()
            ),
        );
    }
}

fn size_hint(hint: &LitStr, errors: &mut Errors) -> Option<TokenStream> {
    match hint.value().as_str() {
        "small" => Some(quote!(Small)),
        "medium" => Some(quote!(Medium)),
        "large" => Some(quote!(Large)),
        "xlarge" => Some(quote!(ExtraLarge)),
        _ => {
            errors.push(
                hint.span(),
                "a size hint is \"small\", \"medium\", \"large\" or \"xlarge\"",
            );
            None
        }
    }
}
