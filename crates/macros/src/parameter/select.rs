//! The options of a select.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::{Expr, LitStr, Result, Token};

use crate::literal::{Literal, LiteralKind};
use crate::options::Errors;

/// `"value" = "Label"` or `"value"`
pub(super) struct Choice {
    pub(super) value: Literal,
    label: Option<LitStr>,
}

impl Parse for Choice {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        // Not a whole expression, or `"a" = "A"` would be an assignment.
        let negative: Option<Token![-]> = input.parse()?;
        let literal: syn::Lit = input.parse()?;
        let value: Expr = syn::parse_quote!(#negative #literal);
        let label = if input.parse::<Option<Token![=]>>()?.is_some() {
            Some(input.parse()?)
        } else {
            None
        };
        Ok(Self {
            value: Literal::from_expr(value)?,
            label,
        })
    }
}

impl Choice {
    pub(super) fn define(&self, core: &TokenStream) -> TokenStream {
        let value = self.value.to_json(core);
        let label = self
            .label
            .as_ref()
            .map_or_else(|| self.own_label(), LitStr::value);
        quote!(#core::SelectOption { value: #value, label: ::std::string::String::from(#label) })
    }

    fn own_label(&self) -> String {
        if let LiteralKind::Text(text) = &self.value.kind {
            text.clone()
        } else {
            self.value.display()
        }
    }
}

/// What stands in `select(…)`.
pub(super) fn parse(span: Span, choices: TokenStream, errors: &mut Errors) -> Vec<Choice> {
    let parsed = Punctuated::<Choice, Token![,]>::parse_terminated.parse2(choices);
    let Some(parsed) = errors.ok(parsed) else {
        return Vec::new();
    };
    let choices: Vec<_> = parsed.into_iter().collect();
    if choices.is_empty() {
        errors.push(
            span,
            "a select needs options: `select(\"a\" = \"Label A\", \"b\")`",
        );
    }
    for (i, choice) in choices.iter().enumerate() {
        if choices[..i]
            .iter()
            .any(|other| other.value.same_as(&choice.value))
        {
            errors.push(
                choice.value.span,
                format!("two options have the value {}", choice.value.display()),
            );
        }
    }
    choices
}
