//! A stream that is beyond use.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// In place of one that has panicked: whoever uses it learns that the link is lost.
#[derive(Debug)]
pub(super) struct Broken;

impl Broken {
    fn error<T>() -> Poll<io::Result<T>> {
        let told = "the stream has panicked while it was written: its connection is given up";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, told)))
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Self::error()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::error()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::error()
    }
}
