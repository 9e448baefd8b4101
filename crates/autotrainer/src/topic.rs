//! Topics of the event channel. spec: autotrainer 2

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the first frame of a published message says: four bytes, little-endian.
///
/// Any 32-bit value may be used by an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Topic(pub u32);

/// Every named topic stands here once.
macro_rules! topics {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)+) => {
        impl Topic {
            $($(#[$doc])* pub const $name: Self = Self($value);)+

            /// The topics that have a name.
            pub const NAMED: &'static [(Self, &'static str)] = &[$((Self::$name, stringify!($name))),+];
        }
    };
}

topics! {
    /// For subscribing: every topic. Nothing is published with it in normal operation. spec: autotrainer 2.2
    ANY = 0;
    /// Who publishes, which version, and that it is alive.
    HEARTBEAT = 1001;
    /// Copies of emergency events. spec: autotrainer 5.3
    EMERGENCY = 2001;
    /// Events.
    EVENT = 4001;
    /// Changes of properties. spec: autotrainer 5.4
    PROPERTY_CHANGE = 5001;
    /// Late results of commands. spec: autotrainer 5.5
    COMMAND_RESULT = 6001;
}

impl Topic {
    /// Bytes of a topic frame.
    pub const FRAME_BYTES: usize = 4;

    /// The topic frame.
    ///
    /// ```
    /// # use autotrainer_api::Topic;
    /// assert_eq!(Topic::EVENT.to_frame(), [0xa1, 0x0f, 0, 0]);
    /// ```
    #[must_use]
    pub const fn to_frame(self) -> [u8; Self::FRAME_BYTES] {
        self.0.to_le_bytes()
    }

    /// The topic of a frame of exactly four bytes.
    #[must_use]
    pub fn from_frame(frame: &[u8]) -> Option<Self> {
        frame.try_into().ok().map(u32::from_le_bytes).map(Self)
    }

    /// What to subscribe to: the whole frame, or nothing at all for [`Topic::ANY`].
    #[must_use]
    pub fn subscription_prefix(self) -> Vec<u8> {
        if self == Self::ANY {
            Vec::new()
        } else {
            self.to_frame().to_vec()
        }
    }

    /// The name, if it has one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let named = Self::NAMED.iter().find(|(topic, _)| *topic == self);
        named.map(|(_, name)| *name)
    }

    /// Where an event of this kind is published, in order: emergencies twice. spec: autotrainer 5.3
    #[must_use]
    pub const fn of_event(kind: i64) -> &'static [Self] {
        match kind {
            101 | 102 => &[Self::EMERGENCY, Self::EVENT],
            _ => &[Self::EVENT],
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}
