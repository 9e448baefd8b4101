//! Which extensions a side understands. spec: nnrp-wire 10 (Q6, Q20)

use crate::rules::{DecodeOptions, Rules};

/// Which extensions the caller understands. With a set, others are left out, and a message that has a critical one is not
/// read: a hello or its answer is refused then, a submit or a result fails its frame. Without a set (`None`), all are
/// kept, and whether one is critical is the caller's business; the reference reads like that, and ignores them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownExtensions {
    /// Types of control extensions, in hellos and their answers; those of this crate.
    pub control: Option<Vec<u16>>,
    /// Kinds of extension frames, in submits and results; none, since none are registered.
    pub frames: Option<Vec<u16>>,
}

impl KnownExtensions {
    /// Everything is kept, as the reference does.
    pub const KEEP_ALL: Self = Self {
        control: None,
        frames: None,
    };

    pub(super) fn decode_options(&self, rules: Rules) -> DecodeOptions<'_> {
        DecodeOptions {
            rules,
            known_control_extensions: self.control.as_deref(),
            known_extension_frames: self.frames.as_deref(),
            ..DecodeOptions::STRICT
        }
    }
}

impl Default for KnownExtensions {
    /// The sets of [`DecodeOptions::STRICT`].
    fn default() -> Self {
        let strict = DecodeOptions::STRICT;
        Self {
            control: strict.known_control_extensions.map(<[u16]>::to_vec),
            frames: strict.known_extension_frames.map(<[u16]>::to_vec),
        }
    }
}
