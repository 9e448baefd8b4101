//! What servers say about an execution. spec: nanograph 5.4

use nodewire_json::Json;

use super::fields;
use super::text::{ObjectWriter, push_u64};

/// The `status` of a `node_status` message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its `type`.
    pub kind: StatusKind,
    /// For people; may be empty.
    pub message: Option<String>,
    /// How far the execution is.
    pub progress: Option<Progress>,
    /// What came out, with `complete`: an object, `null`, or whatever the node returned. With `running`: a preview.
    pub outputs: Option<Json>,
    /// The whole status as received, unknown keys included.
    pub raw: Json,
}

/// The `type` of a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusKind {
    /// Never sent by the known SDKs themselves, but nodes may.
    Idle,
    /// The execution goes on.
    Running,
    /// It is over, with outputs.
    Complete,
    /// It is over without.
    Error,
    /// Never sent by the known SDKs themselves, but nodes may.
    Missing,
    /// Another word, or an empty one if there was none.
    Other(String),
}

/// How many steps of how many are done; by convention `step <= total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub total: u64,
}

impl Status {
    /// Reads whatever stands in a message's `status`; what has the wrong type counts as absent.
    #[must_use]
    pub fn from_json(raw: Json) -> Self {
        let mut status = Self {
            kind: StatusKind::Other(String::new()),
            message: None,
            progress: None,
            outputs: None,
            raw,
        };
        let raw = status.raw.clone();
        // Well-formed by its type; what is no object has no fields.
        let _ = raw.reader().object(|key, reader| {
            match key.name().as_ref() {
                "type" => {
                    let word = fields::string(&raw.part(reader.value()?));
                    status.kind = StatusKind::from_word(word.unwrap_or_default());
                }
                "message" => status.message = fields::string(&raw.part(reader.value()?)),
                "progress" => status.progress = Progress::from_json(&raw.part(reader.value()?)),
                "outputs" => status.outputs = Some(raw.part(reader.value()?)),
                _ => {}
            }
            Ok(())
        });
        status
    }
}

impl StatusKind {
    /// Whether the execution is over.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Complete | Self::Error)
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Error => "error",
            Self::Missing => "missing",
            Self::Other(word) => word,
        }
    }

    fn from_word(word: String) -> Self {
        match word.as_str() {
            "idle" => Self::Idle,
            "running" => Self::Running,
            "complete" => Self::Complete,
            "error" => Self::Error,
            "missing" => Self::Missing,
            _ => Self::Other(word),
        }
    }
}

impl Progress {
    fn from_json(json: &Json) -> Option<Self> {
        let number = |key| json.get(key).as_ref().and_then(fields::whole);
        Some(Self {
            step: number("step")?,
            total: number("total")?,
        })
    }

    pub(crate) fn write(self, out: &mut String) {
        let mut object = ObjectWriter::new(out);
        push_u64(object.key("step"), self.step);
        push_u64(object.key("total"), self.total);
        object.end();
    }
}
