//! The annotated function: which of its arguments is what, and what it returns.

use proc_macro2::Span;
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, FnArg, Ident, ItemFn, LitStr, Meta, Pat, PatType, ReturnType, Type, parse_quote,
};

use crate::options::{Errors, Options};
use crate::parameter::Parameter;
use crate::port::{self, Port, Side};
use crate::{text, ty};

/// One argument of the function.
pub(crate) struct Argument {
    pub(crate) role: Role,
    /// What is decoded; the function takes it, or a reference to it.
    pub(crate) owned: Type,
    pub(crate) by_reference: bool,
}

pub(crate) enum Role {
    Input(Port),
    Parameter(Parameter),
    Context,
}

/// Takes the arguments of the function, and our attributes away from them.
pub(crate) fn arguments(function: &mut ItemFn, errors: &mut Errors) -> Vec<Argument> {
    check_function(function, errors);
    let mut arguments = Vec::new();
    for argument in &mut function.sig.inputs {
        match argument {
            FnArg::Typed(typed) => arguments.extend(Argument::take(typed, errors)),
            FnArg::Receiver(receiver) => errors.push(
                receiver.span(),
                "a node is a free function; it has no `self`",
            ),
        }
    }
    check_arguments(&arguments, errors);
    arguments
}

/// What the function returns, `()` if it says nothing.
pub(crate) fn returned(function: &ItemFn, errors: &mut Errors) -> Type {
    let ReturnType::Type(_, ty) = &function.sig.output else {
        return parse_quote!(());
    };
    if let Type::ImplTrait(_) = **ty {
        errors.push(
            ty.span(),
            "name the type that the node returns; its ports are read from it",
        );
    }
    (**ty).clone()
}

impl Argument {
    fn take(argument: &mut PatType, errors: &mut Errors) -> Option<Self> {
        let input = errors.ok(Options::take_from(&mut argument.attrs, "input"))?;
        let parameter = errors.ok(Options::take_from(&mut argument.attrs, "param"))?;
        let description = take_description(&mut argument.attrs);
        for attribute in argument
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("cfg"))
        {
            errors.push(
                attribute.span(),
                "an argument of a node cannot depend on `cfg`",
            );
        }
        check_lifetime(&argument.ty, errors);
        let (owned, by_reference) = ty::owned(&argument.ty);
        let role = match (input, parameter) {
            (Some(_), Some(_)) => {
                errors.push(
                    argument.span(),
                    "an argument is an `#[input]` or a `#[param]`, not both",
                );
                return None;
            }
            (None, None) if ty::is_named(&owned, "Context") => Role::Context,
            (None, Some(options)) => {
                let name = name_of(&argument.pat, errors)?;
                Role::Parameter(Parameter::new(name, &owned, description, options, errors))
            }
            (input, None) => {
                let name = name_of(&argument.pat, errors)?;
                Role::Input(Port::new(
                    Side::Input,
                    name,
                    &owned,
                    description,
                    input.unwrap_or_default(),
                    errors,
                ))
            }
        };
        Some(Self {
            role,
            owned,
            by_reference,
        })
    }
}

/// A doc comment is welcome on an argument of a node, but not on one of a function.
fn take_description(attributes: &mut Vec<Attribute>) -> String {
    let description = text::description(attributes);
    attributes.retain(|attribute| !attribute.path().is_ident("doc"));
    description
}

fn name_of(pattern: &Pat, errors: &mut Errors) -> Option<LitStr> {
    if let Pat::Ident(name) = pattern {
        return Some(literal_name(&name.ident));
    }
    errors.push(
        pattern.span(),
        "an argument of a node needs a name; it names the port or parameter",
    );
    None
}

/// An identifier as a port's name, at the same place.
pub(crate) fn literal_name(name: &Ident) -> LitStr {
    LitStr::new(&name.unraw().to_string(), name.span())
}

fn check_lifetime(ty: &Type, errors: &mut Errors) {
    let Type::Reference(reference) = ty else {
        return;
    };
    if let Some(lifetime) = &reference.lifetime {
        errors.push(
            lifetime.span(),
            "a reference lives as long as the call; leave the lifetime out",
        );
    }
    if let Some(mutability) = &reference.mutability {
        errors.push(
            mutability.span(),
            "take the value itself, as in `mut text: String`",
        );
    }
}

fn check_function(function: &ItemFn, errors: &mut Errors) {
    let signature = &function.sig;
    let mut refuse = |token: Option<&dyn ToTokens>, message: &str| {
        if let Some(token) = token {
            errors.push(token.span(), message);
        }
    };
    let generic = !signature.generics.params.is_empty();
    refuse(
        generic.then_some(&signature.generics as _),
        "a node has one definition, so its function cannot be generic",
    );
    refuse(
        signature.constness.as_ref().map(|token| token as _),
        "a node cannot be a `const fn`",
    );
    refuse(
        signature.unsafety.as_ref().map(|token| token as _),
        "a node cannot be an `unsafe fn`",
    );
    refuse(
        signature.abi.as_ref().map(|token| token as _),
        "a node cannot be an `extern fn`",
    );
    refuse(
        signature.variadic.as_ref().map(|token| token as _),
        "a node takes no `...`",
    );
}

fn check_arguments(arguments: &[Argument], errors: &mut Errors) {
    let inputs = arguments
        .iter()
        .filter_map(|argument| match &argument.role {
            Role::Input(port) => Some(&port.name),
            Role::Parameter(_) | Role::Context => None,
        });
    port::check_names("inputs", inputs, errors);
    let parameters = arguments
        .iter()
        .filter_map(|argument| match &argument.role {
            Role::Parameter(parameter) => Some(&parameter.name),
            Role::Input(_) | Role::Context => None,
        });
    port::check_names("parameters", parameters, errors);
    let mut contexts = arguments
        .iter()
        .filter(|argument| matches!(argument.role, Role::Context));
    contexts.next();
    for again in contexts {
        errors.push(again.owned.span(), "a node has one context");
    }
}

/// Sorts the attributes of the function.
pub(crate) fn split_attributes(attributes: Vec<Attribute>) -> Attributes {
    let mut split = Attributes::default();
    for attribute in attributes {
        let list = match &attribute.meta {
            meta if meta.path().is_ident("doc") => &mut split.docs,
            Meta::List(list) if list.path.is_ident("cfg") => &mut split.cfgs,
            Meta::Path(_) | Meta::List(_) | Meta::NameValue(_) => &mut split.others,
        };
        list.push(attribute);
    }
    split
}

/// The function's attributes, by where they belong in the expansion.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) docs: Vec<Attribute>,
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) others: Vec<Attribute>,
}

/// A name that no author's name can meet.
pub(crate) fn hidden(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
