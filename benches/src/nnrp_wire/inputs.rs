//! What is written and read.

use bytes::Bytes;

/// Payload of a packet.
#[derive(Debug, Clone)]
pub struct Content {
    /// For people.
    pub name: &'static str,
    /// All of it.
    pub payload: Bytes,
    /// The same in tiles.
    pub tiles: Vec<Bytes>,
    /// Their ids.
    pub ids: Vec<u16>,
}

const KIB: usize = 1024;

/// Name, bytes, tiles.
pub const SIZES: [(&str, usize, u16); 3] = [
    ("1 KiB", KIB, 4),
    ("64 KiB", 64 * KIB, 16),
    ("1 MiB", 1024 * KIB, 64),
];

impl Content {
    /// One of each size.
    #[must_use]
    pub fn all() -> Vec<Self> {
        SIZES.into_iter().map(Self::new).collect()
    }

    fn new((name, bytes, tiles): (&'static str, usize, u16)) -> Self {
        let pattern = (0..=u8::MAX).cycle().take(bytes);
        let payload: Bytes = pattern.collect::<Vec<_>>().into();
        let tile_bytes = bytes / usize::from(tiles);
        let starts = (0..bytes).step_by(tile_bytes);
        Self {
            name,
            tiles: starts
                .map(|start| payload.slice(start..start + tile_bytes))
                .collect(),
            payload,
            ids: (0..tiles).collect(),
        }
    }

    /// A kind of packet with this content.
    #[must_use]
    pub fn kind(&self, kind: &str) -> String {
        format!("{kind} {}", self.name)
    }
}

/// The session of all packets.
pub const SESSION_ID: u32 = 7;
/// The frame of all packets that have one.
pub const FRAME_ID: u32 = 41;
