//! Lines from a person at a terminal, with history and completion, or from a pipe or a file; and lines for them, which at a
//! terminal appear above the prompt.

use std::fs::DirBuilder;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter, Helper};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::terminal;

/// A longer line is refused.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Lines that the history keeps.
const HISTORY_LINES_MAX: usize = 1000;
/// Lines that wait for the terminal; further ones are dropped, which is told.
const SCREEN_LINES_MAX: usize = 4096;
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

/// Where lines are shown; cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Screen {
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
    pub(super) fn show(&self, line: &str) {
        let Self::Above { lines, dropped } = self else {
            terminal::result(line);
            return;
        };
        if lines.try_send(line.to_owned()).is_err() {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The receiver ends once all screens are gone and everything was shown.
    fn above(mut printer: impl ExternalPrinter + Send + 'static) -> (Self, oneshot::Receiver<()>) {
        let (lines, mut receiver) = mpsc::channel::<String>(SCREEN_LINES_MAX);
        let (done, shown) = oneshot::channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        // A thread, since the editor takes a line only while it waits for keys.
        std::thread::spawn(move || {
            while let Some(line) = receiver.blocking_recv() {
                let missing = counted.swap(0, Ordering::Relaxed);
                if missing > 0 {
                    let _ = printer.print(format!("({missing} lines were not shown)\n"));
                }
                let _ = printer.print(format!("{line}\n"));
            }
            let _ = done.send(());
        });
        (Self::Above { lines, dropped }, shown)
    }
}

/// What is typed at a prompt is completed to one of these.
#[derive(Debug)]
struct Words(Vec<String>);

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..position).unwrap_or_default();
        let start = before.rfind(char::is_whitespace).map_or(0, |blank| {
            blank + before[blank..].chars().next().map_or(1, char::len_utf8)
        });
        Ok((start, self.starting(&before[start..])))
    }
}

impl Words {
    fn starting(&self, start: &str) -> Vec<String> {
        let start = start.to_lowercase();
        let words = self.0.iter();
        let found = words.filter(|word| word.to_lowercase().starts_with(&start));
        found.cloned().collect()
    }
}

impl Hinter for Words {
    type Hint = String;
}
impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}

type LineEditor = Editor<Words, FileHistory>;

fn editor(words: Vec<String>) -> Result<LineEditor, Failure> {
    let failed = |error: ReadlineError| Failure::failed(format!("the terminal: {error}"));
    let config = Config::builder()
        .max_history_size(HISTORY_LINES_MAX)
        .and_then(|config| config.history_ignore_dups(true))
        .map_err(failed)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(Words(words)));
    Ok(editor)
}

fn edit(
    mut editor: LineEditor,
    text: &str,
    history: Option<&Path>,
    mut asked: mpsc::Receiver<()>,
    entered: &mpsc::Sender<Entered>,
) {
    if let Some(path) = history {
        // There is none yet, or it cannot be read: then it begins here.
        let _ = editor.load_history(path);
    }
    while asked.blocking_recv().is_some() {
        let line = match editor.readline(text) {
            Ok(line) => {
                remember(&mut editor, &line, history);
                Entered::Line(line)
            }
            Err(ReadlineError::Interrupted) => Entered::Interrupted,
            Err(_) => Entered::End,
        };
        if entered.blocking_send(line).is_err() {
            return;
        }
    }
}

/// A line without anything in it is not worth it.
fn remember(editor: &mut LineEditor, line: &str, history: Option<&Path>) {
    if line.trim().is_empty() {
        return;
    }
    let added = editor.add_history_entry(line).unwrap_or(false);
    if let Some(path) = history.filter(|_| added)
        && let Err(error) = editor.append_history(path)
    {
        tracing::warn!(%error, path = %path.display(), "the history is not kept");
    }
}

/// In a folder that only its owner can look into; the editor makes the file so too.
fn history_file(name: &str) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let state = variable("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.filter(|path| path.is_absolute());
    let home = || Some(Path::new(&variable("HOME")?).join(".local/state"));
    let folder = state.or_else(home)?.join("nodewire");
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder);
    match made {
        Ok(()) => Some(folder.join(name)),
        Err(error) => {
            tracing::warn!(%error, folder = %folder.display(), "the history is not kept");
            None
        }
    }
}

fn reader(script: Option<&Path>) -> Result<Box<dyn BufRead + Send>, Failure> {
    Ok(match script {
        None => Box::new(BufReader::new(std::io::stdin())),
        Some(path) => {
            let file = std::fs::File::open(path);
            let wrong = |error| Failure::usage(format!("{}: {error}", path.display()));
            Box::new(BufReader::new(file.map_err(wrong)?))
        }
    })
}

fn read(
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

    #[test]
    fn the_word_at_the_cursor_is_completed() {
        let words = Words(vec![
            "GET_STATUS".to_owned(),
            "status".to_owned(),
            "start".to_owned(),
        ]);
        let history = FileHistory::new();
        let complete = |line: &str| {
            let context = Context::new(&history);
            words.complete(line, line.len(), &context).unwrap()
        };
        assert_eq!(
            complete("sta"),
            (0, vec!["status".to_owned(), "start".to_owned()])
        );
        assert_eq!(complete("x get"), (2, vec!["GET_STATUS".to_owned()]));
        assert_eq!(complete("\u{e9}\u{a0}get").0, 4);
    }
}
