//! Recorded sessions: a JSON object on each line. The first says what the file is; then, in order of time, one for each
//! connection that begins or ends, and one for each packet.
//!
//! ```text
//! {"nnrp_recording":1,"listen":"nnrps://127.0.0.1:4000","to":"nnrps://gpu.example:9444","began_unix_ms":1764194400000}
//! {"at_us":0,"connection":1,"event":"begin","from":"127.0.0.1:50000","transport":"QUIC","to_transport":"QUIC"}
//! {"at_us":210,"connection":1,"side":"client","stream":"control","type":"CLIENT_HELLO",..,"packet":"4e4e5250.."}
//! {"at_us":950,"connection":1,"event":"end","side":"server","how":"the connection ended"}
//! {"event":"full"}
//! ```
//!
//! An end without a side is that of the recorder, which was stopped.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nnrp::tools::{Side, Step};
use nnrp_wire::Packet;
use nnrp_wire::session::Carrier;
use serde::{Deserialize, Serialize};

use super::reading::Digits;
use super::time::as_micros;
use crate::failure::Failure;

/// The format that is written.
const VERSION: u32 = 1;

/// What the file is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Title {
    pub(super) nnrp_recording: u32,
    pub(super) listen: String,
    pub(super) to: String,
    pub(super) began_unix_ms: u64,
}

impl Title {
    pub(super) fn new(listen: &str, to: &str) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            nnrp_recording: VERSION,
            listen: listen.into(),
            to: to.into(),
            began_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Something that happened to a connection.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Event {
    pub(super) at_us: u64,
    pub(super) connection: u64,
    /// `begin` or `end`.
    pub(super) event: &'static str,
    /// Where the client is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transport: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to_transport: Option<&'static str>,
    /// Who ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) side: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) how: Option<String>,
}

impl Event {
    pub(super) fn new(connection: u64, event: &'static str) -> Self {
        Self {
            connection,
            event,
            ..Self::default()
        }
    }
}

/// A packet as it is written.
#[derive(Debug, Serialize)]
struct PacketLine {
    at_us: u64,
    connection: u64,
    side: &'static str,
    stream: &'static str,
    #[serde(rename = "type")]
    message_type: &'static str,
    session_id: u32,
    frame_id: u32,
    view_id: u16,
    bytes: u64,
    packet: String,
}

/// What is read of a line: of a packet, only what is needed to send it again.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReadLine {
    at_us: u64,
    connection: u64,
    event: Option<String>,
    side: Option<String>,
    packet: Option<String>,
}

pub(super) const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// A file that is written. When it is full, or cannot be written any more, nothing is added to it.
#[derive(Debug)]
pub(super) struct Recorder {
    began: Instant,
    file: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    file: BufWriter<File>,
    bytes: u64,
    bytes_max: u64,
    state: State,
    totals: Totals,
}

#[derive(Debug)]
enum State {
    Open,
    Full,
    Failed(String),
}

/// What was recorded, and what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) packets: u64,
    pub(super) left_out: u64,
    pub(super) bytes: u64,
}

/// Kept for the line that says that the file is full.
const LAST_LINE_BYTES: u64 = 64;

