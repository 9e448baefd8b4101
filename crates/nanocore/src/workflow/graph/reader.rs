//! Reads typed values out of a document, and notes what is wrong with where it is.

use std::fmt::{self, Write};
use std::time::Duration;

use nodewire_json::{Json, Kind};

use crate::workflow::problem::{Problem, ProblemCode};

/// The problems listed before the rest is only counted.
const MAX_PROBLEMS: usize = 1_000;

/// A place in a document, and what was found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    path: String,
    problems: Vec<Problem>,
    unlisted: usize,
}

impl Reader {
    /// Runs `read` one step deeper, at a key of an object.
    pub(super) fn key<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.deeper(format_args!("{dot}{key}"), read)
    }

    /// Runs `read` one step deeper, at an element of an array.
    pub(super) fn index<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.deeper(format_args!("[{index}]"), read)
    }

    fn deeper<T>(&mut self, step: fmt::Arguments<'_>, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        // Writing to a string cannot fail.
        let _ = self.path.write_fmt(step);
        let value = read(self);
        self.path.truncate(length);
        value
    }

    /// Notes a problem here.
    pub(super) fn wrong(&mut self, message: impl Into<String>) {
        self.wrong_as(ProblemCode::BadGraph, message);
    }

    /// Notes a problem of this kind here.
    pub(super) fn wrong_as(&mut self, code: ProblemCode, message: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems
                .push(Problem::new(code, message).path(self.path.as_str()));
        } else {
            self.unlisted += 1;
        }
    }

    /// Everything noted.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        if self.unlisted > 0 {
            let message = format!("{} further problems are not listed", self.unlisted);
            self.problems
                .push(Problem::new(ProblemCode::BadGraph, message));
        }
        self.problems
    }

    pub(super) fn object(&mut self, json: &Json) -> Option<Vec<(String, Json)>> {
        self.some(json.entries(), "an object", json)
    }

    pub(super) fn array(&mut self, json: &Json) -> Option<Vec<Json>> {
        self.some(json.elements(), "an array", json)
    }

    /// Reads each element of an array; those that are wrong are left out.
    pub(super) fn each<T>(
        &mut self,
        json: &Json,
        mut read: impl FnMut(&mut Self, &Json) -> Option<T>,
    ) -> Vec<T> {
        let elements = self.array(json).unwrap_or_default();
        let item =
            |(index, element): (usize, &Json)| self.index(index, |reader| read(reader, element));
        elements.iter().enumerate().filter_map(item).collect()
    }

    pub(super) fn string(&mut self, json: &Json) -> Option<String> {
        self.some(json.decode().ok(), "a string", json)
    }

    /// A string, or `null` for none.
    pub(super) fn optional_string(&mut self, json: &Json) -> Option<String> {
        if json.is_null() {
            None
        } else {
            self.string(json)
        }
    }

    pub(super) fn boolean(&mut self, json: &Json) -> Option<bool> {
        self.some(json.decode().ok(), "true or false", json)
    }

    pub(super) fn integer(&mut self, json: &Json) -> Option<i64> {
        self.some(json.as_str().parse().ok(), "an integer", json)
    }

    /// An integer of at most `max`.
    pub(super) fn count(&mut self, json: &Json, max: u32) -> Option<u32> {
        let count = json.as_str().parse().ok().filter(|count| *count <= max);
        self.some(count, format_args!("an integer from 0 to {max}"), json)
    }

    /// A number within limits.
    pub(super) fn number(&mut self, json: &Json, min: f64, max: f64) -> Option<f64> {
        let number = json
            .decode::<f64>()
            .ok()
            .filter(|number| (min..=max).contains(number));
        self.some(number, format_args!("a number from {min} to {max}"), json)
    }

    /// A time in seconds.
    pub(super) fn seconds(&mut self, json: &Json, max: Duration) -> Option<Duration> {
        self.number(json, 0.0, max.as_secs_f64())
            .map(Duration::from_secs_f64)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, json: &Json, words: &[(&str, T)]) -> Option<T> {
        let text = json.decode::<String>().ok();
        let found = text
            .and_then(|text| words.iter().find(|(word, _)| *word == text))
            .map(|(_, value)| *value);
        let known: Vec<String> = words
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        self.some(found, format_args!("one of {}", known.join(", ")), json)
    }

    fn some<T>(&mut self, value: Option<T>, wanted: impl fmt::Display, json: &Json) -> Option<T> {
        if value.is_none() {
            self.wrong(format!("expected {wanted}, found {}", shown(json)));
        }
        value
    }
}

/// A value for a message: itself if short, else its kind.
fn shown(json: &Json) -> String {
    const SHORT: usize = 40;
    if json.as_str().len() <= SHORT && !matches!(json.kind(), Kind::Object | Kind::Array) {
        return json.as_str().to_owned();
    }
    let kind = match json.kind() {
        Kind::Null => "null",
        Kind::Bool => "a boolean",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Array => "an array",
        Kind::Object => "an object",
    };
    kind.to_owned()
}
