//! Thumbnails: square pictures of equal size.

use image::RgbImage;
use image::imageops::{self, FilterType};
use nodewire::prelude::*;

/// Cuts each photograph to a square and scales it.
#[node(
    category = "Photographs",
    version = "1.0.0",
    output(name = "thumbnails", type = "asset:image")
)]
pub(crate) async fn thumbnails(
    #[input(type = "asset")] photos: Vec<AssetRef>,
    /// Width and height in pixels.
    #[param(slider, default = 420, min = 64, max = 1024, label = "Size")]
    size: u32,
    context: &Context,
) -> Result<Vec<AssetRef>, NodeError> {
    let total = photos.len() as u64;
    let mut thumbnails = Vec::new();
    for (number, photo) in (1_u64..).zip(&photos) {
        let content = context.assets().fetch(photo).await?;
        let jpeg = crate::blocking(move || crate::encode(&square(&crate::decode(&content)?, size)))
            .await?;
        let name = format!("thumbnail-{number}.jpg");
        thumbnails.push(
            context
                .assets()
                .keep(NewAsset::new(name, jpeg).kind("image"))
                .await?,
        );
        context.progress(number, total, format!("thumbnail {number} of {total}"));
    }
    Ok(thumbnails)
}

/// The middle of a wide picture, the upper part of a tall one, where faces are.
fn square(photo: &RgbImage, size: u32) -> RgbImage {
    let side = photo.width().min(photo.height());
    let (x, y) = ((photo.width() - side) / 2, (photo.height() - side) / 4);
    let cut = imageops::crop_imm(photo, x, y, side, side).to_image();
    imageops::resize(&cut, size, size, FilterType::Lanczos3)
}
