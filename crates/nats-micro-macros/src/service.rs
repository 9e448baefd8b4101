//! What `#[service]` expands to.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Expr, ImplItem, ItemImpl, Result, Type, parse_quote};

use crate::endpoint::{Endpoint, cfgs, hidden};
use crate::metadata::Metadata;
use crate::options::{Errors, Options, literal};
use crate::settings::Settings;
use crate::{check, text};

/// The block and what serves it; or what is wrong, with the block as it is, so that its methods are looked at too.
pub(crate) fn expand(options: TokenStream, mut block: ItemImpl) -> TokenStream {
    let served = try_expand(options, &mut block).unwrap_or_else(syn::Error::into_compile_error);
    quote!(#block #served)
}

fn try_expand(options: TokenStream, block: &mut ItemImpl) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let mut options = errors.ok(Options::parse(options)).unwrap_or_default();
    let service = Service::take(&mut options, block, &mut errors);
    options.finish(&mut errors);
    let endpoints = endpoints(block, service.schema, &mut errors);
    check_block(block, &endpoints, &mut errors);
    errors.finish(())?;
    Ok(service.tokens(block, &endpoints))
}

struct Service {
    name: Expr,
    version: Expr,
    description: Expr,
    group: Option<Expr>,
    settings: Settings,
    metadata: Metadata,
    /// Whether endpoints that do not say otherwise show their schemas.
    schema: bool,
}

impl Service {
    fn take(options: &mut Options, block: &ItemImpl, errors: &mut Errors) -> Self {
        let name = options.text("name", errors);
        let version = options.text("version", errors);
        if let Some(version) = &version {
            check::version(version, errors);
        }
        let description = options.text("description", errors);
        Self {
            name: name_or_default(name, &block.self_ty, errors),
            version: version.unwrap_or_else(|| parse_quote!(::core::env!("CARGO_PKG_VERSION"))),
            description: description.unwrap_or_else(|| {
                let text = text::description(&block.attrs);
                parse_quote!(#text)
            }),
            group: options.text("group", errors),
            settings: Settings::take(options, errors),
            metadata: Metadata::take(options, errors),
            schema: options.switch("schema", errors).is_none_or(|(_, on)| on),
        }
    }

    fn tokens(&self, block: &ItemImpl, endpoints: &[Endpoint]) -> TokenStream {
        let Self {
            name,
            version,
            description,
            ..
        } = self;
        let cfgs = cfgs(&block.attrs);
        let (generics, _, where_clause) = block.generics.split_for_impl();
        let ty = &block.self_ty;
        let prefix = self
            .group
            .as_ref()
            .map_or_else(|| quote!(""), |it| quote!(#it));
        let settings = self.settings.calls();
        let metadata = self.metadata.calls();
        let group = hidden("group");
        let added = endpoints.iter().map(|endpoint| endpoint.add_to(&group));
        quote! {
            #(#cfgs)*
            #[allow(dead_code, unreachable_pub, reason = "of several ways to serve it most programs use one")]
            impl #generics #ty #where_clause {
                /// The service whose endpoints are methods of this value: to be started, or described further.
                #[must_use]
                pub fn into_service(self) -> ::nats_micro::ServiceBuilder {
                    Self::to_service(&::std::sync::Arc::new(self))
                }

                /// As `into_service`, of a value that is used elsewhere too.
                #[must_use]
                pub fn to_service(self: &::std::sync::Arc<Self>) -> ::nats_micro::ServiceBuilder {
                    ::nats_micro::Service::builder(#name, #version)
                        .description(#description)
                        #metadata
                        #settings
                        .group(Self::__with_endpoints(self, ::nats_micro::Group::new(#prefix)))
                }

                /// The endpoints without the service, to be part of another.
                #[must_use]
                pub fn to_group(self: &::std::sync::Arc<Self>) -> ::nats_micro::Group {
                    Self::__with_endpoints(self, ::nats_micro::Group::new(#prefix) #settings)
                }

                #[allow(unused_variables, reason = "not every endpoint looks at its request")]
                fn __with_endpoints(
                    self: &::std::sync::Arc<Self>,
                    #group: ::nats_micro::Group,
                ) -> ::nats_micro::Group {
                    #(#added)*
                    #group
                }
            }
        }
    }
}

/// The name that was given, or the type's in kebab case.
fn name_or_default(name: Option<Expr>, ty: &Type, errors: &mut Errors) -> Expr {
    let Some(name) = name else {
        let Some(ident) = type_name(ty) else {
            errors.push(
                ty.span(),
                "write `#[service(name = \"…\")]`; this type has no name to take",
            );
            return parse_quote!("");
        };
        let name = text::kebab_case(&ident.unraw().to_string());
        check::name(&name, ident.span(), errors);
        return parse_quote!(#name);
    };
    if let Some(literal) = literal(&name) {
        check::name(&literal.value(), literal.span(), errors);
    }
    name
}

fn type_name(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        _ => None,
    }
}

/// In source order, their attributes taken away.
fn endpoints(block: &mut ItemImpl, schema: bool, errors: &mut Errors) -> Vec<Endpoint> {
    let functions = block.items.iter_mut().filter_map(|item| match item {
        ImplItem::Fn(function) => Some(function),
        _ => None,
    });
    functions
        .filter_map(|function| Endpoint::take(function, schema, errors))
        .collect()
}

fn check_block(block: &ItemImpl, endpoints: &[Endpoint], errors: &mut Errors) {
    if let Some((_, path, _)) = &block.trait_ {
        errors.push(
            path.span(),
            "`#[service]` goes on the type's own `impl` block, not on that of a trait",
        );
    } else if endpoints.is_empty() {
        errors.push(
            block.self_ty.span(),
            "a service needs endpoints: write `#[endpoint]` at a method",
        );
    }
}
