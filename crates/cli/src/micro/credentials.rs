//! How we say who we are.

use std::fmt;
use std::path::PathBuf;

use async_nats::ConnectOptions;

use super::connection_flags::ConnectionFlags;
use crate::failure::Failure;

/// One way to say who we are.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) enum Credentials {
    #[default]
    None,
    User {
        name: String,
        password: String,
    },
    Token(String),
    File(PathBuf),
    /// A seed, or a file with one.
    Nkey(String),
    Jwt {
        jwt: String,
        seed: String,
    },
}

/// Without secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::User { .. } => "User",
            Self::Token(_) => "Token",
            Self::File(_) => "File",
            Self::Nkey(_) => "Nkey",
            Self::Jwt { .. } => "Jwt",
        })
    }
}

impl Credentials {
    /// The first place that names a way decides which one is taken; only the password of a user, or the seed of a JWT,
    /// may come from a later place.
    pub(super) fn choose(places: &[ConnectionFlags]) -> Result<Self, Failure> {
        let Some(first) = places.iter().position(names_a_way) else {
            return match places.iter().any(|place| place.password.is_some()) {
                true => Err(Failure::usage(
                    "there is a password, but no user: give --username",
                )),
                false => Ok(Self::None),
            };
        };
        let place = &places[first];
        // A password or seed of an earlier place counts too: it is nearer to the person.
        let find = |get: fn(&ConnectionFlags) -> &Option<String>| {
            places.iter().find_map(|place| get(place).clone())
        };
        Ok(if let Some(file) = &place.creds {
            Self::File(file.clone())
        } else if let Some(nkey) = &place.nkey {
            Self::Nkey(nkey.clone())
        } else if let Some(jwt) = &place.jwt {
            let seed = find(|place| &place.seed).ok_or_else(|| {
                Failure::usage("there is a JWT, but no seed to sign with: set NATS_SEED")
            })?;
            Self::Jwt {
                jwt: jwt.clone(),
                seed,
            }
        } else if let Some(name) = &place.username {
            Self::User {
                name: name.clone(),
                password: find(|place| &place.password).unwrap_or_default(),
            }
        } else {
            place.token.clone().map_or(Self::None, Self::Token)
        })
    }

    /// Adds them to the client's options; files are read now.
    pub(super) fn apply(&self, options: ConnectOptions) -> Result<ConnectOptions, Failure> {
        Ok(match self {
            Self::None => options,
            Self::User { name, password } => {
                options.user_and_password(name.clone(), password.clone())
            }
            Self::Token(token) => options.token(token.clone()),
            Self::Nkey(nkey) => options.nkey(seed(nkey)?),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::failed(format!("cannot read {}: {error}", path.display()))
                })?;
                options
                    .credentials(&text)
                    .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?
            }
            Self::Jwt { jwt, seed } => {
                let text = format!(
                    "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
                     -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
                );
                options
                    .credentials(&text)
                    .map_err(|error| Failure::failed(format!("the JWT and its seed: {error}")))?
            }
        })
    }

    /// The variables that say the same to a program that is started.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::None => Vec::new(),
            Self::User { name, password } => vec![
                ("NATS_USERNAME", name.clone()),
                ("NATS_USER", name.clone()),
                ("NATS_PASSWORD", password.clone()),
            ],
            Self::Token(token) => vec![("NATS_TOKEN", token.clone())],
            Self::File(path) => vec![("NATS_CREDS", path.to_string_lossy().into_owned())],
            Self::Nkey(nkey) => vec![("NATS_NKEY", nkey.clone())],
            Self::Jwt { jwt, seed } => vec![("NATS_JWT", jwt.clone()), ("NATS_SEED", seed.clone())],
        }
    }
}

fn names_a_way(place: &ConnectionFlags) -> bool {
    place.username.is_some()
        || place.token.is_some()
        || place.creds.is_some()
        || place.nkey.is_some()
        || place.jwt.is_some()
}

/// Users' seeds begin so.
const USER_SEED: &str = "SU";

fn seed(nkey: &str) -> Result<String, Failure> {
    if nkey.starts_with(USER_SEED) && !std::path::Path::new(nkey).exists() {
        return Ok(nkey.to_owned());
    }
    let text = std::fs::read_to_string(nkey)
        .map_err(|error| Failure::failed(format!("cannot read the nkey file {nkey}: {error}")))?;
    let seed = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with(USER_SEED));
    seed.map(str::to_owned)
        .ok_or_else(|| Failure::failed(format!("{nkey} has no user's nkey seed in it")))
}
