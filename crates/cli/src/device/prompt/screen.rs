//! Where lines are shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustyline::ExternalPrinter;
use tokio::sync::{mpsc, oneshot};

use crate::terminal;

/// Lines that wait for the terminal; further ones are dropped, which is told.
const SCREEN_LINES_MAX: usize = 4096;

/// Where lines are shown; cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::device) enum Screen {
    /// Standard output.
    Direct,
    /// Above the prompt.
    Above {
        lines: mpsc::Sender<String>,
        dropped: Arc<AtomicU64>,
    },
}

impl Screen {
    /// Shows a line, at once or soon; never waits.
    pub(in crate::device) fn show(&self, line: &str) {
        let Self::Above { lines, dropped } = self else {
            terminal::result(line);
            return;
        };
        if lines.try_send(line.to_owned()).is_err() {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The receiver ends once all screens are gone and everything was shown.
    pub(super) fn above(
        mut printer: impl ExternalPrinter + Send + 'static,
    ) -> (Self, oneshot::Receiver<()>) {
        let (lines, mut receiver) = mpsc::channel::<String>(SCREEN_LINES_MAX);
        let (done, shown) = oneshot::channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        // A thread, since the editor takes a line only while it waits for keys.
        std::thread::spawn(move || {
            while let Some(line) = receiver.blocking_recv() {
                let missing = counted.swap(0, Ordering::Relaxed);
                if missing > 0 {
                    let missing = match missing {
                        1 => "1 line was".to_owned(),
                        missing => format!("{missing} lines were"),
                    };
                    let _ = printer.print(format!("({missing} not shown)\n"));
                }
                let _ = printer.print(format!("{line}\n"));
            }
            let _ = done.send(());
        });
        (Self::Above { lines, dropped }, shown)
    }
}
