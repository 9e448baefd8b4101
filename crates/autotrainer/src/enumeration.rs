//! Enumerations whose members are numbers on the wire, and finding a member by what a person types.
//! spec: autotrainer 15.4

use thiserror::Error;

/// A member of an enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<T> {
    /// Its name in the protocol.
    pub name: &'static str,
    /// Its number.
    pub value: i64,
    /// Itself.
    pub member: T,
}

/// The member that a person means: by number, by exact name, or by the start of a name in any case.
///
/// ```
/// use autotrainer_api::{AlarmKind, resolve};
///
/// assert_eq!(resolve("thrash", AlarmKind::members()), Ok(AlarmKind::Thrashing));
/// assert_eq!(resolve("301", AlarmKind::members()), Ok(AlarmKind::Thrashing));
/// assert!(resolve("animal", AlarmKind::members()).is_err());
/// ```
///
/// # Errors
/// If there is no such member, or more than one.
pub fn resolve<T: Copy>(
    input: &str,
    members: impl IntoIterator<Item = Member<T>>,
) -> Result<T, ResolveError> {
    let input = input.trim();
    let members: Vec<Member<T>> = members.into_iter().collect();
    let number = input.parse::<i64>().ok();
    let exact = |member: &&Member<T>| member.name == input || Some(member.value) == number;
    if let Some(found) = members.iter().find(exact) {
        return Ok(found.member);
    }
    let start = input.to_ascii_lowercase();
    let starts = |member: &&Member<T>| {
        !start.is_empty() && member.name.to_ascii_lowercase().starts_with(&start)
    };
    let mut found: Vec<&Member<T>> = members.iter().filter(starts).collect();
    found.dedup_by_key(|member| member.value);
    match found.as_slice() {
        [] => Err(ResolveError::NoMatch {
            input: input.to_owned(),
        }),
        [only] => Ok(only.member),
        several => Err(ResolveError::Ambiguous {
            input: input.to_owned(),
            candidates: several.iter().map(|member| member.name).collect(),
        }),
    }
}

/// Why what was typed is no member.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// No number, name or start of a name fits.
    #[error("nothing is called {input:?}; give a number, a name or the start of a name")]
    NoMatch {
        /// What was typed.
        input: String,
    },
    /// Several names start so.
    #[error("{input:?} is ambiguous: it may be {}", .candidates.join(", "))]
    Ambiguous {
        /// What was typed.
        input: String,
        /// What it may be.
        candidates: Vec<&'static str>,
    },
}

/// An enumeration of integers. Each value stands once with its name; others are kept as `Unknown`.
macro_rules! integers {
    ($($(#[$doc:meta])+ $enumeration:ident { $($variant:ident = $value:literal $name:literal,)+ })+) => { $(
        $(#[$doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $enumeration {
            $(#[doc = concat!("`", $name, "`, ", stringify!($value), ".")] $variant,)+
            /// A number that has no name here; kept as it is.
            Unknown(i64),
        }

        impl $enumeration {
            /// Those that have a name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The one with this number.
            #[must_use]
            pub const fn from_value(value: i64) -> Self {
                match value {
                    $($value => Self::$variant,)+
                    other => Self::Unknown(other),
                }
            }

            /// Its number on the wire.
            #[must_use]
            pub const fn value(self) -> i64 {
                match self {
                    $(Self::$variant => $value,)+
                    Self::Unknown(value) => value,
                }
            }

            /// Its name in the protocol.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($name),)+
                    Self::Unknown(_) => None,
                }
            }

            /// Those that have a name, for [`resolve`](crate::resolve).
            pub fn members() -> impl Iterator<Item = crate::enumeration::Member<Self>> {
                [$(($name, $value, Self::$variant)),+]
                    .into_iter()
                    .map(|(name, value, member)| crate::enumeration::Member { name, value, member })
            }
        }

        impl std::fmt::Display for $enumeration {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.value()),
                }
            }
        }

        impl serde::Serialize for $enumeration {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_i64(self.value())
            }
        }

        impl<'de> serde::Deserialize<'de> for $enumeration {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::json::deserialize_integer(deserializer).map(Self::from_value)
            }
        }
    )+ };
}

/// An enumeration of strings, which keep their case on the wire. Others are kept as `Unknown`.
macro_rules! strings {
    ($($(#[$doc:meta])+ $enumeration:ident { $($variant:ident = $name:literal,)+ })+) => { $(
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum $enumeration {
            $(#[doc = concat!("`", $name, "`.")] $variant,)+
            /// Another string; kept as it is.
            Unknown(String),
        }

        impl $enumeration {
            /// Its text on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Unknown(name) => name,
                }
            }
        }

        impl From<String> for $enumeration {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($name => Self::$variant,)+
                    _ => Self::Unknown(text),
                }
            }
        }

        impl std::fmt::Display for $enumeration {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $enumeration {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $enumeration {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer).map(Self::from)
            }
        }
    )+ };
}

pub(crate) use {integers, strings};

#[cfg(test)]
mod tests {
    use super::{ResolveError, resolve};
    use crate::kinds::{AlarmKind, TrainingMode};

    #[test]
    fn an_exact_name_goes_before_the_start_of_a_longer_one() {
        let mode = resolve("MANUAL", TrainingMode::members());
        assert_eq!(mode, Ok(TrainingMode::Manual));
        let mode = resolve("manual_", TrainingMode::members());
        assert_eq!(mode, Ok(TrainingMode::ManualWithProtocol));
    }

    #[test]
    fn messages_tell_no_match_from_ambiguous() {
        let none = resolve("x", TrainingMode::members()).unwrap_err();
        assert!(none.to_string().contains("nothing is called \"x\""));
        let several = resolve("manual", TrainingMode::members()).unwrap_err();
        assert_eq!(
            several.to_string(),
            "\"manual\" is ambiguous: it may be MANUAL, MANUAL_WITH_PROTOCOL"
        );
        assert!(matches!(
            resolve(" ", AlarmKind::members()),
            Err(ResolveError::NoMatch { .. })
        ));
        assert!(matches!(
            resolve("7", AlarmKind::members()),
            Err(ResolveError::NoMatch { .. })
        ));
    }
}
