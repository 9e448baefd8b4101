//! `metadata(team = "a", "some.key" = value)`

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitStr, Result, Token};

use crate::check;
use crate::options::{Errors, Options};

/// Pairs of metadata, in the order in which they were written.
#[derive(Default)]
pub(crate) struct Metadata(Vec<(LitStr, Expr)>);

impl Metadata {
    pub(crate) fn take(options: &mut Options, errors: &mut Errors) -> Self {
        let Some(tokens) = options.list("metadata", errors) else {
            return Self::default();
        };
        let parser =
            |input: ParseStream<'_>| Punctuated::<_, Token![,]>::parse_terminated_with(input, pair);
        let pairs: Vec<_> = errors
            .ok(parser.parse2(tokens))
            .into_iter()
            .flatten()
            .collect();
        for (i, (key, _)) in pairs.iter().enumerate() {
            check::metadata_key(&key.value(), key.span(), errors);
            if pairs[..i]
                .iter()
                .any(|(earlier, _)| earlier.value() == key.value())
            {
                let message = format!("metadata {:?} is given twice", key.value());
                errors.push(key.span(), message);
            }
        }
        Self(pairs)
    }

    /// As calls on what has `metadata(key, value)`.
    pub(crate) fn calls(&self) -> TokenStream {
        let calls = self
            .0
            .iter()
            .map(|(key, value)| quote!(.metadata(#key, #value)));
        quote!(#(#calls)*)
    }
}

fn pair(input: ParseStream<'_>) -> Result<(LitStr, Expr)> {
    let key = if input.peek(LitStr) {
        input.parse()?
    } else {
        let key = input.call(Ident::parse_any)?;
        LitStr::new(&key.unraw().to_string(), key.span())
    };
    // What ends too early has no place of its own.
    let equals = input.parse::<Option<Token![=]>>()?;
    if equals.is_none() || input.is_empty() {
        let message = format!("write `{} = …`", key.value());
        return Err(Error::new(key.span(), message));
    }
    Ok((key, input.parse()?))
}
