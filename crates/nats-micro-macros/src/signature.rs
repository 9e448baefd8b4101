//! A method as an endpoint: what it takes, what it gives, where it runs.

use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned as _;
use syn::{
    FnArg, GenericArgument, PathArguments, Receiver, ReturnType, Signature, Type, TypePath,
    parse_quote,
};

use crate::options::Errors;

/// How the method is called.
pub(crate) struct Method {
    pub(crate) holder: Holder,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) answer: Answer,
}

/// How the method gets at the value behind the service.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// `&self`, `self: &Arc<Self>`
    Borrowed,
    /// `self: Arc<Self>`
    Shared,
    /// No `self`.
    None,
}

pub(crate) struct Argument {
    pub(crate) role: Role,
    /// Where its type stands.
    pub(crate) span: Span,
    pub(crate) by_reference: bool,
}

pub(crate) enum Role {
    /// The whole request.
    Request,
    /// Its body as it is.
    Payload,
    /// Its body, read from JSON as this type.
    Json(Box<Type>),
}

/// What the method returns, or what its `Result` holds.
pub(crate) struct Answer {
    pub(crate) returned: Type,
    /// Whether it is a `Result`.
    pub(crate) fails: bool,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    /// A value of this type that travels as JSON.
    Json(Box<Type>),
    /// The same, already in a `Json`.
    WrappedJson(Box<Type>),
    /// Whatever the type itself says.
    Own,
}

impl Method {
    pub(crate) fn of(signature: &Signature, errors: &mut Errors) -> Self {
        check(signature, errors);
        let mut holder = Holder::None;
        let mut arguments = Vec::new();
        for input in &signature.inputs {
            match input {
                FnArg::Receiver(receiver) => holder = Holder::of(receiver, errors),
                FnArg::Typed(typed) => arguments.push(Argument::of(&typed.ty, errors)),
            }
        }
        check_arguments(signature, &arguments, errors);
        let answer = Answer::of(signature, &arguments);
        Self {
            holder,
            arguments,
            answer,
        }
    }

    /// What the body is read as.
    pub(crate) fn json_input(&self) -> Option<&Type> {
        let mut arguments = self.arguments.iter();
        arguments.find_map(|argument| match &argument.role {
            Role::Json(ty) => Some(&**ty),
            Role::Request | Role::Payload => None,
        })
    }
}

impl Holder {
    fn of(receiver: &Receiver, errors: &mut Errors) -> Self {
        match &*receiver.ty {
            Type::Reference(reference) if reference.mutability.is_none() => Self::Borrowed,
            ty if is_named(ty, "Arc") => Self::Shared,
            _ => {
                errors.push_at(
                    receiver,
                    "requests run at the same time and share the service: take `&self` or `self: Arc<Self>`",
                );
                Self::Borrowed
            }
        }
    }
}

impl Argument {
    fn of(ty: &Type, errors: &mut Errors) -> Self {
        check_reference(ty, errors);
        let (owned, by_reference) = owned(ty);
        let role = if is_named(&owned, "Request") {
            Role::Request
        } else if is_named(&owned, "Bytes") {
            Role::Payload
        } else {
            Role::Json(Box::new(owned))
        };
        Self {
            role,
            span: ty.span(),
            by_reference,
        }
    }
}

impl Answer {
    fn of(signature: &Signature, arguments: &[Argument]) -> Self {
        let returned = match &signature.output {
            ReturnType::Default => parse_quote!(()),
            ReturnType::Type(_, ty) => (**ty).clone(),
        };
        let value = argument_of(&returned, "Result");
        let fails = value.is_some();
        let value = value.unwrap_or(&returned);
        let body = Body::of(value, arguments);
        Self {
            body,
            fails,
            returned,
        }
    }

    /// The type whose JSON is the reply.
    pub(crate) fn json(&self) -> Option<&Type> {
        match &self.body {
            Body::Json(ty) | Body::WrappedJson(ty) => Some(ty),
            Body::Own => None,
        }
    }
}

