//! The options of `#[node(…)]`, and the expression that makes the definition.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Type, parse_quote};

use crate::literal::Number;
use crate::options::{Errors, Options};
use crate::port::{self, Port, Side};
use crate::signature::{Argument, Role};
use crate::{text, ty};

/// What `#[node(…)]` says.
pub(crate) struct NodeOptions {
    uid: Expr,
    name: Expr,
    category: Option<Expr>,
    version: Option<Expr>,
    description: Option<Expr>,
    concurrency: Option<Expr>,
    queue: Option<Expr>,
    pub(crate) blocking: Option<(Span, bool)>,
    pub(crate) outputs: Outputs,
}

/// Where the output ports come from.
pub(crate) enum Outputs {
    /// From the returned type.
    Type,
    /// The returned value is the one output.
    Single(Box<Port>),
    /// The function returns `Outputs`; these are only announced.
    Announced(Vec<Port>),
}

impl NodeOptions {
    /// Longest uid in bytes, as in core.
    const UID_LENGTH_MAX: usize = 256;

    pub(crate) fn parse(
        function: &Ident,
        description: &str,
        returned: &Type,
        mut options: Options,
        errors: &mut Errors,
    ) -> Self {
        let (uid, name) = names(function, &mut options, errors);
        let description_given = options.expr("description", errors);
        let node = Self {
            uid,
            name,
            category: options.expr("category", errors),
            version: options.expr("version", errors),
            description: description_given
                .or_else(|| (!description.is_empty()).then(|| parse_quote!(#description))),
            concurrency: options.expr("concurrency", errors),
            queue: options.expr("queue", errors),
            blocking: options.switch("blocking", errors),
            outputs: Outputs::parse(returned, options.named("output", errors), errors),
        };
        options.finish(errors);
        node.check(errors);
        node
    }

    fn check(&self, errors: &mut Errors) {
        let uid = literal_text(&self.uid)
            .filter(|uid| uid.is_empty() || uid.len() > Self::UID_LENGTH_MAX);
        if uid.is_some() {
            errors.push(
                self.uid.span(),
                format!("a uid has 1 to {} bytes", Self::UID_LENGTH_MAX),
            );
        }
        for (key, limit, min) in [
            ("concurrency", &self.concurrency, 1),
            ("queue", &self.queue, 0),
        ] {
            let Some(limit) = limit else { continue };
            let fits = match errors.ok(Number::from_expr(limit)).flatten() {
                Some(Number::Integer(value)) => value >= min,
                Some(Number::Float(_)) => false,
                None => literal_text(limit).is_none(),
            };
            if !fits {
                errors.push(
                    limit.span(),
                    format!("`{key}` is a number of executions, at least {min}"),
                );
            }
        }
    }

    /// An expression that makes the core `NodeDefinition`.
    pub(crate) fn define(
        &self,
        core: &TokenStream,
        arguments: &[Argument],
        returned: &Type,
    ) -> TokenStream {
        let Self { uid, name, .. } = self;
        let settings = [
            ("category", &self.category),
            ("version", &self.version),
            ("description", &self.description),
            ("concurrency", &self.concurrency),
            ("queue", &self.queue),
        ];
        let settings = settings.into_iter().filter_map(|(key, value)| {
            let (key, value) = (Ident::new(key, Span::call_site()), value.as_ref()?);
            Some(quote!(.#key(#value)))
        });
        let arguments = arguments.iter().map(|argument| argument.role.define(core));
        let builder = quote! {
            #core::NodeDefinition::builder(#uid).name(#name) #(#settings)* #(#arguments)*
        };
        let builder = self.outputs.define(core, &builder, returned);
        quote!(#core::typed::definition(#builder))
    }
}

impl Role {
    fn define(&self, core: &TokenStream) -> Option<TokenStream> {
        match self {
            Self::Input(port) => {
                let port = port.define(core);
                Some(quote!(.input(#port)))
            }
            Self::Parameter(parameter) => {
                let parameter = parameter.define(core);
                Some(quote!(.parameter(#parameter)))
            }
            Self::Context => None,
        }
    }
}

impl Outputs {
    fn parse(returned: &Type, named: Vec<(LitStr, Options)>, errors: &mut Errors) -> Self {
        let success = ty::success(returned);
        let any: Type = parse_quote!(PortValue);
        let announced = ty::is_named(success, "Outputs");
        let ty = if announced { &any } else { success };
        let port =
            |(name, options)| Port::new(Side::Output, name, ty, String::new(), options, errors);
        let mut ports: Vec<_> = named.into_iter().map(port).collect();
        port::check_names("outputs", ports.iter().map(|port| &port.name), errors);
        if announced {
            return Self::Announced(ports);
        }
        for port in ports.drain(1.min(ports.len())..) {
            let message = "several outputs need a struct with `#[derive(Outputs)]`, or a function that returns `Outputs`";
            errors.push(port.name.span(), message);
        }
        ports
            .pop()
            .map_or(Self::Type, |port| Self::Single(Box::new(port)))
    }

    fn define(&self, core: &TokenStream, builder: &TokenStream, returned: &Type) -> TokenStream {
        match self {
            Self::Type => {
                let ports = quote_spanned!(returned.span()=> <#returned as #core::typed::IntoOutputs>::ports);
                quote! {
                    ::std::iter::Iterator::fold(
                        ::std::iter::IntoIterator::into_iter(#ports()),
                        #builder,
                        #core::NodeDefinitionBuilder::output,
                    )
                }
            }
            Self::Single(port) => {
                let port = port.define(core);
                quote!(#builder.output(#port))
            }
            Self::Announced(ports) => {
                let ports = ports.iter().map(|port| port.define(core));
                quote!(#builder #(.output(#ports))*)
            }
        }
    }
}

fn names(function: &Ident, options: &mut Options, errors: &mut Errors) -> (Expr, Expr) {
    let function = crate::signature::literal_name(function);
    let default = |name: String| -> Expr {
        let name = LitStr::new(&name, function.span());
        parse_quote!(#name)
    };
    let uid = options
        .expr("uid", errors)
        .unwrap_or_else(|| default(text::kebab_case(&function.value())));
    let name = options
        .expr("name", errors)
        .unwrap_or_else(|| default(text::title_case(&function.value())));
    (uid, name)
}

fn literal_text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}
