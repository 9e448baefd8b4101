//! A result that has what its submit has.

use bytes::Bytes;
use nnrp_wire::body::{Section, TensorSection};
use nnrp_wire::build::{ResultWorth, TensorOutput, Tiles};
use nnrp_wire::{FrameSubmit, ResultPush, SubmitBody, WireError};

/// Tiles, sections and payloads of the submit, as far as they are in it.
pub(super) fn echo(submit: &FrameSubmit) -> Result<ResultPush, WireError> {
    let mut builder = ResultPush::builder(ResultWorth::COMPLETE);
    let (index, sections) = match &submit.body {
        SubmitBody::Flat(flat) => (Some(&flat.tile_index), flat.sections.as_slice()),
        SubmitBody::Composed(composed) => {
            let payloads = &composed.body().typed;
            if !payloads.is_empty() {
                builder = builder.payloads(payloads.iter());
            }
            (
                composed.tile_index(),
                composed.sections().unwrap_or_default(),
            )
        }
    };
    // Ids beyond 16 bits can only be those of a dense range, and a result cannot list them.
    let ids: Result<Vec<u16>, _> = index
        .into_iter()
        .flat_map(|index| index.ids())
        .map(u16::try_from)
        .collect();
    let ids = ids.unwrap_or_default();
    let tiles: Vec<Vec<Bytes>> = sections
        .iter()
        .map(|section| section.tiles().collect())
        .collect();
    let sections: Vec<_> = sections
        .iter()
        .zip(&tiles)
        .map(|(section, tiles)| of_tiles(section, tiles))
        .collect();
    if !ids.is_empty() {
        builder = builder.tensor(TensorOutput {
            tiles: Tiles::raw(&ids),
            sections: &sections,
            dropped_tile_count: 0,
        });
    }
    builder.build()
}

fn of_tiles<'t>(section: &Section, tiles: &'t [Bytes]) -> TensorSection<'t> {
    let descriptor = section.descriptor();
    let has_codecs = !section.codec_table().is_empty();
    TensorSection {
        layout: descriptor.layout_id,
        scale_policy: descriptor.scale_policy,
        codec_id: descriptor.codec_id,
        codecs: has_codecs.then(|| section.codecs().collect()),
        element_count_per_tile: descriptor.element_count_per_tile,
        stride_bytes: descriptor.payload_stride_bytes,
        ..TensorSection::new(descriptor.role_id, descriptor.dtype_id, tiles)
    }
}
