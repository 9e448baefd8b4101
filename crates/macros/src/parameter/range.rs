//! What numbers a parameter allows.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::Type;
use syn::spanned::Spanned as _;

use crate::literal::{self, Number};
use crate::options::{Errors, Options};
use crate::ty;

/// The rules of a number, each with the place where it is given.
#[derive(Default)]
pub(super) struct Range {
    pub(super) min: Option<Rule>,
    pub(super) max: Option<Rule>,
    step: Option<Rule>,
    precision: Option<Rule>,
    whole: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Rule {
    number: Number,
    span: Span,
}

impl Range {
    pub(super) fn take(ty: &Type, options: &mut Options, errors: &mut Errors) -> Self {
        let mut take = |key| {
            let expr = options.expr(key, errors)?;
            let number = errors.ok(literal::number(&expr, key))?;
            Some(Rule {
                number,
                span: expr.span(),
            })
        };
        let [min, max, step, precision] = ["min", "max", "step", "precision"].map(&mut take);
        let range = Self {
            min,
            max,
            step,
            precision,
            whole: ty::is_integer(ty),
        };
        range.check(errors);
        range
    }

    /// Where a rule is given, if any is.
    pub(super) fn span(&self) -> Option<Span> {
        let mut rules = [self.min, self.max, self.step, self.precision]
            .into_iter()
            .flatten();
        rules.next().map(|rule| rule.span)
    }

    fn check(&self, errors: &mut Errors) {
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min.number.value() > max.number.value()
        {
            errors.push(
                max.span,
                format!(
                    "`max` is less than `min`, which is {}",
                    min.number.display()
                ),
            );
        }
        if let Some(step) = self.step.filter(|step| step.number.value() <= 0.0) {
            errors.push(step.span, "`step` must be more than 0");
        }
        if let Some(precision) = self
            .precision
            .filter(|precision| decimals(precision.number).is_none())
        {
            errors.push(
                precision.span,
                format!("`precision` counts decimals, 0 to {DECIMALS_MAX}"),
            );
        }
    }

    /// An expression that makes the core `NumberRange`.
    pub(super) fn define(&self, core: &TokenStream) -> TokenStream {
        let [min, max, step] = [self.min, self.max, self.step]
            .map(|rule| option(rule.map(|rule| literal::float_token(rule.number.value()))));
        let precision = self
            .precision
            .and_then(|precision| decimals(precision.number));
        // Whole numbers only, so that an editor does not offer what cannot be decoded.
        let precision = option(precision.or_else(|| self.whole.then_some(0)));
        quote!(#core::NumberRange { min: #min, max: #max, step: #step, precision: #precision })
    }

    /// What is wrong with this default.
    pub(super) fn problem(&self, number: Number) -> Option<String> {
        let (value, shown) = (number.value(), number.display());
        if let Some(min) = self.min.filter(|min| value < min.number.value()) {
            return Some(format!(
                "the default {shown} is less than the minimum {}",
                min.number.display()
            ));
        }
        let max = self.max.filter(|max| value > max.number.value())?;
        Some(format!(
            "the default {shown} is more than the maximum {}",
            max.number.display()
        ))
    }
}

const DECIMALS_MAX: u32 = 17;

fn decimals(number: Number) -> Option<u32> {
    let Number::Integer(decimals) = number else {
        return None;
    };
    u32::try_from(decimals)
        .ok()
        .filter(|decimals| *decimals <= DECIMALS_MAX)
}

fn option(value: Option<impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
