//! Readers of all speeds, in a time of their own.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::session::{PathId, Transmit};
use nnrp_wire::{Envelope, FrameSubmit, Message};
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::time::{Instant, sleep};

use super::{LIMIT, Patience};
use crate::link::{Link, Writer};

const BYTES: usize = 10_000;

/// With so much to write, over a pipe that holds a tenth of it.
fn link() -> (Writer, DuplexStream) {
    let (near, far) = tokio::io::duplex(BYTES / 10);
    let mut writer = Link::from_stream(near).writer;
    let submit = FrameSubmit::builder()
        .payload(TypedPayload::opaque_bytes(Bytes::from(vec![7; BYTES])))
        .build()
        .unwrap();
    let transmit = Transmit {
        path: PathId(1),
        envelope: Envelope::frame(1, 1),
        message: Message::FrameSubmit(submit),
    };
    writer.queue(&transmit).unwrap();
    (writer, far)
}

/// Takes so many bytes each 900 ms, until the other side has ended.
async fn read_slowly(mut far: DuplexStream, bytes: usize) -> usize {
    let mut all = 0;
    let mut buffer = vec![0; bytes];
    loop {
        sleep(Duration::from_millis(900)).await;
        match far.read(&mut buffer).await {
            Ok(0) | Err(_) => return all,
            Ok(count) => all += count,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slow_gets_all() {
    for is_flushed in [false, true] {
        let (mut writer, far) = link();
        let read = tokio::spawn(read_slowly(far, 500));
        let patience = Patience::begin();
        if is_flushed {
            patience.flush(&mut writer).await.unwrap();
        }
        patience.finish(&mut writer).await.unwrap();
        drop(writer);
        assert!(read.await.unwrap() > BYTES);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_not_waited_for() {
    for is_flushed in [false, true] {
        let (mut writer, _far) = link();
        let begun = Instant::now();
        let patience = Patience::begin();
        let end = if is_flushed {
            patience.flush(&mut writer).await
        } else {
            patience.finish(&mut writer).await
        };
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_ever_so_little_is_waited_for_up_to_a_limit() {
    let (mut writer, far) = link();
    let read = tokio::spawn(read_slowly(far, 1));
    let begun = Instant::now();
    let end = Patience::begin().finish(&mut writer).await;
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(begun.elapsed(), LIMIT);
    read.abort();
}
