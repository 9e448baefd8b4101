//! Rules that a literal can be held to while compiling; everything is checked again when the service starts.
//! spec: nats-micro 2.1, 2.2

use proc_macro2::Span;
use syn::{Expr, ExprLit, ExprUnary, Lit, UnOp};

use crate::options::{Errors, literal};

/// A service's or an endpoint's name.
pub(crate) fn name(name: &str, span: Span, errors: &mut Errors) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || !name.bytes().all(allowed) {
        errors.push(
            span,
            format!("{name:?} is no name; use ASCII letters, digits, `_` and `-` (at least one)"),
        );
    }
}

pub(crate) fn version(version: &Expr, errors: &mut Errors) {
    let Some(version) = literal(version) else {
        return;
    };
    if semver::Version::parse(&version.value()).is_err() {
        errors.push(
            version.span(),
            "use Semantic Versioning, such as 1.0.0 or 1.0.0-rc.1, without a leading `v`",
        );
    }
}

pub(crate) fn queue_group(queue_group: &Expr, errors: &mut Errors) {
    let Some(queue_group) = literal(queue_group) else {
        return;
    };
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '*' || c == '>';
    let name = queue_group.value();
    if name.is_empty() || name.contains(bad) {
        errors.push(
            queue_group.span(),
            "a queue group must not be empty and have no spaces, `*` or `>`; to have none, write `no_queue_group`",
        );
    }
}

pub(crate) fn metadata_key(key: &str, span: Span, errors: &mut Errors) {
    if key.starts_with("_nats") {
        errors.push(span, "keys that begin with `_nats` are reserved");
    }
}

pub(crate) fn concurrency(concurrency: &Expr, errors: &mut Errors) {
    let span = match concurrency {
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) if number.base10_parse::<usize>().is_ok_and(|n| n > 0) => return,
        Expr::Lit(ExprLit { lit, .. }) => lit.span(),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(minus),
            ..
        }) => minus.span,
        _ => return,
    };
    errors.push(
        span,
        "`concurrency` is a number of requests that run at the same time, at least 1",
    );
}
