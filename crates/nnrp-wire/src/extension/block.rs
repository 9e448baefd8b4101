//! Reading blocks of control extensions: all entries are found before any is looked into, as the reference does.

use super::{ControlExtension, ControlExtensionHeader, KnownExtension};
use crate::body::View;
use crate::error::{Category, WireError};
use crate::field::{Fixed, align8};
use crate::numbers::ControlExtensionFlags;
use crate::rules::{DecodeOptions, Rules};

const HEAD: u64 = ControlExtensionHeader::BYTES as u64;

/// The extensions of a block: those that are known, where a set is given.
///
/// Time and memory grow with the block's length, whatever is in it.
pub(super) fn decode(
    block: &View<'_>,
    options: &DecodeOptions<'_>,
) -> Result<Vec<ControlExtension>, WireError> {
    let mut wanted = 0;
    for entry in entries(block) {
        wanted += usize::from(entry?.is_wanted(options)?);
    }
    // All of them at once: what grows has twice the room that it needs, and is there twice while it grows.
    let mut extensions = Vec::with_capacity(wanted);
    for entry in entries(block) {
        let entry = entry?;
        if entry.is_wanted(options)? {
            let extension = entry.extension();
            let checked = check_reserved(&extension, &options.rules);
            checked.map_err(|error| error.moved(entry.payload.at()))?;
            extensions.push(extension);
        }
    }
    if !options.rules.repeated_extensions && extensions.len() > 1 {
        check_repetition(block, options)?;
    }
    Ok(extensions)
}

/// An extension where it stands.
struct Entry<'b> {
    header: ControlExtensionHeader,
    at: usize,
    payload: View<'b>,
}

impl<'b> Entry<'b> {
    /// The first of a block, and its bytes with padding.
    fn first(rest: &View<'b>) -> Result<(Self, u64), WireError> {
        let truncated = |limit| {
            let error = rest.error(Category::ControlExtensionTruncated, "control extension");
            error.found(rest.bytes_u64()).limit(limit)
        };
        if rest.bytes_u64() < HEAD {
            return Err(truncated(HEAD));
        }
        let header = ControlExtensionHeader::read(rest, 0)?;
        let end = HEAD + u64::from(header.ext_len);
        let padded_end = align8(end);
        let parts = rest.part(HEAD..end).zip(rest.part(end..padded_end));
        let (payload, padding) = parts.ok_or_else(|| truncated(padded_end))?;
        padding.check_zero("control extension padding")?;
        let entry = Self {
            header,
            at: rest.at(),
            payload,
        };
        Ok((entry, padded_end))
    }

    fn is_wanted(&self, options: &DecodeOptions<'_>) -> Result<bool, WireError> {
        let Some(known) = options.known_control_extensions else {
            return Ok(true);
        };
        let ControlExtensionHeader {
            ext_type,
            ext_flags,
            ..
        } = self.header;
        let is_known = known.contains(&ext_type);
        if !is_known && ext_flags.contains(ControlExtensionFlags::CRITICAL) {
            let error = WireError::new(Category::UnknownCriticalExtension, "ext_type");
            return Err(error.at(self.at).found(u64::from(ext_type)));
        }
        Ok(is_known)
    }

    fn extension(&self) -> ControlExtension {
        ControlExtension {
            ext_type: self.header.ext_type,
            flags: self.header.ext_flags,
            payload: self.payload.to_bytes(),
        }
    }
}

/// Entry by entry; nothing follows an error.
fn entries<'b>(block: &View<'b>) -> impl Iterator<Item = Result<Entry<'b>, WireError>> {
    let mut rest = *block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let first = Entry::first(&rest);
        let bytes = first.as_ref().map_or(u64::MAX, |(_, bytes)| *bytes);
        rest = rest.rest(bytes);
        Some(first.map(|(entry, _)| entry))
    })
}

/// Reserved fields of known extensions that the reference ignores (Q5).
fn check_reserved(extension: &ControlExtension, rules: &Rules) -> Result<(), WireError> {
    match extension.known()? {
        Some(KnownExtension::ClientTransportPolicy(policy)) => policy.check_reserved(rules),
        Some(KnownExtension::ServerTransportPolicy(policy)) => policy.check_reserved(rules),
        Some(KnownExtension::LossTolerance(_) | KnownExtension::PayloadCapabilities(_)) | None => {
            Ok(())
        }
    }
}

/// That no type comes twice. Sorted, since comparing each with all before it takes seconds for half a megabyte.
fn check_repetition(block: &View<'_>, options: &DecodeOptions<'_>) -> Result<(), WireError> {
    let mut seen = Vec::with_capacity(block.len() / ControlExtensionHeader::BYTES);
    for entry in entries(block) {
        let entry = entry?;
        if entry.is_wanted(options)? {
            // A block has at most 4 GiB.
            let place = u32::try_from(entry.at - block.at()).unwrap_or(u32::MAX);
            seen.push((entry.header.ext_type, place));
        }
    }
    seen.sort_unstable();
    let pairs = seen.iter().zip(seen.iter().skip(1));
    let repeated = pairs.filter(|(before, after)| before.0 == after.0);
    match repeated.map(|(_, after)| after).min_by_key(|after| after.1) {
        None => Ok(()),
        Some((ext_type, place)) => {
            let error = WireError::new(Category::DuplicateObject, "ext_type");
            let at = block.at().saturating_add(*place as usize);
            Err(error.at(at).found(u64::from(*ext_type)))
        }
    }
}
