//! Bodies that travel compressed.

mod accept;
mod codec;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::HeaderMap;
use bytes::Bytes;

use self::codec::{Codec, DecodeError};
use super::{Middleware, Next};
use crate::header;
use crate::request::Request;
use crate::response::Response;
use crate::service_error::ServiceError;

const CONTENT_ENCODING: &str = "Content-Encoding";
const ACCEPT_ENCODING: &str = "Accept-Encoding";

/// What a request's body may decompress to, unless set.
const DEFAULT_DECODED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A reply's body that is smaller goes as it is, unless set.
const DEFAULT_ENCODED_BYTES_MIN: usize = 1024;

/// Decompresses requests that say `Content-Encoding`, and compresses replies to those that say `Accept-Encoding`: `gzip`,
/// and `snappy` in its block format, which is what tools of the NATS project ask for.
///
/// | Request | Answer |
/// |---|---|
/// | another encoding, or several | 415 `Unsupported Media Type`, with the encodings that are known in `Accept-Encoding` |
/// | a body that decompresses to more than the limit | 413 `Payload Too Large`; the limit holds while decompressing |
/// | a body that is not in its encoding | 400 |
///
/// The handler sees a decompressed body, and no `Content-Encoding`. A reply that has one, that is small, or that would not
/// become smaller stays as it is. At a [streaming](crate::Endpoint::streaming) endpoint only what the handler returns is
/// compressed. Compressing happens where the handler runs; for large bodies consider
/// [`Endpoint::spawn`](crate::Endpoint::spawn).
///
/// Clones count together.
///
/// ```
/// use nats_micro::Service;
/// use nats_micro::middleware::Compression;
///
/// let compression = Compression::new().decoded_bytes_max(1024 * 1024);
/// let builder = Service::builder("search", "1.0.0").middleware(compression);
/// ```
#[derive(Debug, Clone)]
pub struct Compression {
    decoded_bytes_max: usize,
    encoded_bytes_min: usize,
    counts: Arc<Counts>,
}

/// How many requests [`Compression`] has refused, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompressionRefusals {
    /// 415: an encoding that is not known.
    pub unknown_encoding: u64,
    /// 413: more than the limit.
    pub too_large: u64,
    /// 400: not in the encoding that it said.
    pub malformed: u64,
}

#[derive(Debug, Default)]
struct Counts {
    unknown_encoding: AtomicU64,
    too_large: AtomicU64,
    malformed: AtomicU64,
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

impl Compression {
    /// With its defaults: requests of 16 MiB at most when decompressed, replies from 1 KiB on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            decoded_bytes_max: DEFAULT_DECODED_BYTES_MAX,
            encoded_bytes_min: DEFAULT_ENCODED_BYTES_MIN,
            counts: Arc::default(),
        }
    }

    /// What a request's body may decompress to.
    #[must_use]
    pub const fn decoded_bytes_max(mut self, bytes: usize) -> Self {
        self.decoded_bytes_max = bytes;
        self
    }

    /// From which size on a reply's body is compressed.
    #[must_use]
    pub const fn encoded_bytes_min(mut self, bytes: usize) -> Self {
        self.encoded_bytes_min = bytes;
        self
    }

    /// What was refused.
    #[must_use]
    pub fn refusals(&self) -> CompressionRefusals {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CompressionRefusals {
            unknown_encoding: count(&self.counts.unknown_encoding),
            too_large: count(&self.counts.too_large),
            malformed: count(&self.counts.malformed),
        }
    }

    fn decode(&self, request: &mut Request) -> Result<(), ServiceError> {
        let Some(headers) = request.headers() else {
            return Ok(());
        };
        let encodings: Vec<_> = header::values(headers, CONTENT_ENCODING).collect();
        let codec = match encodings[..] {
            [] => return Ok(()),
            [only] if is_identity(only) => None,
            [only] => Some(Codec::named(only).ok_or_else(|| self.unknown_encoding())?),
            // In which order they were applied nobody can say.
            _ => return Err(self.unknown_encoding()),
        };
        if let Some(codec) = codec {
            let decoded = codec.decode(request.payload(), self.decoded_bytes_max);
            request.set_payload(decoded.map_err(|error| self.undecodable(codec, &error))?);
        }
        header::remove(request.headers_mut(), CONTENT_ENCODING);
        Ok(())
    }

    fn unknown_encoding(&self) -> ServiceError {
        self.counts.unknown_encoding.fetch_add(1, Ordering::Relaxed);
        ServiceError::new(415, "Unsupported Media Type")
            .with_header(ACCEPT_ENCODING, "gzip, snappy")
    }

    fn undecodable(&self, codec: Codec, error: &DecodeError) -> ServiceError {
        match error {
            DecodeError::TooLarge => {
                self.counts.too_large.fetch_add(1, Ordering::Relaxed);
                ServiceError::new(413, "Payload Too Large")
            }
            DecodeError::Malformed => {
                self.counts.malformed.fetch_add(1, Ordering::Relaxed);
                ServiceError::bad_request(format!("the request is not {}", codec.name()))
            }
        }
    }

    fn encode(&self, codec: Codec, response: &mut Response) {
        let has_encoding = response
            .headers_mut()
            .is_some_and(|headers| header::lookup(headers, CONTENT_ENCODING).is_some());
        let Some(payload) = response.payload_mut() else {
            return;
        };
        if has_encoding || payload.len() < self.encoded_bytes_min {
            return;
        }
        let Some(encoded) = codec.encode(payload) else {
            return;
        };
        if encoded.len() >= payload.len() {
            return;
        }
        *payload = Bytes::from(encoded);
        if let Some(headers) = response.headers_mut() {
            headers.insert(CONTENT_ENCODING, codec.name());
        }
    }
}

impl Middleware for Compression {
    async fn handle(&self, mut request: Request, next: Next) -> Response {
        let accepted = request.headers().and_then(accepted);
        if let Err(error) = self.decode(&mut request) {
            return Response::Error(error);
        }
        let mut response = next.run(request).await;
        if let Some(codec) = accepted {
            self.encode(codec, &mut response);
        }
        response
    }
}

fn accepted(headers: &HeaderMap) -> Option<Codec> {
    accept::preferred(header::values(headers, ACCEPT_ENCODING))
}

fn is_identity(encoding: &str) -> bool {
    let encoding = encoding.trim();
    encoding.is_empty() || encoding.eq_ignore_ascii_case("identity")
}
