//! Contact sheet: pictures in a grid, each with a soft shadow.

use image::imageops;
use image::{GrayImage, Luma, Rgb, RgbImage};
use nodewire::prelude::*;

/// Most pixels of a sheet; 100 million take 300 MB.
const PIXELS_MAX: u64 = 100_000_000;
/// How soft a shadow is, and how far below its picture it lies.
const SHADOW_BLUR: f32 = 9.0;
const SHADOW_DROP: i64 = 8;
/// How much of the background a full shadow takes away.
const SHADOW_DEPTH: f32 = 0.45;

/// Lays pictures out in rows.
#[node(
    category = "Photographs",
    version = "1.0.0",
    output(name = "sheet", type = "asset:image")
)]
pub(crate) async fn contact_sheet(
    #[input(type = "asset:image")] pictures: Vec<AssetRef>,
    /// Pictures in a row.
    #[param(default = 4, min = 1, max = 20, label = "Columns")]
    columns: usize,
    /// Pixels around and between the pictures.
    #[param(slider, default = 44, min = 0, max = 200, label = "Margin")]
    margin: u32,
    #[param(color, default = "#d9d2c5", label = "Background")] background: &str,
    #[param(default = "contact-sheet.jpg", label = "File name")] file_name: &str,
    context: &Context,
) -> Result<AssetRef, NodeError> {
    let background = crate::color::parse(background)?;
    let total = pictures.len() as u64 + 1;
    let mut decoded = Vec::new();
    for (number, picture) in (1_u64..).zip(&pictures) {
        let content = context.assets().fetch(picture).await?;
        decoded.push(crate::blocking(move || crate::decode(&content)).await?);
        context.progress(
            number,
            total,
            format!("picture {number} of {}", pictures.len()),
        );
    }
    let jpeg = crate::blocking(move || {
        let grid = Grid::new(&decoded, columns, margin)?;
        crate::encode(&grid.draw(&decoded, background))
    });
    let sheet = context
        .assets()
        .keep(NewAsset::new(file_name, jpeg.await?).kind("image"))
        .await?;
    context.progress(total, total, "contact sheet stored");
    Ok(sheet)
}

/// Cells of equal size, as large as the largest picture.
struct Grid {
    columns: u32,
    rows: u32,
    cell: (u32, u32),
    margin: u32,
}

impl Grid {
    fn new(pictures: &[RgbImage], columns: usize, margin: u32) -> Result<Self, NodeError> {
        let cell = pictures.iter().fold((0, 0), |(width, height), picture| {
            (width.max(picture.width()), height.max(picture.height()))
        });
        let count = |number: usize| {
            u32::try_from(number).map_err(|_| NodeError::invalid_input("too many pictures"))
        };
        let columns = columns.min(pictures.len()).max(1);
        let grid = Self {
            columns: count(columns)?,
            rows: count(pictures.len().div_ceil(columns))?,
            cell,
            margin,
        };
        let (width, height) = grid.size();
        if pictures.is_empty() || width * height > PIXELS_MAX {
            return Err(NodeError::invalid_input(format!(
                "{} pictures make a sheet of {width} × {height} pixels",
                pictures.len()
            )));
        }
        Ok(grid)
    }

    fn size(&self) -> (u64, u64) {
        let extent = |count: u32, length: u32| {
            u64::from(count) * (u64::from(length) + u64::from(self.margin)) + u64::from(self.margin)
        };
        (
            extent(self.columns, self.cell.0),
            extent(self.rows, self.cell.1),
        )
    }

    fn draw(&self, pictures: &[RgbImage], background: Rgb<u8>) -> RgbImage {
        let (width, height) = self.size();
        // `new` has checked that these are small.
        let (width, height) = (
            u32::try_from(width).unwrap_or(1),
            u32::try_from(height).unwrap_or(1),
        );
        let mut sheet = RgbImage::from_pixel(width, height, background);
        let shadow = self.shadow(pictures, width, height);
        for (pixel, shade) in sheet.pixels_mut().zip(shadow.pixels()) {
            let light = 1.0 - SHADOW_DEPTH * f32::from(shade[0]) / 255.0;
            pixel
                .0
                .iter_mut()
                .for_each(|channel| *channel = scale(*channel, light));
        }
        for (number, picture) in pictures.iter().enumerate() {
            let (x, y) = self.place(number, picture);
            imageops::replace(&mut sheet, picture, x, y);
        }
        sheet
    }

    fn shadow(&self, pictures: &[RgbImage], width: u32, height: u32) -> GrayImage {
        let mut shadow = GrayImage::new(width, height);
        for (number, picture) in pictures.iter().enumerate() {
            let (x, y) = self.place(number, picture);
            let shape = GrayImage::from_pixel(picture.width(), picture.height(), Luma([255]));
            imageops::replace(&mut shadow, &shape, x, y + SHADOW_DROP);
        }
        imageops::fast_blur(&shadow, SHADOW_BLUR)
    }

    /// The corner of a picture, which is in the middle of its cell.
    fn place(&self, number: usize, picture: &RgbImage) -> (i64, i64) {
        let number = i64::try_from(number).unwrap_or_default();
        let (column, row) = (
            number % i64::from(self.columns),
            number / i64::from(self.columns),
        );
        let at = |index: i64, cell: u32, length: u32| {
            i64::from(self.margin)
                + index * (i64::from(cell) + i64::from(self.margin))
                + i64::from(cell - length) / 2
        };
        (
            at(column, self.cell.0, picture.width()),
            at(row, self.cell.1, picture.height()),
        )
    }
}

fn scale(channel: u8, light: f32) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the product lies between 0 and 255"
    )]
    let scaled = (f32::from(channel) * light).round() as u8;
    scaled
}
