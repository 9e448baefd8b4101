//! The camera block of the replay tools. spec: nnrp-session 7.1

use bytes::Bytes;
use thiserror::Error;

/// Matrices of a camera, and how it trembles.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CameraBlock {
    /// From the world to the camera.
    pub view: Vec<f32>,
    /// From the camera to the screen.
    pub projection: Vec<f32>,
    /// From the world to the screen, one frame before.
    pub previous_view_projection: Vec<f32>,
    /// In x and y.
    pub jitter: [f32; 2],
}

/// Why bytes are no camera block, or a camera does not fit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CameraError {
    /// It ends too early.
    #[error("the camera block has {found} bytes, but needs {needed}")]
    Truncated {
        /// Bytes that it has.
        found: usize,
        /// Bytes that it needs.
        needed: usize,
    },
    /// It is none.
    #[error("a camera block begins with NRCM")]
    BadMagic,
    /// It is of another version.
    #[error("camera blocks of version {0} are not known, only those of version 1")]
    UnknownVersion(u16),
    /// Bytes follow.
    #[error("{0} bytes follow the camera block")]
    TrailingBytes(usize),
    /// A list has too many numbers for its 16-bit count.
    #[error("a list of a camera block has at most 65535 numbers, not {0}")]
    ListTooLong(usize),
    /// A number is not one of 32 bits.
    #[error("a number of a camera does not fit 32 bits")]
    NumberTooLarge,
}

const MAGIC: [u8; 4] = *b"NRCM";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 22;
const NUMBER_BYTES: usize = 4;

impl CameraBlock {
    /// The bytes on the wire.
    ///
    /// # Errors
    /// [`CameraError::ListTooLong`].
    pub fn encode(&self) -> Result<Bytes, CameraError> {
        let lists = [&self.view, &self.projection, &self.previous_view_projection];
        let numbers = lists.iter().map(|list| list.len()).sum::<usize>();
        let mut out = Vec::with_capacity(HEAD_BYTES + numbers * NUMBER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        for list in lists {
            let count =
                u16::try_from(list.len()).map_err(|_| CameraError::ListTooLong(list.len()))?;
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.extend_from_slice(&[0; 2]);
        for number in self.jitter.iter().chain(lists.into_iter().flatten()) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        Ok(out.into())
    }

    /// Reads a block that is all of `bytes`. The reserved field may be anything.
    ///
    /// # Errors
    /// If it is too short or too long, or does not begin as a camera block does.
    pub fn decode(bytes: &[u8]) -> Result<Self, CameraError> {
        let truncated = |needed| CameraError::Truncated {
            found: bytes.len(),
            needed,
        };
        let head = bytes
            .first_chunk::<HEAD_BYTES>()
            .ok_or_else(|| truncated(HEAD_BYTES))?;
        if head[..4] != MAGIC {
            return Err(CameraError::BadMagic);
        }
        let u16_at = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        if u16_at(4) != VERSION {
            return Err(CameraError::UnknownVersion(u16_at(4)));
        }
        let counts = [6, 8, 10].map(|at| usize::from(u16_at(at)));
        let end = HEAD_BYTES + counts.iter().sum::<usize>() * NUMBER_BYTES;
        if bytes.len() < end {
            return Err(truncated(end));
        }
        if bytes.len() > end {
            return Err(CameraError::TrailingBytes(bytes.len() - end));
        }
        let (numbers, _) = bytes[14..].as_chunks::<NUMBER_BYTES>();
        let mut numbers = numbers.iter().map(|number| f32::from_le_bytes(*number));
        let jitter = [(); 2].map(|()| numbers.next().unwrap_or(0.0));
        let [view, projection, previous_view_projection] =
            counts.map(|count| numbers.by_ref().take(count).collect());
        Ok(Self {
            view,
            projection,
            previous_view_projection,
            jitter,
        })
    }
}
