//! ERROR. spec: nnrp-wire 2.7

use crate::field::fixed;
use crate::numbers::{ErrorCode, ErrorScope};

fixed! {
    /// What went wrong.
    ErrorMetadata[32] {
        /// An [`ErrorCode`], or a number that is none.
        0 error_code: u32,
        /// What it concerns.
        4 error_scope: ErrorScope,
        /// Whether that is over; anything but 0 is yes.
        8 is_fatal: u32,
        /// When to try again, in ms.
        12 retry_after_ms: u32,
        /// The session.
        16 related_session_id: u32,
        /// The frame.
        20 related_frame_id: u32,
        /// The view; 32 bits here, 16 in headers.
        24 related_view_id: u32,
        /// Bytes of the diagnostic text, the body.
        28 diagnostic_bytes: u32,
    }
}

impl ErrorMetadata {
    /// The code, if it is a known one.
    #[must_use]
    pub const fn known_code(&self) -> Option<ErrorCode> {
        ErrorCode::from_number(self.error_code as u64)
    }
}
