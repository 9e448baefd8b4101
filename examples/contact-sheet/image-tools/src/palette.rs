//! Palette: the colours that a photograph is mostly made of.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use nodewire::prelude::*;
use serde::Serialize;

/// Pictures are scaled to so many pixels a side before their colours are counted.
const SAMPLE_SIDE: u32 = 96;

/// The colours of one photograph, the most frequent first.
#[derive(Debug, Serialize)]
pub(crate) struct Palette {
    colors: Vec<Share>,
}

#[derive(Debug, Serialize)]
struct Share {
    color: String,
    /// Its part of the picture, from 0 to 1.
    share: f32,
}

/// Finds the dominant colours of each photograph.
#[node(
    category = "Photographs",
    version = "1.0.0",
    output(name = "palettes", type = "object")
)]
pub(crate) async fn palette(
    #[input(type = "asset")] photos: Vec<AssetRef>,
    /// How many colours.
    #[param(default = 6, min = 1, max = 16, label = "Colours")]
    colors: usize,
    context: &Context,
) -> Result<Vec<Palette>, NodeError> {
    let total = photos.len() as u64;
    let mut palettes = Vec::new();
    for (number, photo) in (1_u64..).zip(&photos) {
        let content = context.assets().fetch(photo).await?;
        palettes
            .push(crate::blocking(move || Ok(dominant(&crate::decode(&content)?, colors))).await?);
        context.progress(number, total, format!("palette {number} of {total}"));
    }
    Ok(palettes)
}

/// Median cut: the box of colours with the widest spread is halved until there are enough boxes.
fn dominant(photo: &RgbImage, count: usize) -> Palette {
    let sample = imageops::resize(photo, SAMPLE_SIDE, SAMPLE_SIDE, FilterType::Triangle);
    let mut boxes: Vec<Vec<Rgb<u8>>> = vec![sample.pixels().copied().collect()];
    while boxes.len() < count {
        let Some((widest, channel)) = widest(&boxes) else {
            break;
        };
        let mut pixels = boxes.swap_remove(widest);
        pixels.sort_unstable_by_key(|pixel| pixel[channel]);
        let upper = pixels.split_off(pixels.len() / 2);
        boxes.extend([pixels, upper]);
    }
    boxes.sort_by_key(|pixels| std::cmp::Reverse(pixels.len()));
    let all = (SAMPLE_SIDE * SAMPLE_SIDE) as f32;
    let share = |pixels: &Vec<Rgb<u8>>| Share {
        color: crate::color::show(mean(pixels)),
        share: pixels.len() as f32 / all,
    };
    Palette {
        colors: boxes.iter().map(share).collect(),
    }
}

/// The box with the widest spread weighted by its size, and the channel of that spread; none if all are of one colour.
fn widest(boxes: &[Vec<Rgb<u8>>]) -> Option<(usize, usize)> {
    let spread = |pixels: &[Rgb<u8>], channel: usize| {
        let values = || pixels.iter().map(|pixel| usize::from(pixel[channel]));
        values().max().unwrap_or_default() - values().min().unwrap_or_default()
    };
    let candidates = boxes.iter().enumerate().flat_map(|(index, pixels)| {
        (0..3).map(move |channel| {
            (
                spread(pixels, channel) * spread(pixels, channel) * pixels.len(),
                index,
                channel,
            )
        })
    });
    candidates
        .max()
        .filter(|(score, ..)| *score > 0)
        .map(|(_, index, channel)| (index, channel))
}

fn mean(pixels: &[Rgb<u8>]) -> Rgb<u8> {
    let average = |channel: usize| {
        let sum: usize = pixels.iter().map(|pixel| usize::from(pixel[channel])).sum();
        u8::try_from(sum / pixels.len().max(1)).unwrap_or(u8::MAX)
    };
    Rgb([average(0), average(1), average(2)])
}
