//! How strictly packets are read.

/// What is tolerated beyond the design; each is one quirk of the reference. spec: nnrp-wire 10
///
/// ```
/// use nnrp_wire::Rules;
///
/// // As strict as can be, but for a peer that numbers its packets by another version.
/// let rules = Rules { any_version: true, ..Rules::STRICT };
/// assert!(!rules.reserved_fields);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Rules {
    /// `version_major` may be any (Q1).
    pub any_version: bool,
    /// Messages without content may have some (Q2).
    pub content_where_none: bool,
    /// `frame_class` may be any (Q4).
    pub any_frame_class: bool,
    /// Reserved fields that the reference carries through or ignores may be other than zero (Q5).
    pub reserved_fields: bool,
    /// A control extension may come twice (Q7).
    pub repeated_extensions: bool,
    /// ERROR and CACHE_PUT may say another length than their body has (Q9).
    pub declared_lengths: bool,
    /// FLOW_UPDATE may come with a session that does not fit its scope (Q10).
    pub flow_scope: bool,
    /// STALE_REUSE may leave open which frame it reuses (Q12).
    pub stale_without_frame: bool,
    /// A result of no kind may have a body (Q13).
    pub body_of_no_kind: bool,
    /// The padding after a camera block may be anything, and a body may end inside the block (Q16).
    pub camera_padding: bool,
    /// Extension payload bytes may belong to no extension (Q17).
    pub extension_bytes: bool,
    /// Inline objects of kinds without a slot may repeat (Q18).
    pub repeated_objects: bool,
    /// MIXED and REFERENCE may come without a reference (Q21).
    pub modes_without_reference: bool,
    /// Decoded tile ids may be above 65535 (Q22).
    pub large_tile_ids: bool,
}

impl Rules {
    /// The design text, and every rule.
    pub const STRICT: Self = Self::all(false);

    /// Exactly what the reference accepts.
    pub const COMPATIBLE: Self = Self::all(true);

    const fn all(tolerated: bool) -> Self {
        Self {
            any_version: tolerated,
            content_where_none: tolerated,
            any_frame_class: tolerated,
            reserved_fields: tolerated,
            repeated_extensions: tolerated,
            declared_lengths: tolerated,
            flow_scope: tolerated,
            stale_without_frame: tolerated,
            body_of_no_kind: tolerated,
            camera_padding: tolerated,
            extension_bytes: tolerated,
            repeated_objects: tolerated,
            modes_without_reference: tolerated,
            large_tile_ids: tolerated,
        }
    }
}

/// How to decode: which rules, and which extensions are known.
///
/// Without a set of known extensions all of them are kept, and whether one is critical is the caller's business. With a
/// set, unknown ones are left out, and refused if they are critical (Q6, Q20).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions<'a> {
    /// What is tolerated.
    pub rules: Rules,
    /// Types of control extensions that the caller understands.
    pub known_control_extensions: Option<&'a [u16]>,
    /// Kinds of extension frames that the caller understands.
    pub known_extension_frames: Option<&'a [u16]>,
    /// Whether a result that declares a tensor and nothing else may be a composed body; it is tried as a flat one first
    /// (Q15).
    pub composed_tensor_results: bool,
}

impl DecodeOptions<'static> {
    /// [`Rules::STRICT`]; known are the control extensions of this crate and no extension frames, since none are
    /// registered.
    pub const STRICT: Self = Self {
        rules: Rules::STRICT,
        known_control_extensions: Some(&[0x0101, 0x0102, 0x0103, 0x0104, 0x0105, 0x0106]),
        known_extension_frames: Some(&[]),
        composed_tensor_results: false,
    };

    /// [`Rules::COMPATIBLE`]; every extension is kept.
    pub const COMPATIBLE: Self = Self {
        rules: Rules::COMPATIBLE,
        known_control_extensions: None,
        known_extension_frames: None,
        composed_tensor_results: false,
    };
}