impl Body {
    fn of(value: &Type, arguments: &[Argument]) -> Self {
        let has = |wanted: fn(&Role) -> bool| arguments.iter().any(|one| wanted(&one.role));
        let has_request = has(|role| matches!(role, Role::Request));
        let has_json = has(|role| matches!(role, Role::Json(_)));
        let has_payload = has(|role| matches!(role, Role::Payload));
        if let Some(inner) = argument_of(value, "Json") {
            return Self::WrappedJson(Box::new(inner.clone()));
        }
        // What has the request may have answered through it.
        let answered = has_request && is_unit(value);
        let raw = (has_request || has_payload) && !has_json && !is_unit(value);
        if answered || raw || is_own(value) {
            return Self::Own;
        }
        Self::Json(Box::new(value.clone()))
    }
}

/// Types of ours that say themselves how they are sent.
fn is_own(ty: &Type) -> bool {
    let own = ["Reply", "Response", "Bytes", "ServiceError"];
    own.iter().any(|name| is_named(ty, name))
}

fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}

fn check(signature: &Signature, errors: &mut Errors) {
    let mut refuse = |token: Option<&dyn ToTokens>, message: &str| {
        if let Some(token) = token {
            errors.push_at(token, message);
        }
    };
    let generic = !signature.generics.params.is_empty();
    refuse(
        generic.then_some(&signature.generics as _),
        "an endpoint has one kind of request and reply, so its method cannot be generic",
    );
    refuse(
        signature.constness.as_ref().map(|token| token as _),
        "an endpoint cannot be a `const fn`",
    );
    refuse(
        signature.unsafety.as_ref().map(|token| token as _),
        "an endpoint cannot be an `unsafe fn`",
    );
    refuse(
        signature.abi.as_ref().map(|token| token as _),
        "an endpoint cannot be an `extern fn`",
    );
    refuse(
        signature.variadic.as_ref().map(|token| token as _),
        "an endpoint takes no `...`",
    );
}

fn check_reference(ty: &Type, errors: &mut Errors) {
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

fn check_arguments(signature: &Signature, arguments: &[Argument], errors: &mut Errors) {
    let typed = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(&typed.ty),
        FnArg::Receiver(_) => None,
    });
    let (mut requests, mut bodies) = (0, 0);
    for (ty, argument) in typed.zip(arguments) {
        let (count, message) = match argument.role {
            Role::Request => (&mut requests, "there is one request"),
            Role::Payload | Role::Json(_) => (
                &mut bodies,
                "a request has one body; put the values in a struct with `Deserialize`, or take a tuple",
            ),
        };
        *count += 1;
        if *count > 1 {
            errors.push_at(ty, message);
        }
    }
}

/// The type that is read where a method takes `ty`, and whether it takes a reference to it.
fn owned(ty: &Type) -> (Type, bool) {
    let Type::Reference(reference) = ty else {
        return (ty.clone(), false);
    };
    let owned = match &*reference.elem {
        Type::Slice(slice) => {
            let element = &slice.elem;
            parse_quote!(::std::vec::Vec<#element>)
        }
        target if is_named(target, "str") => parse_quote!(::std::string::String),
        target => target.clone(),
    };
    (owned, true)
}

/// Whether the type's last segment is this.
fn is_named(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|segment| segment.ident == name)
}

/// `T` of `name<T, …>`
fn argument_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let segment = last_segment(ty).filter(|segment| segment.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(TypePath { qself: None, path }) => path.segments.last(),
        Type::Paren(inner) => last_segment(&inner.elem),
        Type::Group(inner) => last_segment(&inner.elem),
        _ => None,
    }
}

/// Where an `impl Trait` begins, which has no name to make a schema of.
pub(crate) fn unnamed(ty: &Type) -> Option<Span> {
    match ty {
        Type::ImplTrait(unnamed) => Some(unnamed.impl_token.span),
        _ => None,
    }
}
