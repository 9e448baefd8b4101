//! What `#[node]` expands to.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Ident, ItemFn, Result, Type};

use crate::definition::{NodeOptions, Outputs};
use crate::options::{Errors, Options};
use crate::signature::{self, Argument, Attributes, Role, hidden};
use crate::{text, ty};

/// The node; or what is wrong, with the function as it is, so that its body is looked at too.
pub(crate) fn expand(options: TokenStream, mut function: ItemFn) -> TokenStream {
    try_expand(options, &mut function).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #[allow(dead_code, reason = "not a node yet")] #function)
    })
}

fn try_expand(options: TokenStream, function: &mut ItemFn) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let options = errors.ok(Options::parse(options)).unwrap_or_default();
    let arguments = signature::arguments(function, &mut errors);
    let returned = signature::returned(function, &mut errors);
    let description = text::description(&function.attrs);
    let options = NodeOptions::parse(
        &function.sig.ident,
        &description,
        &returned,
        options,
        &mut errors,
    );
    let runs = Runs::of(function, &options, &mut errors);
    errors.finish(())?;
    Ok(Expansion {
        function: function.clone(),
        arguments,
        returned,
        options,
        runs,
    }
    .tokens())
}

/// `nodewire-core`, as generated code names it.
pub(crate) fn core() -> TokenStream {
    quote!(::nodewire::__private::core)
}

/// Where the function runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runs {
    Async,
    OnBlockingPool,
    InPlace,
}

impl Runs {
    fn of(function: &ItemFn, options: &NodeOptions, errors: &mut Errors) -> Self {
        match (function.sig.asyncness, options.blocking) {
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

struct Expansion {
    function: ItemFn,
    arguments: Vec<Argument>,
    returned: Type,
    options: NodeOptions,
    runs: Runs,
}

impl Expansion {
    fn tokens(mut self) -> TokenStream {
        let core = core();
        let attributes = signature::split_attributes(std::mem::take(&mut self.function.attrs));
        let Attributes { docs, cfgs, .. } = &attributes;
        let (visibility, name) = (&self.function.vis, &self.function.sig.ident);
        let call = self.call(&attributes);
        let run = self.run(&core);
        let execute = self.execute(&core);
        let definition = self.options.define(&core, &self.arguments, &self.returned);
        let about = format!(
            "The node that [`{name}()`]({name}()) makes; [`Self::call`] is the function itself."
        );
        quote! {
            #(#docs)*
            #(#cfgs)*
            #[must_use]
            #visibility const fn #name() -> #name {
                #name {}
            }

            #[doc = #about]
            #(#cfgs)*
            #[allow(non_camel_case_types, reason = "named as the function it was made from")]
            #[derive(Debug, Clone, Copy)]
            #visibility struct #name {}

            #(#cfgs)*
            impl #name {
                #call
                #run
            }

            #(#cfgs)*
            impl #core::Node for #name {
                fn definition(&self) -> &#core::NodeDefinition {
                    static DEFINITION: ::std::sync::LazyLock<#core::NodeDefinition> =
                        ::std::sync::LazyLock::new(|| #definition);
                    &DEFINITION
                }

                async fn execute(
                    &self,
                    context: #core::Context,
                ) -> ::core::result::Result<#core::Outputs, #core::NodeError> {
                    #execute
                }
            }
        }
    }

    /// The author's function, as `call`.
    fn call(&self, attributes: &Attributes) -> TokenStream {
        let others = &attributes.others;
        let ItemFn {
            vis, sig, block, ..
        } = &self.function;
        let signature = syn::Signature {
            ident: Ident::new("call", sig.ident.span()),
            ..sig.clone()
        };
        quote! {
            /// The function itself, to call it without an executor.
            #(#others)*
            #[allow(
                clippy::too_many_arguments,
                clippy::unused_async,
                reason = "a node takes what it takes, and is async to not run on the blocking pool",
            )]
            #vis #signature #block
        }
    }

    /// `call` between an execution's inputs and outputs.
    fn run(&self, core: &TokenStream) -> TokenStream {
        let [definition, context, arguments] = ["definition", "context", "arguments"].map(hidden);
        let locals: Vec<_> = (0..self.arguments.len())
            .map(|i| hidden(&format!("argument_{i}")))
            .collect();
        let reads = self.arguments.iter().zip(&locals).map(|(argument, local)| {
            let value = argument.role.read(core, &arguments, &context);
            let ty = &argument.owned;
            quote_spanned!(ty.span()=> let #local: #ty = #value;)
        });
        let passed = self.arguments.iter().zip(&locals).map(|(argument, local)| {
            if argument.by_reference {
                quote!(&#local)
            } else {
                quote!(#local)
            }
        });
        let asyncness = &self.function.sig.asyncness;
        let awaited = asyncness.map(|_| quote!(.await));
        let finish = self.finish(core, &quote!(Self::call(#(#passed),*) #awaited));
        quote! {
            #[allow(unused_imports, unused_variables, clippy::unused_async, reason = "not every node needs all of it")]
            #asyncness fn __run(
                #definition: &#core::NodeDefinition,
                #context: #core::Context,
            ) -> ::core::result::Result<#core::Outputs, #core::NodeError> {
                use #core::typed::{DecodeJson as _, EncodeJson as _};
                let #arguments = #core::typed::Arguments::new(#definition, #context.inputs(), #context.parameters());
                #(#reads)*
                #finish
            }
        }
    }

    /// Outputs from what the function returned.
    fn finish(&self, core: &TokenStream, call: &TokenStream) -> TokenStream {
        let Outputs::Single(port) = &self.options.outputs else {
            let returned = &self.returned;
            let span = returned.span();
            let into_outputs =
                quote_spanned!(span=> <#returned as #core::typed::IntoOutputs>::into_outputs);
            return quote!(#into_outputs(#call));
        };
        let failing = ty::is_named(&self.returned, "Result").then(|| quote!(?));
        let [outputs, value] = ["outputs", "value"].map(hidden);
        let write = port.write(core, &outputs, &quote!(#value));
        quote! {
            let #value = #call #failing;
            let mut #outputs = #core::typed::OutputsWriter::new();
            #write
            ::core::result::Result::Ok(#outputs.finish())
        }
    }

    fn execute(&self, core: &TokenStream) -> TokenStream {
        let definition = quote!(#core::Node::definition(self));
        match self.runs {
            Runs::Async => quote!(Self::__run(#definition, context).await),
            Runs::InPlace => quote!(Self::__run(#definition, context)),
            Runs::OnBlockingPool => quote! {
                let node = *self;
                let handler = move |context| Self::__run(#core::Node::definition(&node), context);
                #core::run_blocking(context, ::std::sync::Arc::new(handler)).await
            },
        }
    }
}

impl Role {
    fn read(&self, core: &TokenStream, arguments: &Ident, context: &Ident) -> TokenStream {
        match self {
            Self::Input(port) => port.read(core, arguments),
            Self::Parameter(parameter) => parameter.read(core, arguments),
            Self::Context => quote!(::core::clone::Clone::clone(&#context)),
        }
    }
}
