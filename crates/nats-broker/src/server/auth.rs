//! Who may connect.

use subtle::ConstantTimeEq as _;

use crate::protocol::ConnectOptions;

/// The credentials that clients must have.
#[derive(Clone, Default)]
pub(crate) enum Auth {
    /// None.
    #[default]
    Open,
    UserPassword {
        user: String,
        password: String,
    },
    Token(String),
}

impl Auth {
    pub(crate) fn is_required(&self) -> bool {
        !matches!(self, Self::Open)
    }

    pub(crate) fn has_empty(&self) -> bool {
        match self {
            Self::Open => false,
            Self::UserPassword { user, password } => user.is_empty() || password.is_empty(),
            Self::Token(token) => token.is_empty(),
        }
    }

    /// Takes the same time however much of a text of the right length is right.
    pub(crate) fn admits(&self, options: &ConnectOptions) -> bool {
        match self {
            Self::Open => true,
            Self::UserPassword { user, password } => bool::from(
                same(user, options.user.as_ref()) & same(password, options.pass.as_ref()),
            ),
            Self::Token(token) => bool::from(same(token, options.auth_token.as_ref())),
        }
    }
}

fn same(expected: &str, given: Option<&String>) -> subtle::Choice {
    let given = given.map_or(&[][..], |given| given.as_bytes());
    expected.as_bytes().ct_eq(given)
}

/// Keeps credentials out of logs.
impl std::fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Open => "Open",
            Self::UserPassword { .. } => "UserPassword",
            Self::Token(_) => "Token",
        })
    }
}
