//! A byte stream that behaves badly, in simulated time if the test pauses the clock.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};

/// What happens to one direction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Impairment {
    /// Bytes of a piece at most; 0 is any.
    pub(crate) piece_bytes: usize,
    /// Before each piece.
    pub(crate) delay: Duration,
    /// After so many bytes, this happens.
    pub(crate) after: Option<(u64, Fault)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Both directions end at once, as when the machine is gone.
    Cut,
    /// This direction ends, the other goes on.
    HalfClose,
    /// Bytes come that nobody sent.
    Garbage,
    /// Nothing comes any more, and nothing ends.
    Silence,
}

/// Two ends that are joined by a relay with these impairments: of what the first end sends, and of what the second does.
pub(crate) fn impaired(first: Impairment, second: Impairment) -> (DuplexStream, DuplexStream) {
    impaired_with_room(first, second, 64 << 10)
}

/// With so many bytes under way at most.
pub(crate) fn impaired_with_room(
    first: Impairment,
    second: Impairment,
    room: usize,
) -> (DuplexStream, DuplexStream) {
    let (near, near_relay) = tokio::io::duplex(room);
    let (far, far_relay) = tokio::io::duplex(room);
    let (near_read, near_write) = tokio::io::split(near_relay);
    let (far_read, far_write) = tokio::io::split(far_relay);
    tokio::spawn(async move {
        let there = carry(near_read, far_write, first);
        let back = carry(far_read, near_write, second);
        tokio::pin!(there, back);
        // A cut takes the other direction with it; an ordinary end does not.
        tokio::select! {
            end = &mut there => if end == End::Ordinary { back.await; },
            end = &mut back => if end == End::Ordinary { there.await; },
        }
    });
    (near, far)
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Ordinary,
    Cut,
}

async fn carry(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    impairment: Impairment,
) -> End {
    let piece_bytes = match impairment.piece_bytes {
        0 => 16 << 10,
        bytes => bytes,
    };
    let mut piece = vec![0; piece_bytes];
    let mut left = impairment.after.map(|(bytes, _)| bytes);
    loop {
        let room = left.map_or(piece_bytes as u64, |left| left.min(piece_bytes as u64));
        if let (0, Some((_, fault))) = (room, impairment.after) {
            return fail(fault, &mut from, &mut to).await;
        }
        let room = usize::try_from(room).unwrap();
        let Ok(count @ 1..) = from.read(&mut piece[..room]).await else {
            let _ = to.shutdown().await;
            return End::Ordinary;
        };
        if !impairment.delay.is_zero() {
            tokio::time::sleep(impairment.delay).await;
        }
        if to.write_all(&piece[..count]).await.is_err() {
            return End::Cut;
        }
        left = left.map(|left| left - count as u64);
    }
}

async fn fail(
    fault: Fault,
    from: &mut ReadHalf<DuplexStream>,
    to: &mut WriteHalf<DuplexStream>,
) -> End {
    match fault {
        Fault::Cut => End::Cut,
        Fault::HalfClose => {
            let _ = to.shutdown().await;
            // What comes is thrown away.
            let mut rest = Vec::new();
            let _ = from.read_to_end(&mut rest).await;
            End::Ordinary
        }
        Fault::Garbage => {
            let _ = to.write_all(&[0xA5; 4096]).await;
            End::Ordinary
        }
        Fault::Silence => std::future::pending().await,
    }
}
