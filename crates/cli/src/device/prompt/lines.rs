//! Lines of a pipe or a file.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use tokio::sync::mpsc;

use super::Entered;
use crate::failure::Failure;

/// A longer line is refused.
const LINE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn reader(script: Option<&Path>) -> Result<Box<dyn BufRead + Send>, Failure> {
    Ok(match script {
        None => Box::new(BufReader::new(std::io::stdin())),
        Some(path) => {
            let file = std::fs::File::open(path);
            let wrong = |error| Failure::usage(format!("{}: {error}", path.display()));
            Box::new(BufReader::new(file.map_err(wrong)?))
        }
    })
}

pub(super) fn read(
    mut reader: Box<dyn BufRead + Send>,
    mut asked: mpsc::Receiver<()>,
    entered: &mpsc::Sender<Entered>,
) {
    while asked.blocking_recv().is_some() {
        let line = read_line(&mut reader);
        if entered.blocking_send(line).is_err() {
            return;
        }
    }
}

fn read_line(reader: &mut (impl BufRead + ?Sized)) -> Entered {
    let mut line = Vec::new();
    let mut limited = reader.take(LINE_BYTES_MAX);
    match limited.read_until(b'\n', &mut line) {
        Ok(0) => return Entered::End,
        Ok(_) => {}
        Err(error) => return Entered::Bad(error.to_string()),
    }
    if limited.limit() == 0 && !line.ends_with(b"\n") {
        // The rest of it is no line of its own.
        return match skip_line(reader) {
            Ok(()) => Entered::Bad(format!("a line has more than {LINE_BYTES_MAX} bytes")),
            Err(error) => Entered::Bad(error.to_string()),
        };
    }
    match String::from_utf8(line) {
        Ok(line) => Entered::Line(line.trim_end_matches(['\n', '\r']).to_owned()),
        Err(_) => Entered::Bad("the line is not UTF-8".to_owned()),
    }
}

fn skip_line(reader: &mut (impl BufRead + ?Sized)) -> std::io::Result<()> {
    loop {
        let chunk = reader.fill_buf()?;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let (used, is_over) = match end {
            Some(end) => (end + 1, true),
            None => (chunk.len(), chunk.is_empty()),
        };
        reader.consume(used);
        if is_over {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_the_next_is_whole() {
        let long = "x".repeat(3 << 20);
        let text = format!("one\r\n\n{long}\ntwo\n\u{e9}");
        let mut bytes = text.into_bytes();
        bytes.extend(b"\nthree\xff\nlast");
        let mut reader = &bytes[..];
        let mut next = || read_line(&mut reader);
        assert_eq!(next(), Entered::Line("one".to_owned()));
        assert_eq!(next(), Entered::Line(String::new()));
        assert!(matches!(next(), Entered::Bad(_)));
        assert_eq!(next(), Entered::Line("two".to_owned()));
        assert_eq!(next(), Entered::Line("\u{e9}".to_owned()));
        assert!(matches!(next(), Entered::Bad(_)));
        assert_eq!(next(), Entered::Line("last".to_owned()));
        assert_eq!(next(), Entered::End);
    }
}
