//! What both a service and an endpoint may say; what an endpoint does not say comes from the service.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Expr;

use crate::check;
use crate::options::{Errors, Options};

#[derive(Default)]
pub(crate) struct Settings {
    queue_group: Option<Expr>,
    no_queue_group: bool,
    concurrency: Option<Expr>,
    pending_limits: Option<Expr>,
    /// Outermost first.
    middleware: Vec<Expr>,
}

impl Settings {
    pub(crate) fn take(options: &mut Options, errors: &mut Errors) -> Self {
        let queue_group = options.text("queue_group", errors);
        let no_queue_group = options.flag("no_queue_group", errors);
        let concurrency = options.expr("concurrency", errors);
        if let Some(queue_group) = &queue_group {
            check::queue_group(queue_group, errors);
        }
        if let Some(concurrency) = &concurrency {
            check::concurrency(concurrency, errors);
        }
        if let (Some(_), Some(span)) = (&queue_group, no_queue_group) {
            errors.push(span, "write `queue_group` or `no_queue_group`, not both");
        }
        Self {
            queue_group,
            no_queue_group: no_queue_group.is_some(),
            concurrency,
            pending_limits: options.expr("pending_limits", errors),
            middleware: options.exprs("middleware", errors),
        }
    }

    /// As calls on a `ServiceBuilder`, `Group` or `Endpoint`.
    pub(crate) fn calls(&self) -> TokenStream {
        let Self {
            queue_group,
            concurrency,
            pending_limits,
            middleware,
            ..
        } = self;
        let queue_group = queue_group.iter();
        let no_queue_group = self.no_queue_group.then(|| quote!(.no_queue_group()));
        let concurrency = concurrency.iter();
        let pending_limits = pending_limits.iter();
        quote! {
            #(.queue_group(#queue_group))*
            #no_queue_group
            #(.concurrency(#concurrency))*
            #(.pending_limits(#pending_limits))*
            #(.middleware(#middleware))*
        }
    }
}
