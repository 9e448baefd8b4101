//! Frames and results of a host as packets, how large those are, and how that compares. spec: nnrp-session 7
//!
//! ```
//! use nnrp_wire::replay::{FeatureTile, FrameFeatures, SubmitOptions, WireSummary};
//!
//! let features = FrameFeatures {
//!     session: "session-alpha".into(),
//!     frame_id: 7,
//!     src_width: 96,
//!     src_height: 64,
//!     tile_size: 32,
//!     tiles: vec![FeatureTile { x: 2, luma_hint: "abcd".into(), ..FeatureTile::default() }],
//!     ..FrameFeatures::default()
//! };
//! let packet = features.to_packet(&SubmitOptions::default())?;
//! let summary = WireSummary::of(&packet)?;
//! assert_eq!(
//!     summary.to_string(),
//!     "subject=frame_submit msg=FRAME_SUBMIT wire=184 meta=72 body=72 tiles=1 sections=1 tile_index=2 camera=22 roles=5"
//! );
//! assert!(summary.compared_with(512, "json").to_string().contains("delta=-328 current_ratio=35.93%"));
//! # Ok::<(), nnrp_wire::replay::ReplayError>(())
//! ```

mod camera;
mod coverage;
mod enhance_result;
mod error;
mod frame_features;
#[cfg(feature = "inspect")]
mod json;
mod summary;
mod tiles;

pub use camera::{CameraBlock, CameraError};
pub use enhance_result::{EnhanceResult, EnhanceTile, ResultOptions};
pub use error::ReplayError;
pub use frame_features::{CacheKey, FeatureTile, FrameFeatures, SubmitOptions};
pub use summary::{WireSizeComparison, WireSummary};
pub use tiles::ReplayCodec;

/// The number of a session or trace that has a text for a name: CRC-32 (IEEE) of it.
#[must_use]
pub fn name_to_id(name: &str) -> u32 {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    let shift = |crc: u32, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
    let crc = name.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), shift)
    });
    !crc
}

/// The number of a trace; 0 without a name.
fn trace_id(given: Option<u64>, name: &str) -> u64 {
    given.unwrap_or_else(|| match name {
        "" => 0,
        name => u64::from(name_to_id(name)),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_have_the_usual_checksum() {
        // The check value of CRC-32.
        assert_eq!(super::name_to_id("123456789"), 0xCBF4_3926);
        assert_eq!(super::name_to_id(""), 0);
    }
}
