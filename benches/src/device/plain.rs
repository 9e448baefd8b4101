//! The lightest clients there can be, so that the service is what is measured: one thread each on a plain TCP socket,
//! with just as much of ZMTP as it takes. Libzmq's clients hand every message from thread to thread, which takes
//! longer than the service does. spec: autotrainer 16.1

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::load::{Answered, NONCE, Published};
use autotrainer_api::Topic;

/// What takes longer is lost.
const REPLY_TIMEOUT: Duration = Duration::from_secs(15);
const EVENT_TIMEOUT: Duration = Duration::from_secs(3);
/// Many events at a time.
const READ_BYTES: usize = 256 * 1024;
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Asks again and again, one request at a time.
///
/// # Errors
/// A reply is wrong, or does not come.
pub fn request(
    endpoint: &str,
    warm_up: Duration,
    time: Duration,
    request: &str,
    expected: &str,
) -> anyhow::Result<Answered> {
    let mut connection = Connection::open(endpoint, b"REQ", REPLY_TIMEOUT)?;
    let place = request.find(NONCE).context("a request has a nonce")?;
    let mut message = delimited(request.as_bytes());
    let place = message.len() - request.len() + place;
    let mut latencies_us = Vec::new();
    let measured_from = Instant::now() + warm_up;
    let over_at = measured_from + time;
    let mut answered_in_all = 0;
    loop {
        let nonce = format!("{:010}", 1_000_000_001 + answered_in_all);
        message[place..place + nonce.len()].copy_from_slice(nonce.as_bytes());
        let sent_at = Instant::now();
        connection.stream.write_all(&message)?;
        let reply = connection.reply()?;
        let now = Instant::now();
        let is_right = reply.contains(&nonce) && reply.contains(expected);
        ensure!(is_right, "a reply is wrong: {reply}");
        answered_in_all += 1;
        if now >= over_at {
            break;
        }
        if now >= measured_from {
            latencies_us.push((now - sent_at).as_secs_f64() * 1e6);
        }
    }
    latencies_us.sort_by(f64::total_cmp);
    let at = |hundredths| {
        let place = latencies_us.len().saturating_sub(1) * hundredths / 100;
        latencies_us.get(place).copied().unwrap_or(0.0)
    };
    Ok(Answered {
        answered: latencies_us.len(),
        answered_in_all,
        seconds: time.as_secs_f64(),
        p50_us: at(50),
        p99_us: at(99),
    })
}

/// Counts events on so many connections until all are there, or none comes any more. Calls `ready` once all have the
/// marker.
///
/// # Errors
/// A connection cannot be made or is lost.
pub fn subscribe(
    endpoint: &str,
    subscribers: usize,
    events: usize,
    marker_topic: u32,
    ready: impl FnOnce(),
) -> anyhow::Result<Published> {
    let have_marker = Barrier::new(subscribers + 1);
    let counted: Vec<anyhow::Result<Counted>> = std::thread::scope(|scope| {
        let count = || {
            let joined = Subscriber::join(endpoint, marker_topic);
            // Waited for in any case, so that nobody else waits for ever.
            have_marker.wait();
            joined?.count(events)
        };
        let threads: Vec<_> = (0..subscribers).map(|_| scope.spawn(count)).collect();
        have_marker.wait();
        ready();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|counted| counted.unwrap_or_else(|_| bail!("a subscriber panicked")))
            .collect()
    });
    let counted = counted.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let first = counted.iter().filter_map(|counted| counted.first_at).min();
    let last = counted.iter().filter_map(|counted| counted.last_at).max();
    let (first, last) = first.zip(last).context("no event came")?;
    Ok(Published {
        received: counted.iter().map(|counted| counted.received).sum(),
        bytes: counted.iter().map(|counted| counted.bytes).sum(),
        seconds: (last - first).as_secs_f64(),
    })
}

#[derive(Debug, Default)]
struct Counted {
    received: usize,
    bytes: u64,
    first_at: Option<Instant>,
    last_at: Option<Instant>,
}

struct Subscriber {
    connection: Connection,
    marker: [u8; 4],
}

impl Subscriber {
    /// Subscribes, and waits for the marker.
    fn join(endpoint: &str, marker_topic: u32) -> anyhow::Result<Self> {
        let mut connection = Connection::open(endpoint, b"SUB", REPLY_TIMEOUT)?;
        let marker = marker_topic.to_le_bytes();
        for topic in [Topic::EVENT.to_frame(), marker] {
            let mut subscription = vec![0, 5, 1];
            subscription.extend_from_slice(&topic);
            connection.stream.write_all(&subscription)?;
        }
        let mut has_marker = false;
        while !has_marker {
            connection.fill()?;
            connection.messages(|topic, _| has_marker |= topic == marker)?;
        }
        Ok(Self { connection, marker })
    }

