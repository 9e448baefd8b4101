//! What stands in an attribute's parentheses: flags, `key = value`, `key(…)`; and errors, collected.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, ExprLit, Ident, Lit, LitStr, Meta, Result, Token};

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
    /// Those of all attributes with this name, which are taken out of `attributes`.
    pub(crate) fn take_from(attributes: &mut Vec<Attribute>, name: &str) -> Result<Option<Self>> {
        let (ours, others) = attributes
            .drain(..)
            .partition::<Vec<_>, _>(|attribute| attribute.path().is_ident(name));
        *attributes = others;
        let mut options = None;
        for attribute in ours {
            let items = match attribute.meta {
                Meta::Path(_) => Vec::new(),
                Meta::List(list) => Self::parse(list.tokens)?.items,
                Meta::NameValue(meta) => {
                    return Err(Error::new_spanned(meta, format!("write `#[{name}(…)]`")));
                }
            };
            options
                .get_or_insert_with(Self::default)
                .items
                .extend(items);
        }
        Ok(options)
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

    /// `key = value`
    pub(crate) fn expr(&mut self, key: &'static str, errors: &mut Errors) -> Option<Expr> {
        let item = self.take(key, errors)?;
        let Setting::Expr(expr) = item.value else {
            errors.push(item.key.span(), format!("write `{key} = …`"));
            return None;
        };
        Some(expr)
    }

    /// `key = "literal"`
    pub(crate) fn string(&mut self, key: &'static str, errors: &mut Errors) -> Option<LitStr> {
        let expr = self.expr(key, errors)?;
        errors.ok(string(expr, key))
    }

    /// `key(…)`, and where the key stands.
    pub(crate) fn list(
        &mut self,
        key: &'static str,
        errors: &mut Errors,
    ) -> Option<(Span, TokenStream)> {
        let item = self.take(key, errors)?;
        let Setting::List(tokens) = item.value else {
            errors.push(item.key.span(), format!("write `{key}(…)`"));
            return None;
        };
        Some((item.key.span(), tokens))
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

    /// Every `key = "name"` and `key(name = "name", …)`: the name, or where the key stands, and the other options.
    pub(crate) fn named(&mut self, key: &'static str, errors: &mut Errors) -> Vec<(LitStr, Self)> {
        let mut found = Vec::new();
        for Item { key: at, value } in self.take_all(key) {
            match value {
                Setting::Expr(expr) => found.extend(
                    errors
                        .ok(string(expr, key))
                        .map(|name| (name, Self::default())),
                ),
                Setting::List(tokens) => {
                    let options = errors.ok(Self::parse(tokens));
                    found.extend(options.map(|options| (LitStr::new("", at.span()), options)));
                }
                Setting::Flag => {
                    errors.push(at.span(), format!("write `{key} = \"name\"` or `{key}(…)`"))
                }
            }
        }
        found
    }

    /// Complains about what nobody took.
    pub(crate) fn finish(self, errors: &mut Errors) {
        for item in self.items {
            let key = item.key.unraw();
            let known = self.known.join("`, `");
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

fn string(expr: Expr, key: &str) -> Result<LitStr> {
    match expr {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(text),
        other => Err(Error::new_spanned(
            other,
            format!("`{key}` takes a string literal"),
        )),
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
}

/// Errors found so far; the compiler is told all of them.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, span: Span, message: impl std::fmt::Display) {
        self.add(Error::new(span, message));
    }

    pub(crate) fn add(&mut self, error: Error) {
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