impl Recorder {
    pub(super) fn create(path: &Path, title: &Title, bytes_max: u64) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
        let file = File::create(path).map_err(failed)?;
        let recorder = Self {
            began: Instant::now(),
            file: Mutex::new(Written {
                file: BufWriter::with_capacity(256 << 10, file),
                bytes: 0,
                bytes_max,
                state: State::Open,
                totals: Totals::default(),
            }),
        };
        recorder.written(|written| written.write(title));
        recorder
            .flush()
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        Ok(recorder)
    }

    pub(super) fn event(&self, event: Event) {
        self.written(|written| {
            written.write(&Event {
                at_us: as_micros(self.began.elapsed()),
                ..event
            });
        });
    }

    pub(super) fn packet(&self, connection: u64, side: Side, packet: &Packet) {
        let header = packet.header();
        let stream = match header.message_type.carrier() {
            Carrier::Control => "control",
            Carrier::Submit => "submit",
            Carrier::Result => "result",
        };
        let mut line = PacketLine {
            at_us: 0,
            connection,
            side: side_name(side),
            stream,
            message_type: header.message_type.name(),
            session_id: header.session_id,
            frame_id: header.frame_id,
            view_id: header.view_id,
            bytes: packet.bytes(),
            packet: hex(&packet.encode()),
        };
        self.written(|written| {
            // With the file locked, so that times in it never go back.
            line.at_us = as_micros(self.began.elapsed());
            if written.write(&line) {
                written.totals.packets += 1;
            } else {
                written.totals.left_out += 1;
            }
        });
    }

    /// What has come goes to the disk.
    pub(super) fn flush(&self) -> Result<Totals, String> {
        self.written(|written| {
            if let State::Failed(error) = &written.state {
                return Err(error.clone());
            }
            written.file.flush().map_err(|error| error.to_string())?;
            Ok(Totals {
                bytes: written.bytes,
                ..written.totals
            })
        })
    }

    fn written<R>(&self, act: impl FnOnce(&mut Written) -> R) -> R {
        act(&mut self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Written {
    /// Says whether it was written.
    fn write(&mut self, line: &impl Serialize) -> bool {
        if !matches!(self.state, State::Open) {
            return false;
        }
        let mut text = match serde_json::to_vec(line) {
            Ok(text) => text,
            Err(error) => return self.fail(&error.into()),
        };
        text.push(b'\n');
        let after = self.bytes + text.len() as u64;
        if after + LAST_LINE_BYTES > self.bytes_max {
            self.state = State::Full;
            let last = b"{\"event\":\"full\"}\n";
            self.bytes += last.len() as u64;
            if let Err(error) = self.file.write_all(last) {
                self.fail(&error);
            }
            return false;
        }
        self.bytes = after;
        match self.file.write_all(&text) {
            Ok(()) => true,
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &std::io::Error) -> bool {
        self.state = State::Failed(error.to_string());
        false
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(digit)]));
        }
    }
    text
}

/// What is in a file.
#[derive(Debug)]
pub(super) struct Recording {
    /// In the order in which they began, without those that have no packets.
    pub(super) connections: Vec<Recorded>,
    /// Whether the file was full.
    is_full: bool,
    /// Whether its last line is cut.
    is_cut: bool,
}

/// Why a recording does not have all that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EarlyEnd {
    /// The file was full.
    Full,
    /// The recorder was ended before the connections.
    Cut,
}

impl EarlyEnd {
    /// As it is called in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Cut => "cut",
        }
    }
}

/// A connection of a recording.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) number: u64,
    pub(super) steps: Vec<Step>,
    /// Whether it is there to its end.
    pub(super) is_whole: bool,
}

/// What a line says.
enum Said {
    Packet(u64, Step),
    /// One side has ended the connection.
    End(u64),
    Full,
    /// The line is cut.
    Cut,
    /// Nothing that is needed.
    Nothing,
}

impl Recording {
    pub(super) fn early_end(&self) -> Option<EarlyEnd> {
        if self.is_full {
            return Some(EarlyEnd::Full);
        }
        let is_whole = self.connections.iter().all(|recorded| recorded.is_whole);
        (self.is_cut || !is_whole).then_some(EarlyEnd::Cut)
    }

    /// Says whether there was room for it.
    fn add(&mut self, connection: u64, step: Step) -> bool {
        if let Some(recorded) = self.find(connection) {
            recorded.steps.push(step);
            return true;
        }
        if self.connections.len() == CONNECTIONS_MAX {
            return false;
        }
        self.connections.push(Recorded {
            number: connection,
            steps: vec![step],
            is_whole: false,
        });
        true
    }

    fn find(&mut self, connection: u64) -> Option<&mut Recorded> {
        let mut latest_first = self.connections.iter_mut().rev();
        latest_first.find(|known| known.number == connection)
    }
}

/// A line is longer than a packet may be.
const LINE_BYTES_MAX: u64 = 1 << 30;

/// Connections of a recording.
const CONNECTIONS_MAX: usize = 65_536;

