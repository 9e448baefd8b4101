//! [`Tokens`]: the token that may do everything, and one for each node server. spec: nanograph 19

use std::fmt;
use std::sync::Arc;

use super::auth::Token;
use super::id::{from_hex, hex};

/// Longest uid a server's token can carry.
const UID_BYTES_MAX: usize = 256;

/// The tokens that open an orchestrator: the master's, and those derived from it for node servers.
///
/// A server's token is its uid with a signature of the master token. None is stored: it is good as long as the uid is
/// registered, and no longer once the master token changes. Cloning shares them.
#[derive(Clone)]
pub struct Tokens {
    master: Token,
    registered: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

/// Whose token a request showed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Who may do everything.
    Master,
    /// The node server with this uid. It may use assets and resources only.
    Server(Arc<str>),
}

impl Caller {
    /// The server's uid, if it is one.
    #[must_use]
    pub fn into_server(self) -> Option<Arc<str>> {
        match self {
            Self::Master => None,
            Self::Server(uid) => Some(uid),
        }
    }
}

impl Tokens {
    /// The tokens below `master`. Any uid counts as registered; see [`Self::only_for`].
    #[must_use]
    pub fn new(master: Token) -> Self {
        Self {
            master,
            registered: Arc::new(|_| true),
        }
    }

    /// Lets in only servers whose uid passes `registered`, which is asked at each request and must not block.
    #[must_use]
    pub fn only_for(mut self, registered: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.registered = Arc::new(registered);
        self
    }

    /// The token that may do everything.
    #[must_use]
    pub fn master(&self) -> &Token {
        &self.master
    }

    /// The token of the server with this uid: the same at every call. Uids beyond 256 bytes get one that opens nothing.
    #[must_use]
    pub fn for_server(&self, uid: &str) -> Token {
        let signature = self.master.sign_uid(uid);
        Token::new(format!("nws.{}.{signature}", hex(uid.as_bytes())))
    }

    /// Whose token this is. Signatures and the master token are compared in constant time.
    #[must_use]
    pub fn check(&self, token: &str) -> Option<Caller> {
        if self.master.matches(token) {
            return Some(Caller::Master);
        }
        let (uid, signature) = token.strip_prefix("nws.")?.split_once('.')?;
        if uid.len() > 2 * UID_BYTES_MAX {
            return None;
        }
        let uid = String::from_utf8(from_hex(uid)?).ok()?;
        let valid = self.master.verify_uid(&uid, signature) && (self.registered)(&uid);
        valid.then(|| Caller::Server(uid.into()))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_token_names_its_server_while_that_is_registered() {
        let tokens = Tokens::new(Token::random());
        let server = tokens.for_server("sérver/1");
        assert_eq!(
            tokens.check(server.reveal()),
            Some(Caller::Server("sérver/1".into()))
        );
        assert_eq!(tokens.check(tokens.master().reveal()), Some(Caller::Master));
        let gone = tokens.clone().only_for(|uid| uid != "sérver/1");
        assert_eq!(gone.check(server.reveal()), None);
        assert_eq!(
            Tokens::new(Token::random()).check(server.reveal()),
            None,
            "another master"
        );
    }

    #[test]
    fn altered_tokens_open_nothing() {
        let tokens = Tokens::new(Token::random());
        let (a, b) = (tokens.for_server("a"), tokens.for_server("b"));
        let signature = a.reveal().rsplit('.').next().unwrap();
        let of_b = b.reveal().rsplit_once('.').unwrap().0;
        for altered in [
            String::new(),
            "nws.".to_owned(),
            "nws..".to_owned(),
            format!("{of_b}.{signature}"),
            format!("{}0", a.reveal()),
            a.reveal()[..a.reveal().len() - 1].to_owned(),
            tokens.for_server(&"x".repeat(257)).reveal().to_owned(),
        ] {
            assert_eq!(tokens.check(&altered), None, "{altered}");
        }
    }
}
