//! The example's node server in Rust: thumbnails, palettes and the contact sheet itself.

mod color;
mod palette;
mod sheet;
mod thumbnails;

use nodewire::prelude::*;

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    NodeServer::builder()
        .node(thumbnails::thumbnails())
        .node(palette::palette())
        .node(sheet::contact_sheet())
        .run()
        .await
}

/// Reads a picture, whatever of the known formats it has.
fn decode(content: &[u8]) -> Result<image::RgbImage, NodeError> {
    let picture = image::load_from_memory(content);
    picture.map(|picture| picture.to_rgb8()).map_err(|error| {
        NodeError::invalid_input(format!("not a picture that can be read: {error}"))
    })
}

/// Runs work that takes long on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| NodeError::new(nodewire::NodeErrorKind::Internal, error.to_string()))?
}

/// A JPEG of good quality.
fn encode(picture: &image::RgbImage) -> Result<Vec<u8>, NodeError> {
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90);
    picture
        .write_with_encoder(encoder)
        .map_err(|error| NodeError::new(nodewire::NodeErrorKind::Internal, error.to_string()))?;
    Ok(jpeg)
}
