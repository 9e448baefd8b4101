//! NNRP packets in byte streams.

use bytes::Bytes;
use nnrp_wire::{Packet, SplitLimits, Splitter, WireError};

/// Small, so that inputs reach them.
const LIMITS: SplitLimits = SplitLimits {
    body_bytes_max: 512,
    probe_bytes_max: 1024,
    ..SplitLimits::BEFORE_HELLO
};

/// The packets are the same however the stream is cut, are written as they came, and no more is kept than came. The
/// first byte says where to cut, the stream follows.
pub fn nnrp_splitter(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else {
        return;
    };
    for limits in [
        LIMITS,
        SplitLimits {
            any_metadata_length: true,
            ..LIMITS
        },
    ] {
        let whole = split(stream, limits, |left| left);
        for cut in [1, 39, 41] {
            assert_eq!(split(stream, limits, |_| cut), whole, "cut at {cut}");
        }
        let mut state = u32::from(*seed);
        let uneven = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as usize
        };
        assert_eq!(split(stream, limits, uneven), whole, "cut by {seed}");
        let written: Vec<u8> = whole.0.iter().flat_map(Packet::encode).collect();
        assert_eq!(written, stream[..written.len()]);
    }
}

type Outcome = (Vec<Packet>, Result<(), WireError>);

fn split(stream: &[u8], limits: SplitLimits, mut cut: impl FnMut(usize) -> usize) -> Outcome {
    let mut splitter = Splitter::new(limits);
    let mut packets = Vec::new();
    let mut rest = Bytes::copy_from_slice(stream);
    while !rest.is_empty() {
        let bytes = cut(rest.len()).clamp(1, rest.len());
        let mut chunk = rest.split_to(bytes);
        loop {
            match splitter.split(&mut chunk) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(splitter.end(), Err(error));
                    assert_eq!(splitter.buffer_capacity(), 0);
                    return (packets, Err(error));
                }
            }
        }
        assert!(chunk.is_empty());
        assert!(splitter.buffer_capacity() <= 2 * splitter.buffered_bytes().max(bytes));
    }
    (packets, splitter.end())
}
