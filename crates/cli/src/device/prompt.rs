//! Lines from a person at a terminal, with history and completion, or from a pipe or a file; and lines for them, which at a
//! terminal appear above the prompt.

mod editor;
mod lines;
mod screen;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::failure::Failure;
use editor::{edit, editor, history_file};
use lines::{read, reader};
pub(super) use screen::Screen;

/// How long the last lines may take to be shown.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(1);

/// What was entered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    Line(String),
    /// A line that cannot be taken, and why.
    Bad(String),
    /// Ctrl-C at the prompt.
    Interrupted,
    /// Nothing more comes.
    End,
}

/// How lines are asked for.
#[derive(Debug)]
pub(super) struct PromptSettings {
    pub(super) text: &'static str,
    /// What is completed.
    pub(super) words: Vec<String>,
    /// The name of the history's file; none is kept without it.
    pub(super) history: Option<&'static str>,
    /// Where lines come from instead of standard input.
    pub(super) script: Option<PathBuf>,
}

/// Where lines come from.
#[derive(Debug)]
pub(super) struct Prompt {
    /// Asks the reader for one more line, so that nothing is read before its predecessor is done.
    ask: mpsc::Sender<()>,
    lines: mpsc::Receiver<Entered>,
    is_asked: bool,
    shown: Option<oneshot::Receiver<()>>,
    screen: Screen,
    /// The terminal as it was: a signal can end this while the editor has changed it.
    terminal: Option<Termios>,
}

impl Prompt {
    pub(super) fn open(settings: PromptSettings) -> Result<Self, Failure> {
        let (ask, asked) = mpsc::channel(1);
        let (entered, lines) = mpsc::channel(1);
        let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let mut prompt = Self {
            ask,
            lines,
            is_asked: false,
            shown: None,
            screen: Screen::Direct,
            terminal: None,
        };
        if is_terminal && settings.script.is_none() {
            prompt.terminal = tcgetattr(std::io::stdin()).ok();
            let mut editor = editor(settings.words)?;
            if let Ok(printer) = editor.create_external_printer() {
                let (screen, shown) = Screen::above(printer);
                (prompt.screen, prompt.shown) = (screen, Some(shown));
            }
            let history = settings.history.and_then(history_file);
            let text = settings.text;
            std::thread::spawn(move || edit(editor, text, history.as_deref(), asked, &entered));
        } else {
            let reader = reader(settings.script.as_deref())?;
            std::thread::spawn(move || read(reader, asked, &entered));
        }
        Ok(prompt)
    }

    /// Whether a person is there.
    pub(super) const fn is_interactive(&self) -> bool {
        self.terminal.is_some()
    }

    /// Where lines are shown.
    pub(super) fn screen(&self) -> Screen {
        self.screen.clone()
    }

    /// The next line. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Entered {
        if !self.is_asked {
            // An error says that the reader has ended, which the lines tell too.
            let _ = self.ask.send(()).await;
            self.is_asked = true;
        }
        let entered = self.lines.recv().await;
        self.is_asked = false;
        entered.unwrap_or(Entered::End)
    }

    /// Shows what is still to be shown.
    pub(super) async fn close(mut self) {
        self.screen = Screen::Direct;
        if let Some(shown) = self.shown.take() {
            let _ = timeout(LAST_LINES_TIMEOUT, shown).await;
        }
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        if let Some(before) = &self.terminal {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, before);
        }
    }
}
