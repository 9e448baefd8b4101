//! The client: prebuilt frames on a raw socket, the same for every server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

/// What is measured only after this.
const WARM_UP: Duration = Duration::from_millis(200);
const BUFFER_BYTES: usize = 256 << 10;

/// How much is asked at once, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Executions asked for and not yet complete.
    pub outstanding: usize,
    /// How long to measure.
    pub time: Duration,
    /// Whether every execution has an instance id of its own.
    pub fresh_ids: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Executions completed while measuring.
    pub executions: usize,
    /// Executions completed before.
    pub warm_up_executions: usize,
    /// In how many seconds.
    pub seconds: f64,
    /// Median of the times from request to `complete`, in µs.
    pub p50_us: f64,
    /// The time that one in a hundred exceeds, in µs.
    pub p99_us: f64,
}

impl Load {
    /// Puts the load on the server at `address`.
    ///
    /// # Errors
    /// The connection fails, or the server answers with an error.
    pub fn run(&self, address: &str) -> anyhow::Result<Outcome> {
        let mut client = Client::connect(address, self)?;
        client.send_all()?;
        client.go_on_until(Instant::now() + WARM_UP)?;
        let warm_up_executions = client.latencies_ns.len();
        client.latencies_ns.clear();
        let start = Instant::now();
        let end = client.go_on_until(start + self.time)?;
        client.outcome(warm_up_executions, end - start)
    }
}

struct Client {
    stream: TcpStream,
    /// One frame per place among the outstanding; the node id is the place.
    frames: Vec<Vec<u8>>,
    sent_at: Vec<Instant>,
    latencies_ns: Vec<u64>,
    buffer: Vec<u8>,
    filled: usize,
    fresh: Option<FreshIds>,
}

/// Writes a new number into the instance id of a frame.
struct FreshIds {
    at: usize,
    next: u64,
}

const ID_DIGITS: usize = 12;

impl Client {
    fn connect(address: &str, load: &Load) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        ensure!(
            head.starts_with(b"HTTP/1.1 101"),
            "no upgrade: {}",
            String::from_utf8_lossy(&head)
        );
        let frames: Vec<_> = (0..load.outstanding)
            .map(|place| frame(&request(place)))
            .collect();
        let id = format!("{:0ID_DIGITS$}", 0);
        let at = frames[0]
            .windows(ID_DIGITS)
            .position(|window| window == id.as_bytes())
            .context("an id")?;
        Ok(Self {
            stream,
            sent_at: vec![Instant::now(); frames.len()],
            frames,
            latencies_ns: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
            fresh: load.fresh_ids.then_some(FreshIds { at, next: 0 }),
        })
    }

    fn send_all(&mut self) -> anyhow::Result<()> {
        let mut outgoing = Vec::new();
        for place in 0..self.frames.len() {
            self.queue(place, &mut outgoing);
        }
        self.stream.write_all(&outgoing)?;
        Ok(())
    }

    fn queue(&mut self, place: usize, outgoing: &mut Vec<u8>) {
        let frame = &mut self.frames[place];
        if let Some(fresh) = &mut self.fresh {
            fresh.next += 1;
            let id = format!("{:0ID_DIGITS$}", fresh.next);
            frame[fresh.at..fresh.at + ID_DIGITS].copy_from_slice(id.as_bytes());
        }
        outgoing.extend_from_slice(frame);
    }

    /// Asks again whenever something is complete, until the time is over; gives when that was.
    fn go_on_until(&mut self, end: Instant) -> anyhow::Result<Instant> {
        let (mut outgoing, mut completed) = (Vec::new(), Vec::new());
        loop {
            let read = self.stream.read(&mut self.buffer[self.filled..])?;
            ensure!(read > 0, "the server closed the connection");
            self.filled += read;
            let now = Instant::now();
            completed.clear();
            let used = take_completed(&self.buffer[..self.filled], &mut completed)?;
            self.buffer.copy_within(used..self.filled, 0);
            self.filled -= used;
            outgoing.clear();
            for &place in &completed {
                let latency = now - self.sent_at[place];
                self.latencies_ns.push(u64::try_from(latency.as_nanos())?);
                self.queue(place, &mut outgoing);
            }
            let now = Instant::now();
            for &place in &completed {
                self.sent_at[place] = now;
            }
            self.stream.write_all(&outgoing)?;
            if now >= end {
                return Ok(now);
            }
        }
    }

    fn outcome(mut self, warm_up_executions: usize, time: Duration) -> anyhow::Result<Outcome> {
        let executions = self.latencies_ns.len();
        ensure!(executions > 0, "nothing was completed");
        self.latencies_ns.sort_unstable();
        let at =
            |share: usize| Duration::from_nanos(self.latencies_ns[(executions - 1) * share / 100]);
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        Ok(Outcome {
            executions,
            warm_up_executions,
            seconds: time.as_secs_f64(),
            p50_us: micros(at(50)),
            p99_us: micros(at(99)),
        })
    }
}