    fn count(mut self, events: usize) -> anyhow::Result<Counted> {
        let stream = &self.connection.stream;
        stream.set_read_timeout(Some(EVENT_TIMEOUT))?;
        let mut counted = Counted::default();
        while counted.received < events && self.connection.fill().is_ok() {
            let before = counted.received;
            let marker = self.marker;
            self.connection.messages(|topic, bytes| {
                if topic != marker {
                    counted.received += 1;
                    counted.bytes += bytes as u64;
                }
            })?;
            if counted.received > before {
                let now = Instant::now();
                counted.first_at.get_or_insert(now);
                counted.last_at = Some(now);
            }
        }
        Ok(counted)
    }
}

/// A connection after its handshake, with what has come and is not taken yet.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the first frame of a message whose others have not all come.
    topic: Option<[u8; 4]>,
}

impl Connection {
    fn open(endpoint: &str, socket_type: &[u8], timeout: Duration) -> anyhow::Result<Self> {
        let address = endpoint.strip_prefix("tcp://").unwrap_or(endpoint);
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        let mut connection = Self {
            stream,
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            topic: None,
        };
        connection.stream.write_all(&greeting())?;
        let mut theirs = [0; 64];
        connection.stream.read_exact(&mut theirs)?;
        ensure!(
            theirs[0] == 0xff && theirs[10] == 3,
            "it does not speak ZMTP 3"
        );
        connection.stream.write_all(&ready(socket_type))?;
        while connection
            .frame()?
            .is_none_or(|(flags, _)| flags & COMMAND == 0)
        {
            connection.fill()?;
        }
        Ok(connection)
    }

    /// Reads once; what was not taken moves to the front.
    fn fill(&mut self) -> anyhow::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        ensure!(!room.is_empty(), "a frame is longer than expected");
        let read = self.stream.read(room)?;
        ensure!(read > 0, "the service has closed the connection");
        self.end += read;
        Ok(())
    }

    /// The next whole frame's flags and body.
    fn frame(&mut self) -> anyhow::Result<Option<(u8, std::ops::Range<usize>)>> {
        let arrived = &self.buffer[self.start..self.end];
        let (head, length) = match arrived {
            [flags, rest @ ..] if flags & LONG != 0 => match rest.first_chunk::<8>() {
                Some(length) => (9, usize::try_from(u64::from_be_bytes(*length))?),
                None => return Ok(None),
            },
            [_, length, ..] => (2, usize::from(*length)),
            _ => return Ok(None),
        };
        ensure!(length <= READ_BYTES, "a frame is longer than expected");
        if arrived.len() < head + length {
            return Ok(None);
        }
        let flags = arrived[0];
        let body = self.start + head..self.start + head + length;
        self.start = body.end;
        Ok(Some((flags, body)))
    }

    /// Takes what has come: topics, and bytes of the frames behind them.
    fn messages(&mut self, mut take: impl FnMut([u8; 4], usize)) -> anyhow::Result<()> {
        while let Some((flags, body)) = self.frame()? {
            match self.topic {
                None => {
                    let topic = self.buffer[body].first_chunk().copied();
                    self.topic = Some(topic.context("a topic has four bytes")?);
                }
                // The reference's heartbeats get between the frames of an event now and then.
                Some(topic) if flags & MORE == 0 => {
                    take(topic, body.len());
                    self.topic = None;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The last frame of the next message.
    fn reply(&mut self) -> anyhow::Result<String> {
        loop {
            match self.frame()? {
                None => self.fill()?,
                Some((flags, _)) if flags & MORE != 0 => {}
                Some((_, body)) => return Ok(String::from_utf8(self.buffer[body].to_vec())?),
            }
        }
    }
}

fn greeting() -> [u8; 64] {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

fn ready(socket_type: &[u8]) -> Vec<u8> {
    let mut body = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    body.push(u8::try_from(socket_type.len()).unwrap_or(u8::MAX));
    body.extend_from_slice(socket_type);
    let mut frame = vec![COMMAND, u8::try_from(body.len()).unwrap_or(u8::MAX)];
    frame.extend_from_slice(&body);
    frame
}

/// A request behind its empty frame.
fn delimited(request: &[u8]) -> Vec<u8> {
    let mut message = vec![MORE, 0];
    match u8::try_from(request.len()) {
        Ok(length) => message.extend_from_slice(&[0, length]),
        Err(_) => {
            message.push(LONG);
            message.extend_from_slice(&(request.len() as u64).to_be_bytes());
        }
    }
    message.extend_from_slice(request);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_bytes_of_the_protocol() {
        assert_eq!(delimited(b"ok"), *b"\x01\0\0\x02ok");
        let long = delimited(&[b'x'; 256]);
        assert_eq!(long[..11], *b"\x01\0\x02\0\0\0\0\0\0\x01\0");
        assert_eq!(
            ready(b"REQ"),
            *b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REQ"
        );
    }
}
