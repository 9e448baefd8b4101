//! A line editor with history and completion.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use tokio::sync::mpsc;

use super::Entered;
use crate::failure::Failure;

/// Lines that the history keeps.
const HISTORY_LINES_MAX: usize = 1000;

/// What is typed at a prompt is completed to one of these.
#[derive(Debug)]
pub(super) struct Words(Vec<String>);

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

pub(super) type LineEditor = Editor<Words, FileHistory>;

pub(super) fn editor(words: Vec<String>) -> Result<LineEditor, Failure> {
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

pub(super) fn edit(
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
pub(super) fn history_file(name: &str) -> Option<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
