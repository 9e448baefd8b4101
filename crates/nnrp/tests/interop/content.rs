//! The content of frames and results, as both say it.

use bytes::Bytes;
use nnrp_wire::body::{FlatBody, Section, TensorSection, TypedPayload};
use nnrp_wire::build::{ResultWorth, TensorInput, TensorOutput, Tiles};
use nnrp_wire::{Composed, DType, FrameSubmit, ResultBody, ResultPush, SubmitBody};
use serde_json::{Value, json};

const TILES: [u16; 2] = [1, 2];
const ROLE: u16 = 1;
const PAYLOADS: [&[u8]; 2] = [b"\xaa", b"\xbb\xcc"];

/// What a frame or its result has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Tensor,
    Typed,
    Mixed,
}

impl Content {
    pub(crate) const ALL: [Self; 3] = [Self::Tensor, Self::Typed, Self::Mixed];

    const fn has_tensor(self) -> bool {
        matches!(self, Self::Tensor | Self::Mixed)
    }

    const fn has_typed(self) -> bool {
        matches!(self, Self::Typed | Self::Mixed)
    }

    pub(crate) fn submit(self) -> FrameSubmit {
        let payloads = PAYLOADS.map(Bytes::from_static);
        let sections = [TensorSection::new(ROLE, DType::UInt8, &payloads)];
        let mut builder = FrameSubmit::builder();
        if self.has_tensor() {
            builder = builder.tensor(TensorInput {
                tiles: Tiles::raw(&TILES),
                sections: &sections,
                ..TensorInput::default()
            });
        }
        if self.has_typed() {
            builder = builder.payloads(typed());
        }
        builder.build().unwrap()
    }

    pub(crate) fn result(self) -> ResultPush {
        let payloads = PAYLOADS.map(Bytes::from_static);
        let sections = [TensorSection::new(ROLE, DType::UInt8, &payloads)];
        let mut builder = ResultPush::builder(ResultWorth::COMPLETE);
        if self.has_tensor() {
            builder = builder.tensor(TensorOutput {
                tiles: Tiles::raw(&TILES),
                sections: &sections,
                dropped_tile_count: 0,
            });
        }
        if self.has_typed() {
            builder = builder.payloads(typed());
        }
        builder.build().unwrap()
    }

    /// What their `submit` and `result` are to have.
    pub(crate) fn fields(self) -> Value {
        let mut fields = json!({});
        if self.has_tensor() {
            fields["tile_ids"] = json!(TILES);
            let payloads = PAYLOADS.map(nodewire_testkit::to_hex);
            fields["sections"] = json!([{
                "role_id": ROLE, "default_codec_id": 0, "dtype_id": "UINT8", "tile_payloads": payloads,
            }]);
        }
        if self.has_typed() {
            fields["typed_payloads"] = json!([
                {"payload_kind": "TOKEN_CHUNK", "payload": "0102", "profile_id": 4},
                {"payload_kind": "TOOL_DELTA", "payload": "", "profile_id": 0},
            ]);
        }
        fields
    }

    /// They have got all of it.
    pub(crate) fn check_told(self, told: &Value) {
        let fields = self.fields();
        let or_none = |value: &Value| match value {
            Value::Null => json!([]),
            value => value.clone(),
        };
        assert_eq!(told["tile_ids"], or_none(&fields["tile_ids"]), "{told}");
        let payloads = &told["sections"][0]["tile_payloads"];
        assert_eq!(*payloads, fields["sections"][0]["tile_payloads"], "{told}");
        assert_eq!(
            told["typed_payloads"],
            or_none(&fields["typed_payloads"]),
            "{told}"
        );
    }

    /// We have got all of it.
    pub(crate) fn check_submit(self, submit: &FrameSubmit) {
        match &submit.body {
            SubmitBody::Flat(flat) => self.check_flat(flat),
            SubmitBody::Composed(composed) => self.check_composed(composed),
        }
    }

    pub(crate) fn check_result(self, result: &ResultPush) {
        match &result.body {
            ResultBody::Flat(flat) => self.check_flat(flat),
            ResultBody::Composed(composed) => self.check_composed(composed),
            ResultBody::Empty => panic!("{result:?}"),
        }
    }

    fn check_flat(self, flat: &FlatBody) {
        assert_eq!(self, Self::Tensor);
        assert_eq!(flat.tile_index.ids().collect::<Vec<_>>(), [1, 2]);
        check_sections(&flat.sections);
    }

    fn check_composed(self, composed: &Composed) {
        assert!(self.has_typed());
        let got: Vec<_> = composed.body().typed.iter().collect();
        assert_eq!(got, typed());
        assert_eq!(composed.tile_index().is_some(), self.has_tensor());
        if let Some(index) = composed.tile_index() {
            assert_eq!(index.ids().collect::<Vec<_>>(), [1, 2]);
            check_sections(composed.sections().unwrap());
        }
    }
}

fn typed() -> [TypedPayload; 2] {
    [
        TypedPayload::token_chunk(&b"\x01\x02"[..]).with_profile(4),
        TypedPayload::tool_delta(""),
    ]
}

fn check_sections(sections: &[Section]) {
    let [section] = sections else {
        panic!("{sections:?}");
    };
    assert_eq!(section.tiles().collect::<Vec<_>>(), PAYLOADS);
}
