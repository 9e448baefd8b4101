//! Output of children, line by line.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Which output of a process a line is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes each line of a process, as it is read. It must not block: the process would wait for it.
#[derive(Clone)]
pub struct LineSink(Arc<Take>);

type Take = dyn Fn(Output, &str) + Send + Sync;

impl LineSink {
    /// Calls `take` for each line, which is at most 16 KiB long.
    #[must_use]
    pub fn new(take: impl Fn(Output, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    pub(super) fn take(&self, output: Output, line: &str) {
        (self.0)(output, line);
    }
}

impl fmt::Debug for LineSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineSink(..)")
    }
}

/// The last lines of an output. Cloning shares them.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    lines: Arc<Mutex<VecDeque<String>>>,
    lines_max: usize,
}

impl Ring {
    pub(super) fn new(lines_max: usize) -> Self {
        Self {
            lines: Arc::default(),
            lines_max,
        }
    }

    pub(super) fn push(&self, line: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= self.lines_max {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    /// The last lines, the latest last.
    pub(super) fn last(&self, count: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .skip(lines.len().saturating_sub(count))
            .cloned()
            .collect()
    }
}

/// Reads to the end and gives each line to `take`; what is longer than `line_bytes_max` is cut off.
pub(super) async fn read_lines(
    output: impl AsyncRead + Unpin,
    line_bytes_max: usize,
    mut take: impl FnMut(&str),
) {
    let mut output = output;
    let mut buffer = vec![0; 16 << 10];
    let mut line = Vec::new();
    loop {
        // An error means that nothing more will come, as the end does.
        let count = output.read(&mut buffer).await.unwrap_or_default();
        if count == 0 {
            break;
        }
        for piece in buffer[..count].split_inclusive(|byte| *byte == b'\n') {
            let room = line_bytes_max - line.len();
            line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                take(String::from_utf8_lossy(&line).trim_end());
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        take(String::from_utf8_lossy(&line).trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_not_joined() {
        let mut lines = Vec::new();
        read_lines(&b"one\r\n\nabcdefghij\nlast"[..], 5, |line| {
            lines.push(line.to_owned())
        })
        .await;
        assert_eq!(lines, ["one", "", "abcde", "last"]);
    }

    #[test]
    fn a_ring_keeps_the_latest() {
        let ring = Ring::new(2);
        ["a", "b", "c"].into_iter().for_each(|line| ring.push(line));
        assert_eq!(
            (ring.last(9), ring.last(1)),
            (vec!["b".to_owned(), "c".to_owned()], vec!["c".to_owned()])
        );
    }
}
