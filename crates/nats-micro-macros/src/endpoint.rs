//! One method with `#[endpoint]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Expr, ImplItemFn, Type, parse_quote};

use crate::metadata::Metadata;
use crate::options::{Errors, Options, literal};
use crate::settings::Settings;
use crate::signature::{Body, Holder, Method, Role, unnamed};
use crate::{check, text};

pub(crate) struct Endpoint {
    function: Ident,
    cfgs: Vec<Attribute>,
    method: Method,
    runs: Runs,
    name: Expr,
    subject: Option<Expr>,
    group: Option<Expr>,
    description: Option<Expr>,
    settings: Settings,
    metadata: Metadata,
    overflow: Option<Expr>,
    /// `spawn` and `streaming`, as methods of the builder.
    flags: Vec<Ident>,
    schema: bool,
}

/// Where the method runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runs {
    Async,
    OnBlockingPool,
    InPlace,
}

impl Endpoint {
    /// The endpoint that a method is, if it has our attribute, which is taken away from it.
    pub(crate) fn take(
        function: &mut ImplItemFn,
        schema: bool,
        errors: &mut Errors,
    ) -> Option<Self> {
        let is_ours = |attribute: &Attribute| attribute.path().is_ident("endpoint");
        let ours = function.attrs.extract_if(.., |one| is_ours(one));
        let mut ours = ours.collect::<Vec<_>>().into_iter();
        let first = ours.next()?;
        for again in ours {
            errors.push_at(again.path(), "a method is one endpoint");
        }
        let mut options = errors.ok(Options::of(&first.meta)).unwrap_or_default();
        let endpoint = Self::parse(function, &mut options, schema, errors);
        options.finish(errors);
        function.attrs.push(parse_quote! {
            #[allow(clippy::unused_async, reason = "an endpoint is async to not run on the blocking pool")]
        });
        Some(endpoint)
    }

    fn parse(
        function: &ImplItemFn,
        options: &mut Options,
        schema: bool,
        errors: &mut Errors,
    ) -> Self {
        let signature = &function.sig;
        let method = Method::of(signature, errors);
        let name = name(options, &signature.ident, errors);
        let (subject, group) = (
            options.text("subject", errors),
            options.text("group", errors),
        );
        let description = description(options, &function.attrs, errors);
        let settings = Settings::take(options, errors);
        let metadata = Metadata::take(options, errors);
        let overflow = options.expr("overflow", errors);
        let runs = Runs::take(function, options, errors);
        let spawn = options.flag("spawn", errors);
        if let Some(span) = spawn
            && runs == Runs::OnBlockingPool
        {
            errors.push(span, "a plain `fn` runs on the blocking pool; `spawn` is for an `async fn` or with `blocking = false`");
        }
        let streaming = options.flag("streaming", errors);
        let flags = [("spawn", spawn), ("streaming", streaming)];
        let flags = flags.map(|(name, span)| span.map(|span| Ident::new(name, span)));
        let own_schema = options.switch("schema", errors);
        let endpoint = Self {
            function: signature.ident.clone(),
            cfgs: cfgs(&function.attrs),
            method,
            runs,
            name,
            subject,
            group,
            description,
            settings,
            metadata,
            overflow,
            flags: flags.into_iter().flatten().collect(),
            schema: own_schema.map_or(schema, |(_, on)| on),
        };
        endpoint.check_schema(errors);
        endpoint
    }

    fn check_schema(&self, errors: &mut Errors) {
        let unnamed = self.method.answer.json().and_then(unnamed);
        if let Some(span) = unnamed.filter(|_| self.schema) {
            errors.push(
                span,
                "name the type, so that its JSON Schema can be made, or write `#[endpoint(schema = false)]`",
            );
        }
    }