/// Goes through whole frames and notes the node ids of `complete` statuses; gives how many bytes were used.
fn take_completed(bytes: &[u8], completed: &mut Vec<usize>) -> anyhow::Result<usize> {
    let mut used = 0;
    while let Some((payload, length)) = next_frame(&bytes[used..])? {
        used += length;
        let Some(node_id) = after(payload, b"\"nodeId\":") else {
            continue;
        };
        let digits = node_id.trim_ascii_start();
        let status = after(digits, b"\"type\":")
            .context("a status")?
            .trim_ascii_start();
        if status.starts_with(b"\"complete\"") {
            let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
            completed.push(digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')));
        } else {
            ensure!(
                status.starts_with(b"\"running\""),
                "{}",
                String::from_utf8_lossy(payload)
            );
        }
    }
    Ok(used)
}

/// The payload of the first frame and the frame's length, if it is whole.
fn next_frame(bytes: &[u8]) -> anyhow::Result<Option<(&[u8], usize)>> {
    let (start, length) = match *bytes {
        [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
        [_, 127, a, b, c, d, e, f, g, h, ..] => (
            10,
            usize::try_from(u64::from_be_bytes([a, b, c, d, e, f, g, h]))?,
        ),
        [_, length @ 0..=125, ..] => (2, usize::from(length)),
        _ => return Ok(None),
    };
    ensure!(start + length <= BUFFER_BYTES, "a frame of {length} bytes");
    Ok(bytes
        .get(start..start + length)
        .map(|payload| (payload, start + length)))
}

/// What follows the first `needle`.
fn after<'a>(haystack: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    let at = haystack
        .windows(needle.len())
        .position(|window| window == needle)?;
    Some(&haystack[at + needle.len()..])
}

/// A request as an orchestrator sends it. spec: nanograph 5.3
fn request(place: usize) -> String {
    format!(
        r#"{{"type": "request_execution", "serverUid": "bench", "instanceId": "{:0ID_DIGITS$}", "payload": {{"nodeId": {place}, "nodeUid": "echo", "inputs": {{"text": ["hi", "you"]}}, "graphNode": {{"id": {place}, "uid": "echo", "name": "echo", "category": "Test", "version": "1.0.0", "inputs": [], "outputs": [], "parameters": [{{"name": "prefix", "type": "text", "value": "> "}}], "serverUid": "bench", "domain": "local-python.nanograph"}}}}}}"#,
        0
    )
}

/// A masked text frame; the mask is zero, so that the payload stays readable.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(short @ 0..=125) => frame.push(0x80 | u8::try_from(short).unwrap_or_default()),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completed_executions_are_found_in_whole_frames() {
        let status = |id: usize, kind: &str| {
            format!(r#"{{"payload": {{"nodeId": {id}, "status": {{"type":"{kind}"}}}}}}"#)
        };
        let mut bytes = Vec::new();
        for text in [
            status(17, "running"),
            status(17, "complete"),
            "x".repeat(300),
            status(4, "complete"),
        ] {
            let mut unmasked = frame(&text);
            let mask_at = unmasked.len() - text.len() - 4;
            unmasked.drain(mask_at..mask_at + 4);
            unmasked[1] &= 0x7f;
            bytes.extend(unmasked);
        }
        let mut completed = Vec::new();
        let used = take_completed(&bytes[..bytes.len() - 1], &mut completed).unwrap();
        assert_eq!(completed, [17]);
        assert_eq!(
            take_completed(&bytes[used..], &mut completed).unwrap(),
            bytes.len() - used
        );
        assert_eq!(completed, [17, 4]);
    }
}
