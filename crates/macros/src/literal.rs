//! Literals in attributes: looked at when compiling, turned into JSON when the definition is built.

use proc_macro2::{Literal as Token, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, Expr, ExprLit, ExprUnary, Lit, Result, UnOp};

/// A value as the author wrote it.
pub(crate) struct Literal {
    pub(crate) kind: LiteralKind,
    pub(crate) span: Span,
}

pub(crate) enum LiteralKind {
    Null,
    Bool(bool),
    Text(String),
    Number(Number),
    List(Vec<Literal>),
    /// Anything else; its value is known at run time only.
    Expr(Box<Expr>),
}

/// A number literal; integers keep all their digits.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Integer(i128),
    Float(f64),
}

impl Literal {
    pub(crate) fn from_expr(expr: Expr) -> Result<Self> {
        let span = expr.span();
        let kind = match expr {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => LiteralKind::Text(text.value()),
            Expr::Lit(ExprLit {
                lit: Lit::Bool(value),
                ..
            }) => LiteralKind::Bool(value.value),
            Expr::Path(path) if path.path.is_ident("null") || path.path.is_ident("None") => {
                LiteralKind::Null
            }
            Expr::Array(array) => LiteralKind::List(
                array
                    .elems
                    .into_iter()
                    .map(Self::from_expr)
                    .collect::<Result<_>>()?,
            ),
            other => Number::from_expr(&other)?
                .map_or_else(|| LiteralKind::Expr(Box::new(other)), LiteralKind::Number),
        };
        Ok(Self { kind, span })
    }

    /// An expression that gives the value as `Json`.
    pub(crate) fn to_json(&self, core: &TokenStream) -> TokenStream {
        let value = match &self.kind {
            LiteralKind::Null => quote!(&()),
            LiteralKind::Bool(value) => quote!(&#value),
            LiteralKind::Text(text) => quote!(#text),
            LiteralKind::Number(number) => {
                let token = number.to_token();
                quote!(&#token)
            }
            LiteralKind::List(elements) => {
                let elements = elements.iter().map(|element| element.to_json(core));
                return quote_spanned!(self.span=> #core::typed::default_list([#(#elements),*]));
            }
            LiteralKind::Expr(expr) => quote_spanned!(self.span=> &(#expr)),
        };
        quote_spanned!(self.span=> #core::typed::default_value(#value))
    }

    /// Whether two literals are the same value; of other expressions nothing is known.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (LiteralKind::Null, LiteralKind::Null) => true,
            (LiteralKind::Bool(one), LiteralKind::Bool(two)) => one == two,
            (LiteralKind::Text(one), LiteralKind::Text(two)) => one == two,
            (LiteralKind::Number(one), LiteralKind::Number(two)) => one == two,
            _ => false,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.kind, LiteralKind::Null)
    }

    pub(crate) fn is_expr(&self) -> bool {
        matches!(self.kind, LiteralKind::Expr(_))
    }

    /// How the value reads in JSON, for messages and labels.
    pub(crate) fn display(&self) -> String {
        match &self.kind {
            LiteralKind::Null => "null".to_owned(),
            LiteralKind::Bool(value) => value.to_string(),
            LiteralKind::Text(text) => format!("{text:?}"),
            LiteralKind::Number(number) => number.display(),
            LiteralKind::List(_) => "a list".to_owned(),
            LiteralKind::Expr(_) => "an expression".to_owned(),
        }
    }
}

impl Number {
    /// `None` if it is no number literal.
    pub(crate) fn from_expr(expr: &Expr) -> Result<Option<Self>> {
        match expr {
            Expr::Unary(ExprUnary {
                op: UnOp::Neg(_),
                expr,
                ..
            }) => Ok(Self::from_expr(expr)?.map(Self::negated)),
            Expr::Lit(ExprLit {
                lit: Lit::Int(integer),
                ..
            }) => {
                let value = integer.base10_parse::<u64>();
                let value = value
                    .map_err(|_| Error::new(integer.span(), "numbers have at most 64 bits"))?;
                Ok(Some(Self::Integer(value.into())))
            }
            Expr::Lit(ExprLit {
                lit: Lit::Float(float),
                ..
            }) => {
                let value = float.base10_parse::<f64>()?;
                if !value.is_finite() {
                    return Err(Error::new(float.span(), "the number does not fit an f64"));
                }
                Ok(Some(Self::Float(value)))
            }
            _ => Ok(None),
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::Integer(value) => Self::Integer(-value),
            Self::Float(value) => Self::Float(-value),
        }
    }

    /// For comparisons, which core does with `f64` too.
    #[allow(
        clippy::cast_precision_loss,
        reason = "as when the JSON number is compared at run time"
    )]
    pub(crate) fn value(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    pub(crate) fn display(self) -> String {
        match self {
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
        }
    }

    fn to_token(self) -> TokenStream {
        let value = match self {
            Self::Integer(value) => return signed(value),
            Self::Float(value) => value,
        };
        let token = Token::f64_suffixed(value.abs());
        if value.is_sign_negative() {
            quote!(-#token)
        } else {
            quote!(#token)
        }
    }
}

fn signed(value: i128) -> TokenStream {
    let token = Token::i128_suffixed(value);
    quote!(#token)
}

/// The value of an option that must be a number literal, as an `f64`.
pub(crate) fn number(expr: &Expr, key: &str) -> Result<Number> {
    Number::from_expr(expr)?
        .ok_or_else(|| Error::new_spanned(expr, format!("`{key}` takes a number literal")))
}

/// An `f64` literal.
pub(crate) fn float_token(value: f64) -> TokenStream {
    Number::Float(value).to_token()
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn display(expr: Expr) -> String {
        Literal::from_expr(expr).unwrap().display()
    }

    #[test]
    fn literals_are_recognised() {
        assert_eq!(display(parse_quote!("a\"b")), r#""a\"b""#);
        assert_eq!(display(parse_quote!(-3)), "-3");
        assert_eq!(
            display(parse_quote!(18_446_744_073_709_551_615)),
            "18446744073709551615"
        );
        assert_eq!(display(parse_quote!(0.5)), "0.5");
        assert_eq!(display(parse_quote!(true)), "true");
        assert_eq!(display(parse_quote!(None)), "null");
        assert_eq!(display(parse_quote!(DEFAULT)), "an expression");
    }

    #[test]
    fn numbers_beyond_64_bits_are_refused() {
        assert!(Literal::from_expr(parse_quote!(18_446_744_073_709_551_616)).is_err());
    }

    #[test]
    fn numbers_beyond_f64_are_refused() {
        assert!(Literal::from_expr(parse_quote!(-1e400)).is_err());
    }

    #[test]
    fn only_known_values_are_the_same() {
        let literal = |expr| Literal::from_expr(expr).unwrap();
        assert!(literal(parse_quote!("a")).same_as(&literal(parse_quote!("a"))));
        assert!(!literal(parse_quote!(1)).same_as(&literal(parse_quote!("1"))));
        assert!(!literal(parse_quote!(A)).same_as(&literal(parse_quote!(A))));
    }
}
