//! An asset's bytes on their way in.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};

use super::AssetError;

/// How much memory is set aside on the word of a `Content-Length`.
const MAX_TRUSTED_BYTES: u64 = 1 << 20;

/// An asset's bytes as they arrive: a stream of chunks. Dropping it ends the transfer.
///
/// A chunk that does not come in time is [`AssetError::TimedOut`], an early end [`AssetError::Interrupted`].
pub struct Download {
    content_length: Option<u64>,
    content_type: Option<String>,
    chunks: BoxStream<'static, Result<Bytes, AssetError>>,
}

impl Download {
    pub(super) fn new(response: reqwest::Response, idle_timeout: Duration) -> Self {
        let content_type = response.headers().get(http::header::CONTENT_TYPE);
        Self {
            content_length: response.content_length(),
            content_type: content_type
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            chunks: chunks(response, idle_timeout).boxed(),
        }
    }

    /// How many bytes the server announced.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// The media type the server announced.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// All bytes, unless there are more than `limit`.
    ///
    /// Cancel safety: dropping the future ends the transfer.
    ///
    /// # Errors
    /// As the stream's; [`AssetError::TooLarge`] before more than `limit` bytes are held.
    pub async fn bytes(mut self, limit: u64) -> Result<Bytes, AssetError> {
        let too_large = || AssetError::TooLarge { limit };
        let announced = self.content_length.unwrap_or(0);
        if announced > limit {
            return Err(too_large());
        }
        let mut whole =
            BytesMut::with_capacity(usize::try_from(announced.min(MAX_TRUSTED_BYTES)).unwrap_or(0));
        while let Some(chunk) = self.chunks.try_next().await? {
            if whole.len() as u64 + chunk.len() as u64 > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// At most `limit` bytes, then the rest is given up. For the text of a refusal.
    pub(super) async fn head(mut self, limit: usize) -> String {
        let mut head = Vec::new();
        while head.len() < limit
            && let Ok(Some(chunk)) = self.chunks.try_next().await
        {
            head.extend_from_slice(&chunk[..chunk.len().min(limit - head.len())]);
        }
        String::from_utf8_lossy(&head).trim().to_owned()
    }
}

fn chunks(
    response: reqwest::Response,
    idle_timeout: Duration,
) -> impl Stream<Item = Result<Bytes, AssetError>> {
    futures_util::stream::try_unfold(response, move |mut response| async move {
        let chunk = tokio::time::timeout(idle_timeout, response.chunk()).await;
        let chunk = chunk.map_err(|_| AssetError::TimedOut {
            after: idle_timeout,
        })?;
        let chunk = chunk.map_err(|error| AssetError::Interrupted {
            source: error.without_url().into(),
        })?;
        Ok(chunk.map(|chunk| (chunk, response)))
    })
}

impl Stream for Download {
    type Item = Result<Bytes, AssetError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_next_unpin(cx)
    }
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            content_length,
            content_type,
            chunks: _,
        } = self;
        f.debug_struct("Download")
            .field("content_length", content_length)
            .field("content_type", content_type)
            .finish_non_exhaustive()
    }
}
