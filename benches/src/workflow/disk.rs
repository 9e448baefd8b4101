//! The bare limit of a durable step: the least that puts something on the disk.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

/// What a step's record has, about.
const RECORD: [u8; 200] = [b'x'; 200];

/// Appends a record and waits until the disk has it; the time in µs.
///
/// # Errors
/// The file cannot be written.
pub fn sync_us(file: &mut File) -> std::io::Result<f64> {
    let begin = Instant::now();
    file.write_all(&RECORD)?;
    file.sync_data()?;
    Ok(begin.elapsed().as_secs_f64() * 1e6)
}
