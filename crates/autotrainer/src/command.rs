//! Commands. spec: autotrainer 7, 8, 15.3

pub mod data;
mod late_result;
mod outgoing;
mod request;
mod response;
mod result_code;

pub use late_result::CommandResult;
pub use outgoing::OutgoingRequest;
pub use request::{CommandRequest, RequestError};
pub use response::{
    CommandAnswer, CommandResponse, ResponseError, ResponseField, unreadable_answer,
};
pub use result_code::{ErrorKind, ResultCode};

use std::fmt;

use crate::enumeration::Member;
use crate::level::ProtocolLevel;

/// Every command stands here once, with its number up to 0.9.20, and from which level on it has which.
macro_rules! commands {
    ($($variant:ident = $name:literal [$($old:literal)?] [$($new:literal $since:ident)?];)+) => {
        /// What a service can be asked to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Command {
            $(#[doc = concat!("`", $name, "`", $(", ", stringify!($old), " up to 0.9.20",)? $(", ", stringify!($new), " from level ", stringify!($since), " on",)? ".")]
            $variant,)+
        }

        impl Command {
            /// Its name in the protocol.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        const OLD: &[Row] = &[$($(Row {
            command: Command::$variant,
            number: $old,
            since: ProtocolLevel::V0_9_11,
        },)?)+];
        const NEW: &[Row] = &[$($(Row {
            command: Command::$variant,
            number: $new,
            since: ProtocolLevel::$since,
        },)?)+];
    };
}

commands! {
    None = "NONE" [0] [0 V0_9_21];
    StartAcquisition = "START_ACQUISITION" [100] [50 V0_9_21];
    StopAcquisition = "STOP_ACQUISITION" [110] [55 V0_9_21];
    SetApplicationMode = "SET_APPLICATION_MODE" [] [120 V0_9_21];
    SetTrainingMode = "SET_TRAINING_MODE" [] [130 V0_9_21];
    EmergencyStop = "EMERGENCY_STOP" [200] [200 V0_9_21];
    EmergencyResume = "EMERGENCY_RESUME" [210] [210 V0_9_21];
    GetConfiguration = "GET_CONFIGURATION" [300] [300 V0_9_21];
    GetStatus = "GET_STATUS" [400] [400 V0_9_21];
    GetAnimals = "GET_ANIMALS" [] [500 V0_9_21];
    SetLiveAnalysisEnabled = "SET_LIVE_ANALYSIS_ENABLED" [] [1000 V0_12_0];
    SetPelletDeliveryEnabled = "SET_PELLET_DELIVERY_ENABLED" [] [1010 V0_12_0];
    SetPelletCoverEnabled = "SET_PELLET_COVER_ENABLED" [] [1020 V0_12_0];
    SetIntertrialPelletShiftEnabled = "SET_INTERTRIAL_PELLET_SHIFT_ENABLED" [] [1030 V0_12_0];
    SetHomeOnExcessiveDriftEnabled = "SET_HOME_ON_EXCESSIVE_DRIFT_ENABLED" [] [1040 V0_12_0];
    SetTrianglePelletDistanceDetectionEnabled = "SET_TRIANGLE_PELLET_DISTANCE_DETECTION_ENABLED" [] [1050 V0_12_0];
    SetAutoCloseGateOnIntertrialEnabled = "SET_AUTO_CLOSE_GATE_ON_INTERTRIAL_ENABLED" [] [1060 V0_12_0];
    SetAutoClampEnabled = "SET_AUTO_CLAMP_ENABLED" [] [1070 V0_12_0];
    SetTunnelSweepEnabled = "SET_TUNNEL_SWEEP_ENABLED" [] [1080 V0_12_0];
    SetBatchTrialsEnabled = "SET_BATCH_TRIALS_ENABLED" [] [1090 V0_12_0];
    UserDefined = "USER_DEFINED" [99999] [99999 V0_9_21];
}

/// One command at one level.
#[derive(Debug, Clone, Copy)]
struct Row {
    command: Command,
    number: i64,
    since: ProtocolLevel,
}

impl Command {
    /// The number of [`Command::UserDefined`], at every level: what an unknown command counts as.
    pub const USER_DEFINED_NUMBER: i64 = 99999;

    /// The command of this number at this level.
    #[must_use]
    pub fn from_number(number: i64, level: ProtocolLevel) -> Option<Self> {
        rows(level)
            .find(|row| row.number == number)
            .map(|row| row.command)
    }

    /// Its number at this level; `None` if there is none.
    ///
    /// ```
    /// use autotrainer_api::{Command, ProtocolLevel};
    ///
    /// assert_eq!(Command::StartAcquisition.number(ProtocolLevel::V0_9_11), Some(100));
    /// assert_eq!(Command::StartAcquisition.number(ProtocolLevel::V0_12_0), Some(50));
    /// assert_eq!(Command::GetAnimals.number(ProtocolLevel::V0_9_11), None);
    /// ```
    #[must_use]
    pub fn number(self, level: ProtocolLevel) -> Option<i64> {
        rows(level)
            .find(|row| row.command == self)
            .map(|row| row.number)
    }

    /// All of this level, for [`resolve`](crate::resolve).
    pub fn members(level: ProtocolLevel) -> impl Iterator<Item = Member<Self>> {
        rows(level).map(|row| Member {
            name: row.command.name(),
            value: row.number,
            member: row.command,
        })
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn rows(level: ProtocolLevel) -> impl Iterator<Item = &'static Row> {
    let table = if level.has_new_commands() { NEW } else { OLD };
    table.iter().filter(move |row| row.since <= level)
}

#[cfg(test)]
mod tests {
    use super::{Command, rows};
    use crate::level::ProtocolLevel;

    #[test]
    fn numbers_and_commands_are_one_to_one_at_every_level() {
        for &level in ProtocolLevel::ALL {
            for row in rows(level) {
                assert_eq!(Command::from_number(row.number, level), Some(row.command));
                assert_eq!(row.command.number(level), Some(row.number));
            }
            let user_defined = Command::UserDefined.number(level);
            assert_eq!(user_defined, Some(Command::USER_DEFINED_NUMBER));
        }
    }

    #[test]
    fn as_many_as_the_peer_has() {
        assert_eq!(Command::members(ProtocolLevel::V0_9_11).count(), 8);
        assert_eq!(Command::members(ProtocolLevel::V0_9_21).count(), 11);
        assert_eq!(Command::members(ProtocolLevel::V0_12_0).count(), 21);
    }
}
