//! What `#[derive(Outputs)]` expands to.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Error, Field, Fields, Ident, Result};

use crate::node::core;
use crate::options::{Errors, Options};
use crate::port::{self, Port, Side};
use crate::signature::{hidden, literal_name};
use crate::text;

pub(crate) fn expand(item: &DeriveInput) -> Result<TokenStream> {
    let mut errors = Errors::default();
    if !item.generics.params.is_empty() {
        errors.push(
            item.generics.span(),
            "`Outputs` says which ports there are, so its struct cannot be generic",
        );
    }
    let ports: Vec<_> = fields(item)?
        .filter_map(|(name, field)| Some((name, port(name, field, &mut errors)?)))
        .collect();
    port::check_names(
        "outputs",
        ports.iter().map(|(_, port)| &port.name),
        &mut errors,
    );
    errors.finish(())?;
    Ok(tokens(&item.ident, &ports))
}

fn fields(item: &DeriveInput) -> Result<impl Iterator<Item = (&Ident, &Field)>> {
    let fields = match &item.data {
        Data::Struct(data) if !matches!(data.fields, Fields::Unnamed(_)) => &data.fields,
        Data::Struct(_) | Data::Enum(_) | Data::Union(_) => {
            return Err(Error::new(
                item.ident.span(),
                "`Outputs` needs a struct with named fields; each is a port",
            ));
        }
    };
    Ok(fields
        .iter()
        .filter_map(|field| Some((field.ident.as_ref()?, field))))
}

fn port(name: &Ident, field: &Field, errors: &mut Errors) -> Option<Port> {
    let mut attributes = field.attrs.clone();
    let options = errors
        .ok(Options::take_from(&mut attributes, "output"))?
        .unwrap_or_default();
    let description = text::description(&attributes);
    Some(Port::new(
        Side::Output,
        literal_name(name),
        &field.ty,
        description,
        options,
        errors,
    ))
}

fn tokens(item: &Ident, ports: &[(&Ident, Port)]) -> TokenStream {
    let core = core();
    let definitions = ports.iter().map(|(_, port)| port.define(&core));
    let outputs = hidden("outputs");
    let writes = ports
        .iter()
        .map(|(field, port)| port.write(&core, &outputs, &quote!(self.#field)));
    quote! {
        impl #core::typed::IntoOutputs for #item {
            fn ports() -> ::std::vec::Vec<#core::Port> {
                ::std::vec![#(#definitions),*]
            }

            fn into_outputs(self) -> ::core::result::Result<#core::Outputs, #core::NodeError> {
                #[allow(unused_imports, reason = "not every struct needs it")]
                use #core::typed::EncodeJson as _;
                #[allow(unused_mut, reason = "a struct may have no fields")]
                let mut #outputs = #core::typed::OutputsWriter::new();
                #(#writes)*
                ::core::result::Result::Ok(#outputs.finish())
            }
        }
    }
}