/// Reads a recording of at most so many bytes.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Recording, Failure> {
    let wrong = |text: String| Failure::usage(format!("{}: {text}", path.display()));
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let bytes = file
        .metadata()
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if bytes > bytes_max {
        return Err(wrong(format!(
            "it has {bytes} bytes, --max-bytes allows {bytes_max}"
        )));
    }
    let mut reading = Reading {
        input: BufReader::with_capacity(256 << 10, file),
        line: Vec::new(),
        number: 0,
        path: path.to_owned(),
    };
    reading.title()?;
    let mut recording = Recording {
        connections: Vec::new(),
        is_full: false,
        is_cut: false,
    };
    while let Some(said) = reading.line()? {
        match said {
            Said::Packet(connection, step) => {
                if !recording.add(connection, step) {
                    let text = format!("it has more than {CONNECTIONS_MAX} connections");
                    return Err(wrong(text));
                }
            }
            Said::End(connection) => {
                if let Some(recorded) = recording.find(connection) {
                    recorded.is_whole = true;
                }
            }
            Said::Full => recording.is_full = true,
            Said::Cut => recording.is_cut = true,
            Said::Nothing => {}
        }
    }
    if recording.connections.is_empty() {
        return Err(wrong("there is no packet in it".into()));
    }
    Ok(recording)
}

struct Reading {
    input: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    path: PathBuf,
}

impl Reading {
    fn wrong(&self, text: impl std::fmt::Display) -> Failure {
        Failure::usage(format!(
            "{}, line {}: {text}",
            self.path.display(),
            self.number
        ))
    }

    /// Says whether there is one.
    fn next_line(&mut self) -> Result<bool, Failure> {
        self.line.clear();
        self.number += 1;
        let mut limited = (&mut self.input).take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut self.line);
        match read {
            Ok(0) => Ok(false),
            Ok(_) => Ok(true),
            Err(error) => Err(self.wrong(error)),
        }
    }

    fn title(&mut self) -> Result<(), Failure> {
        let is_there = self.next_line()?;
        let title: Option<Title> = serde_json::from_slice(&self.line).ok();
        match title.filter(|_| is_there) {
            Some(title) if title.nnrp_recording == VERSION => Ok(()),
            Some(title) => Err(self.wrong(format_args!(
                "it is of version {}, and only {VERSION} is understood",
                title.nnrp_recording
            ))),
            None => Err(self.wrong("it is no recording of `nodewire nnrp record`")),
        }
    }

    /// What the next line says.
    fn line(&mut self) -> Result<Option<Said>, Failure> {
        if !self.next_line()? {
            return Ok(None);
        }
        // What was written last may be cut, if the recorder was killed.
        let is_whole = self.line.last() == Some(&b'\n');
        let line: ReadLine = match serde_json::from_slice(&self.line) {
            Ok(line) => line,
            Err(_) if !is_whole => return Ok(Some(Said::Cut)),
            Err(error) => return Err(self.wrong(error)),
        };
        let said = match (&line.packet, line.event.as_deref()) {
            (Some(packet), _) => Said::Packet(line.connection, self.step(&line, packet)?),
            (None, Some("end")) if line.side.is_some() => Said::End(line.connection),
            (None, Some("full")) => Said::Full,
            (None, _) => Said::Nothing,
        };
        Ok(Some(said))
    }

    fn step(&self, line: &ReadLine, packet: &str) -> Result<Step, Failure> {
        let from = match line.side.as_deref() {
            Some("client") => Side::Client,
            Some("server") => Side::Server,
            Some(_) | None => return Err(self.wrong("side has to be client or server")),
        };
        let bytes = Digits::default().decode(packet.as_bytes());
        let packet = match bytes.map(|bytes| Packet::decode(bytes.into())) {
            Ok(Ok(packet)) => packet,
            Ok(Err(error)) => return Err(self.wrong(error)),
            Err((at, _)) => return Err(self.wrong(format_args!("no hex digit at {at}"))),
        };
        Ok(Step {
            at: Duration::from_micros(line.at_us),
            from,
            packet,
        })
    }
}
