//! Packets with something wrong, or with something else right.

use bytes::Bytes;
use nnrp_wire::Header;

use crate::random::Random;

/// Mostly behind the header, whose lengths mostly stay right, so that what is wrong is not found at once.
pub(crate) fn mutant(bytes: &Bytes, random: &mut Random) -> Bytes {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(2) {
        if random.below(12) == 0 {
            let at = random.below(Header::BYTES);
            bytes[at] ^= 1 << random.below(8);
            continue;
        }
        let content = bytes.len() - Header::BYTES;
        match random.below(6) {
            0 if content > 0 => {
                let shorter = bytes.len() - 1 - random.below(content.min(20));
                bytes.truncate(shorter);
            }
            1 => bytes.extend(random.bytes(20)),
            2 if content > 4 => {
                // A field of four bytes becomes something that fields are.
                let at = Header::BYTES + random.below(content / 4) * 4;
                let value = random.pick(&[0, 1, 2, 3, 7, 8, 16, 255, u32::MAX]);
                bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            3 if content > 0 => {
                let at = Header::BYTES + random.below(content);
                bytes[at] = random.pick(&[0, 1, 2, 3, 4, 8, 0x7f, 0xff]);
            }
            _ if content > 0 => {
                let at = Header::BYTES + random.below(content);
                bytes[at] ^= 1 << random.below(8);
            }
            _ => {}
        }
    }
    if random.below(12) != 0 {
        fix_lengths(&mut bytes);
    }
    bytes.into()
}

/// What is behind the metadata is the body; what is missing of the metadata, too.
fn fix_lengths(bytes: &mut [u8]) {
    let metadata = u32::from_le_bytes(bytes[12..16].try_into().unwrap());
    let content = u32::try_from(bytes.len() - Header::BYTES).unwrap();
    let metadata = metadata.min(content);
    bytes[12..16].copy_from_slice(&metadata.to_le_bytes());
    bytes[16..20].copy_from_slice(&(content - metadata).to_le_bytes());
}