    /// A statement that adds the endpoint to `group`. `self` is the value behind the service, in an `Arc`.
    pub(crate) fn add_to(&self, group: &Ident) -> TokenStream {
        let cfgs = &self.cfgs;
        let endpoint = self.endpoint();
        let add = self.group.as_ref().map_or_else(
            || quote!(#group.endpoint(#endpoint)),
            |inner| quote!(#group.group(::nats_micro::Group::new(#inner).endpoint(#endpoint))),
        );
        quote! {
            #(#cfgs)*
            let #group = #add;
        }
    }

    fn endpoint(&self) -> TokenStream {
        let service = hidden("service");
        let name = &self.name;
        let shared = (self.method.holder != Holder::None)
            .then(|| quote!(let #service = ::std::sync::Arc::clone(self);));
        let new = self.constructor();
        let handler = self.handler(&service);
        let subject = self.subject.iter();
        let settings = self.settings.calls();
        let overflow = self.overflow.iter();
        let flags = &self.flags;
        let described = self.described();
        let metadata = self.metadata.calls();
        // At the method's name, where a future that is not `Send` is complained about.
        let endpoint = quote_spanned! {self.function.span()=>
            {
                #shared
                #new(#name, #handler)
            }
        };
        quote! {
            #endpoint
            #(.subject(#subject))*
            #settings
            #(.overflow(#overflow))*
            #(.#flags())*
            #described
            #metadata
        }
    }

    fn constructor(&self) -> TokenStream {
        let span = self.function.span();
        match self.runs {
            Runs::Async | Runs::InPlace => quote_spanned!(span=> ::nats_micro::Endpoint::new),
            Runs::OnBlockingPool => quote_spanned!(span=> ::nats_micro::Endpoint::blocking),
        }
    }

    /// A closure from the request to the response, or to a future of it.
    fn handler(&self, service: &Ident) -> TokenStream {
        let [request, input] = ["request", "input"].map(hidden);
        let read = self.read(&request, &input);
        let answer = self.answer(service, &request, &input);
        let span = self.function.span();
        let body = if self.runs == Runs::OnBlockingPool {
            answer
        } else {
            quote_spanned!(span=> async move { #answer })
        };
        let shared = (self.runs != Runs::OnBlockingPool && self.method.holder != Holder::None)
            .then(|| quote!(let #service = ::std::sync::Arc::clone(&#service);));
        quote_spanned! {span=>
            move |#request: ::nats_micro::Request| {
                #shared
                #read
                #body
            }
        }
    }

    /// Before the future is made, so that a request that nobody asked for is dropped.
    fn read(&self, request: &Ident, input: &Ident) -> Option<TokenStream> {
        self.method
            .arguments
            .iter()
            .find_map(|argument| match &argument.role {
                Role::Request => None,
                Role::Payload => Some(quote! {
                    let #input = ::core::clone::Clone::clone(#request.payload());
                }),
                Role::Json(ty) => {
                    let read = quote_spanned!(ty.span()=> #request.json::<#ty>());
                    Some(quote!(let #input = #read;))
                }
            })
    }

    fn answer(&self, service: &Ident, request: &Ident, input: &Ident) -> TokenStream {
        let answer = self.respond(&self.call(service, request, input));
        if self.method.json_input().is_none() {
            return answer;
        }
        let unreadable = hidden("unreadable");
        quote! {
            match #input {
                ::core::result::Result::Ok(#input) => #answer,
                ::core::result::Result::Err(#unreadable) => {
                    ::nats_micro::IntoResponse::into_response(#unreadable)
                }
            }
        }
    }

    fn call(&self, service: &Ident, request: &Ident, input: &Ident) -> TokenStream {
        let function = &self.function;
        let holder = match self.method.holder {
            Holder::Borrowed => Some(quote!(&#service,)),
            Holder::Shared => Some(quote!(::std::sync::Arc::clone(&#service),)),
            Holder::None => None,
        };
        let arguments = self.method.arguments.iter().map(|argument| {
            let value = match argument.role {
                Role::Request => request,
                Role::Payload | Role::Json(_) => input,
            };
            // At the argument's type, where it is told that it does not fit.
            let mut value = value.clone();
            value.set_span(value.span().located_at(argument.span));
            let reference = argument
                .by_reference
                .then(|| quote_spanned!(argument.span=> &));
            quote!(#reference #value)
        });
        // What is wrong with the answer is told at its type.
        let span = self.method.answer.returned.span();
        let awaited = (self.runs == Runs::Async).then(|| quote_spanned!(span=> .await));
        quote_spanned!(span=> Self::#function(#holder #(#arguments),*) #awaited)
    }

    /// A response from what the method returned.
    fn respond(&self, call: &TokenStream) -> TokenStream {
        let answer = &self.method.answer;
        let span = answer.returned.span();
        let value = match (&answer.body, answer.fails) {
            (Body::WrappedJson(_) | Body::Own, _) => call.clone(),
            (Body::Json(_), true) => {
                quote_spanned!(span=> ::core::result::Result::map(#call, ::nats_micro::Json))
            }
            (Body::Json(_), false) => quote_spanned!(span=> ::nats_micro::Json(#call)),
        };
        quote_spanned!(span=> ::nats_micro::IntoResponse::into_response(#value))
    }

    /// What can be said of the endpoint without being told.
    fn described(&self) -> TokenStream {
        let description = self
            .description
            .iter()
            .map(|text| quote!(.metadata(::nats_micro::schema::DESCRIPTION, #text)));
        let request = self.side(
            self.method.json_input(),
            ["REQUEST_CONTENT_TYPE", "REQUEST_SCHEMA", "request"],
        );
        let response = self.side(
            self.method.answer.json(),
            ["RESPONSE_CONTENT_TYPE", "RESPONSE_SCHEMA", "response"],
        );
        quote!(#(#description)* #request #response)
    }

    fn side(&self, ty: Option<&Type>, names: [&str; 3]) -> Option<TokenStream> {
        let ty = ty?;
        let [content_type, key, make] = names.map(|name| Ident::new(name, ty.span()));
        let schema = self.schema.then(|| {
            let made = quote_spanned!(ty.span()=> ::nats_micro::schema::#make::<#ty>());
            quote!(.metadata(::nats_micro::schema::#key, #made))
        });
        Some(quote! {
            .metadata(::nats_micro::schema::#content_type, ::nats_micro::schema::JSON)
            #schema
        })
    }
}

impl Runs {
    fn take(function: &ImplItemFn, options: &mut Options, errors: &mut Errors) -> Self {
        match (function.sig.asyncness, options.switch("blocking", errors)) {
            (Some(_), Some((span, true))) => {
                errors.push(span, "an `async fn` must not block; write a plain `fn`, which runs on the blocking pool");
                Self::Async
            }
            (Some(_), _) => Self::Async,
            (None, Some((_, false))) => Self::InPlace,
            (None, _) => Self::OnBlockingPool,
        }
    }
}

/// The name that was given, or the method's.
fn name(options: &mut Options, function: &Ident, errors: &mut Errors) -> Expr {
    let Some(name) = options.text("name", errors) else {
        let name = function.unraw().to_string();
        check::name(&name, function.span(), errors);
        return parse_quote!(#name);
    };
    if let Some(literal) = literal(&name) {
        check::name(&literal.value(), literal.span(), errors);
    }
    name
}

/// The description that was given, or the doc comment.
fn description(
    options: &mut Options,
    attributes: &[Attribute],
    errors: &mut Errors,
) -> Option<Expr> {
    let described = options.text("description", errors).or_else(|| {
        let text = text::description(attributes);
        Some(parse_quote!(#text))
    });
    described.filter(|expr| literal(expr).is_none_or(|text| !text.value().is_empty()))
}

pub(crate) fn cfgs(attributes: &[Attribute]) -> Vec<Attribute> {
    let cfgs = attributes.iter().filter(|one| one.path().is_ident("cfg"));
    cfgs.cloned().collect()
}

/// A name that no author's name can meet.
pub(crate) fn hidden(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
