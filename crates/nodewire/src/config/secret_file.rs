//! Files with secrets.

use std::io::Read;
use std::path::Path;

use super::layers::View;
use super::problem::Problems;

/// No secret and no key is longer.
const BYTES_MAX: u64 = 64 << 10;

/// What is in the file that a setting names, without blanks around it. Nothing of it is ever told.
pub(super) fn read(view: View<'_>, key: &'static str, problems: &mut Problems) -> Option<String> {
    let path: std::path::PathBuf = view.get(key)?;
    match read_file(&path) {
        Ok(text) if text.trim().is_empty() => {
            problems.add(
                &view.place(key),
                format!("{key}: {} is empty", path.display()),
            );
            None
        }
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) => {
            let message = format!("{key}: {} cannot be read: {error}", path.display());
            problems.add(&view.place(key), message);
            None
        }
    }
}

fn read_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        let message = format!("it is longer than {BYTES_MAX} bytes");
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            message,
        ));
    }
    Ok(text)
}
