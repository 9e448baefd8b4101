//! What stands in an attribute's parentheses: flags, `key = value`, `key(…)`; and errors, collected.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitStr, Meta, Result, Token};

/// The options of one attribute that nobody has taken yet.
#[derive(Default)]
pub(crate) struct Options {
    items: Vec<Item>,
    known: Vec<&'static str>,
}

struct Item {
    key: Ident,
    value: Setting,
}

enum Setting {
    Flag,
    Expr(Expr),
    List(TokenStream),
}

impl Options {
    /// Those of `#[name]` or `#[name(…)]`.
    pub(crate) fn of(meta: &Meta) -> Result<Self> {
        match meta {
            Meta::Path(_) => Ok(Self::default()),
            Meta::List(list) => Self::parse(list.tokens.clone()),
            Meta::NameValue(meta) => Err(Error::new_spanned(meta, "write `#[endpoint(…)]`")),
        }
    }

    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let parser = |input: ParseStream<'_>| {
            Punctuated::<Item, Token![,]>::parse_terminated_with(input, Item::parse)
        };
        let items = parser.parse2(tokens)?.into_iter().collect();
        Ok(Self {
            items,
            known: Vec::new(),
        })
    }

    /// `key`, and where it stands.
    pub(crate) fn flag(&mut self, key: &'static str, errors: &mut Errors) -> Option<Span> {
        let item = self.take(key, errors)?;
        if !matches!(item.value, Setting::Flag) {
            errors.push(item.key.span(), format!("`{key}` takes no value"));
        }
        Some(item.key.span())
    }

    /// `key` or `key = true` or `key = false`
    pub(crate) fn switch(
        &mut self,
        key: &'static str,
        errors: &mut Errors,
    ) -> Option<(Span, bool)> {
        let item = self.take(key, errors)?;
        let on = match item.value {
            Setting::Flag => true,
            Setting::Expr(Expr::Lit(ExprLit {
                lit: Lit::Bool(on), ..
            })) => on.value,
            Setting::Expr(_) | Setting::List(_) => {
                errors.push(item.key.span(), format!("write `{key}` or `{key} = false`"));
                return None;
            }
        };
        Some((item.key.span(), on))
    }

    /// `key = value`
    pub(crate) fn expr(&mut self, key: &'static str, errors: &mut Errors) -> Option<Expr> {
        let item = self.take(key, errors)?;
        item.into_expr(key, errors)
    }

    /// `key = "literal"`, or an expression that gives a text
    pub(crate) fn text(&mut self, key: &'static str, errors: &mut Errors) -> Option<Expr> {
        let expr = self.expr(key, errors)?;
        if let Expr::Lit(ExprLit { lit, .. }) = &expr
            && !matches!(lit, Lit::Str(_))
        {
            errors.push(lit.span(), format!("`{key}` takes a text"));
        }
        Some(expr)
    }

    /// Every `key = value`.
    pub(crate) fn exprs(&mut self, key: &'static str, errors: &mut Errors) -> Vec<Expr> {
        let items = self.take_all(key).into_iter();
        items
            .filter_map(|item| item.into_expr(key, errors))
            .collect()
    }

    /// `key(…)`
    pub(crate) fn list(&mut self, key: &'static str, errors: &mut Errors) -> Option<TokenStream> {
        let item = self.take(key, errors)?;
        let Setting::List(tokens) = item.value else {
            errors.push(item.key.span(), format!("write `{key}(…)`"));
            return None;
        };
        Some(tokens)
    }

    /// Complains about what nobody took.
    pub(crate) fn finish(self, errors: &mut Errors) {
        let known = self.known.join("`, `");
        for item in self.items {
            let key = item.key.unraw();
            errors.push(
                item.key.span(),
                format!("unknown option `{key}`; there are `{known}`"),
            );
        }
    }

    fn take(&mut self, key: &'static str, errors: &mut Errors) -> Option<Item> {
        let mut ours = self.take_all(key).into_iter();
        let first = ours.next();
        for again in ours {
            errors.push(again.key.span(), format!("`{key}` is given twice"));
        }
        first
    }

    fn take_all(&mut self, key: &'static str) -> Vec<Item> {
        self.known.push(key);
        let (ours, others) = self.items.drain(..).partition(|item| item.key == key);
        self.items = others;
        ours
    }
}

/// The literal, if the expression is one.
pub(crate) fn literal(expr: &Expr) -> Option<&LitStr> {
    match expr {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text),
        _ => None,
    }
}

impl Item {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let key = input.call(Ident::parse_any)?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Setting::Expr(input.parse()?)
        } else if input.peek(syn::token::Paren) {
            let content;
            syn::parenthesized!(content in input);
            Setting::List(content.parse()?)
        } else {
            Setting::Flag
        };
        Ok(Self { key, value })
    }

    fn into_expr(self, key: &str, errors: &mut Errors) -> Option<Expr> {
        if let Setting::Expr(expr) = self.value {
            return Some(expr);
        }
        errors.push(self.key.span(), format!("write `{key} = …`"));
        None
    }
}

/// Errors found so far; the compiler is told all of them.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, span: Span, message: impl std::fmt::Display) {
        self.add(Error::new(span, message));
    }

    /// As [`push`](Self::push), at all of some tokens.
    pub(crate) fn push_at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.add(Error::new_spanned(tokens, message));
    }

    fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value; an error is kept.
    pub(crate) fn ok<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    pub(crate) fn finish<T>(self, value: T) -> Result<T> {
        self.0.map_or(Ok(value), Err)
    }
}
