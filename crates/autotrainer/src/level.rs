//! Which version of the protocol a service speaks. spec: autotrainer 15.1

use std::fmt;

/// Every level stands here once, oldest first, with the version it starts at.
macro_rules! levels {
    ($($(#[$doc:meta])+ $name:ident = ($major:literal, $minor:literal, $patch:literal);)+) => {
        /// A version of the peer package that changed something on the wire, and all after it until the next.
        ///
        /// Messages do not carry it: it is told by the `version` of the heartbeats of the same service.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ProtocolLevel {
            $($(#[$doc])+ $name,)+
        }

        impl ProtocolLevel {
            /// All of them, oldest first.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The version that it starts at.
            #[must_use]
            pub const fn first_version(self) -> (u64, u64, u64) {
                match self { $(Self::$name => ($major, $minor, $patch)),+ }
            }
        }
    };
}

levels! {
    /// The baseline; older versions are treated alike.
    V0_9_11 = (0, 9, 11);
    /// Responses keep their values.
    V0_9_14 = (0, 9, 14);
    /// Heartbeats no longer interleave with events.
    V0_9_16 = (0, 9, 16);
    /// Event kinds are renumbered.
    V0_9_17 = (0, 9, 17);
    /// Unreadable requests are answered, `NONE` is intercepted.
    V0_9_18 = (0, 9, 18);
    /// Commands are renumbered; modes and animals.
    V0_9_21 = (0, 9, 21);
    /// Session kinds 1331 and 1332.
    V0_9_24 = (0, 9, 24);
    /// Kind 1720.
    V0_10_3 = (0, 10, 3);
    /// Reason codes of emergencies.
    V0_11_0 = (0, 11, 0);
    /// Commands 1000 to 1090 and their status fields.
    V0_12_0 = (0, 12, 0);
}

impl ProtocolLevel {
    /// The newest: what is assumed without a heartbeat, and what our service speaks unless told otherwise.
    pub const NEWEST: Self = Self::V0_12_0;

    /// The level of a service that says this `version` in its heartbeats; the newest if that is no version.
    ///
    /// ```
    /// # use autotrainer_api::ProtocolLevel;
    /// assert_eq!(ProtocolLevel::of_version("0.9.16"), ProtocolLevel::V0_9_16);
    /// assert_eq!(ProtocolLevel::of_version("0.9.23.dev1"), ProtocolLevel::V0_9_21);
    /// assert_eq!(ProtocolLevel::of_version("bench build"), ProtocolLevel::NEWEST);
    /// ```
    #[must_use]
    pub fn of_version(version: &str) -> Self {
        let Some(version) = numbers(version) else {
            return Self::NEWEST;
        };
        let reached = Self::ALL
            .iter()
            .rev()
            .find(|level| level.first_version() <= version);
        reached.copied().unwrap_or(Self::V0_9_11)
    }

    /// What a service of this level should say as its `version`: clients choose their tables by the numbers it starts
    /// with, and `software` (`nodewire 0.1.0`) says who really speaks.
    #[must_use]
    pub fn heartbeat_version(self, software: &str) -> String {
        let label = software.replace(|char: char| !char.is_ascii_alphanumeric(), ".");
        format!("{self}+{label}")
    }

    /// Whether text in responses has lost white space, `-`, `_`, its case, and numbers their signs.
    /// spec: autotrainer 6.3
    #[must_use]
    pub fn has_lossy_responses(self) -> bool {
        self < Self::V0_9_14
    }

    /// Whether event kinds have the numbers of 0.12.0 rather than those of 0.9.11.
    #[must_use]
    pub fn has_new_event_kinds(self) -> bool {
        self >= Self::V0_9_17
    }

    /// Whether commands have the numbers of 0.12.0 rather than those of 0.9.11.
    #[must_use]
    pub fn has_new_commands(self) -> bool {
        self >= Self::V0_9_21
    }

    /// Whether an unreadable request is answered; before, it ends the service. spec: autotrainer 7.3
    #[must_use]
    pub fn answers_unreadable_requests(self) -> bool {
        self >= Self::V0_9_18
    }
}

impl Default for ProtocolLevel {
    fn default() -> Self {
        Self::NEWEST
    }
}

/// The version that the level starts at: `0.9.11`.
impl fmt::Display for ProtocolLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.first_version();
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The first three numbers of a version; missing ones count as 0.
fn numbers(version: &str) -> Option<(u64, u64, u64)> {
    let release = version.trim_start().trim_start_matches('v');
    let end = release.find(|char: char| !char.is_ascii_digit() && char != '.');
    let mut parts = release[..end.unwrap_or(release.len())]
        .split('.')
        .map(str::parse);
    let major = parts.next()?.ok()?;
    let mut next = || parts.next().and_then(Result::ok).unwrap_or(0);
    Some((major, next(), next()))
}

#[cfg(test)]
mod tests {
    use super::ProtocolLevel;

    #[test]
    fn boundaries_of_the_tables() {
        let level = ProtocolLevel::of_version;
        assert!(level("0.9.13").has_lossy_responses() && !level("0.9.14").has_lossy_responses());
        assert!(!level("0.9.16").has_new_event_kinds() && level("0.9.17").has_new_event_kinds());
        assert!(!level("0.9.20").has_new_commands() && level("0.9.21").has_new_commands());
        assert!(!level("0.9.17").answers_unreadable_requests());
    }

    #[test]
    fn versions_of_every_kind() {
        let level = ProtocolLevel::of_version;
        assert_eq!(level("0.8"), ProtocolLevel::V0_9_11);
        assert_eq!(level("0.10"), ProtocolLevel::V0_9_24);
        assert_eq!(level("0.12.0rc1"), ProtocolLevel::V0_12_0);
        assert_eq!(level("1.0.0"), ProtocolLevel::V0_12_0);
        assert_eq!(level(""), ProtocolLevel::NEWEST);
        assert_eq!(level("99999999999999999999.1"), ProtocolLevel::NEWEST);
        for &each in ProtocolLevel::ALL {
            assert_eq!(level(&each.to_string()), each);
            assert_eq!(level(&each.heartbeat_version("nodewire 0.1.0")), each);
        }
    }
}
