//! How a command went. spec: autotrainer 8.1, 8.2

use crate::enumeration::integers;

integers! {
    /// How a command went. Unknown numbers count as failures.
    ResultCode {
        Unrecognized = 0 "UNRECOGNIZED",
        Success = 100 "SUCCESS",
        Pending = 200 "PENDING",
        PendingWithNotification = 201 "PENDING_WITH_NOTIFICATION",
        Failed = 400 "FAILED",
        Exception = 500 "EXCEPTION",
        Unavailable = 9999 "UNAVAILABLE",
    }
    /// Where an error comes from.
    ErrorKind {
        None = 0 "NONE",
        SystemError = 1 "SYSTEM_ERROR",
        CommandError = 2 "COMMAND_ERROR",
    }
}

impl ResultCode {
    /// Whether it was done, or was started.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Pending | Self::PendingWithNotification
        )
    }
}
