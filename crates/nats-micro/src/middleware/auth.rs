//! Who the caller is, and whether it may call.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{Middleware, Next};
use crate::request::Request;
use crate::response::Response;
use crate::service_error::ServiceError;

/// Finds out who the caller is.
pub trait Authenticate: Send + Sync + 'static {
    /// What the handler finds in [`Request::extension`].
    type Identity: Clone + Send + Sync + 'static;

    /// Looks at a request.
    ///
    /// # Errors
    /// What the caller is answered with instead: 401 if it is not clear who it is, 403 if it may not call.
    ///
    /// The future is dropped with the request.
    fn authenticate(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<Self::Identity, ServiceError>> + Send;
}

/// Lets only those requests through that an [`Authenticate`] accepts, and leaves the identity in the request's
/// extensions. Clones count together.
///
/// ```
/// use nats_micro::middleware::{Auth, BearerIdentity};
/// use nats_micro::{Request, Service, ServiceError};
///
/// #[derive(Clone)]
/// struct User(String);
///
/// let auth = Auth::from_fn(|request: &Request| {
///     // What the future needs it takes along.
///     let user = request.header("X-User").map(str::to_owned);
///     async move { user.map(User).ok_or_else(|| ServiceError::new(401, "who are you?")) }
/// });
/// let builder = Service::builder("shop", "1.0.0").middleware(auth);
///
/// // Or with a token for each caller, in the header `Authorization: Bearer TOKEN`.
/// let auth = Auth::bearer([("billing", "s3cret"), ("web", "t0ken")]);
/// async fn who(request: Request) -> String {
///     let caller = request.extension::<BearerIdentity>();
///     caller.map(|caller| caller.name().to_owned()).unwrap_or_default()
/// }
/// ```
pub struct Auth<A> {
    authenticate: Arc<A>,
    refused: Arc<AtomicU64>,
}

impl<A> Clone for Auth<A> {
    fn clone(&self) -> Self {
        Self {
            authenticate: Arc::clone(&self.authenticate),
            refused: Arc::clone(&self.refused),
        }
    }
}

impl<A> fmt::Debug for Auth<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl<A: Authenticate> Auth<A> {
    /// Checks requests with a type of its own.
    #[must_use]
    pub fn new(authenticate: A) -> Self {
        Self {
            authenticate: Arc::new(authenticate),
            refused: Arc::default(),
        }
    }

    /// How many requests were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl<F, Fut, I> Auth<AuthFn<F, Fut>>
where
    F: Fn(&Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<I, ServiceError>> + Send + 'static,
    I: Clone + Send + Sync + 'static,
{
    /// Checks requests with an async function.
    #[must_use]
    pub fn from_fn(function: F) -> Self {
        Self::new(AuthFn(function, PhantomData))
    }
}

impl Auth<BearerTokens> {
    /// Checks bearer tokens; see [`BearerTokens`].
    #[must_use]
    pub fn bearer<N: Into<Arc<str>>, T: Into<String>>(
        tokens: impl IntoIterator<Item = (N, T)>,
    ) -> Self {
        Self::new(BearerTokens::new(tokens))
    }
}

impl<A: Authenticate> Middleware for Auth<A> {
    async fn handle(&self, mut request: Request, next: Next) -> Response {
        match self.authenticate.authenticate(&request).await {
            Ok(identity) => {
                request.extensions_mut().insert(identity);
                next.run(request).await
            }
            Err(error) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Response::Error(error)
            }
        }
    }
}

/// An async function that checks requests; made by [`Auth::from_fn`].
pub struct AuthFn<F, Fut>(F, PhantomData<fn() -> Fut>);

impl<F, Fut> fmt::Debug for AuthFn<F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFn").finish_non_exhaustive()
    }
}

impl<F, Fut, I> Authenticate for AuthFn<F, Fut>
where
    F: Fn(&Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<I, ServiceError>> + Send + 'static,
    I: Clone + Send + Sync + 'static,
{
    type Identity = I;

    fn authenticate(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<I, ServiceError>> + Send {
        (self.0)(request)
    }
}

/// Tokens with the names of those who have them. A request brings one in its header `Authorization: Bearer TOKEN`; any
/// other is answered with 401 `Unauthorized`.
///
/// How long a comparison takes says nothing about which token is right, or which name it belongs to; it may say how long
/// tokens are. An empty token is nobody's.
#[derive(Clone)]
pub struct BearerTokens(Vec<(Arc<str>, String)>);

/// Whose token a request brought.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BearerIdentity(Arc<str>);

impl BearerIdentity {
    /// The name that the token was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl BearerTokens {
    /// Pairs of a name and its token. Where two have the same token, the later name is meant.
    #[must_use]
    pub fn new<N: Into<Arc<str>>, T: Into<String>>(
        tokens: impl IntoIterator<Item = (N, T)>,
    ) -> Self {
        let tokens = tokens.into_iter();
        Self(
            tokens
                .map(|(name, token)| (name.into(), token.into()))
                .collect(),
        )
    }

    fn identify(&self, request: &Request) -> Option<BearerIdentity> {
        let presented = bearer_token(request.header("Authorization")?)?;
        let mut found = Choice::from(0);
        let mut owner = 0;
        for (index, (_, token)) in (0_u64..).zip(&self.0) {
            let same = token.as_bytes().ct_eq(presented.as_bytes());
            owner.conditional_assign(&index, same);
            found |= same;
        }
        if !bool::from(found) {
            return None;
        }
        let (name, _) = self.0.get(usize::try_from(owner).ok()?)?;
        Some(BearerIdentity(Arc::clone(name)))
    }
}

impl fmt::Debug for BearerTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        f.debug_tuple("BearerTokens")
            .field(&names.collect::<Vec<_>>())
            .finish()
    }
}

impl Authenticate for BearerTokens {
    type Identity = BearerIdentity;

    fn authenticate(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<BearerIdentity, ServiceError>> + Send {
        let identity = self.identify(request);
        std::future::ready(identity.ok_or_else(|| ServiceError::new(401, "Unauthorized")))
    }
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}
