//! An asset's bytes on their way out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use nodewire_json::Json;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::multipart::{Form, Part};
use tokio::io::AsyncReadExt;

use super::AssetError;

/// What stays as it is in file names: everything else is percent-encoded, as the Python SDK does. spec: nanograph 10.3
const FILE_NAME_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const READ_BYTES: usize = 256 << 10;
const TEXT: &str = "text/plain; charset=utf-8";

/// What to upload. The bytes of a path or a stream are sent as they are read.
#[must_use]
pub struct Upload {
    source: Source,
    file_name: Option<String>,
    content_type: Option<String>,
    kind: Option<String>,
    meta: Option<Json>,
}

enum Source {
    Path(PathBuf),
    Bytes(Bytes),
    Stream {
        stream: BoxStream<'static, std::io::Result<Bytes>>,
        length: Option<u64>,
    },
}

impl Upload {
    fn new(source: Source) -> Self {
        Self {
            source,
            file_name: None,
            content_type: None,
            kind: None,
            meta: None,
        }
    }

    /// The file at `path`, under its own name.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::Path(path.into()))
    }

    /// These bytes, as `file`.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::new(Source::Bytes(bytes.into()))
    }

    /// What the stream yields, as `file`. With a `length` the request states its size; the stream must then be as long.
    pub fn stream(
        stream: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        Self::new(Source::Stream {
            stream: stream.boxed(),
            length,
        })
    }

    /// Under this name.
    pub fn named(mut self, file_name: impl Into<String>) -> Self {
        self.file_name = Some(file_name.into());
        self
    }

    /// With this media type; without it, it is guessed from the name.
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// As this type of asset: `image`, `video`, `mesh`, `file`, …
    pub fn of_type(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// With this attached to it. Sent as JSON (the Python SDK sends Python syntax, quirk N15).
    pub fn with_meta(mut self, meta: Json) -> Self {
        self.meta = Some(meta);
        self
    }

    /// The request's body. `progress` counts the bytes that were taken from it.
    pub(super) async fn into_form(self, progress: &Arc<AtomicU64>) -> Result<Form, AssetError> {
        let file_name = self.file_name.clone().unwrap_or_else(|| self.source.name());
        let guess = || {
            mime_guess::from_path(&file_name)
                .first_raw()
                .unwrap_or("application/octet-stream")
                .to_owned()
        };
        let content_type = self.content_type.unwrap_or_else(guess);
        let part = self.source.into_part(progress).await?;
        let part = part.file_name(utf8_percent_encode(&file_name, FILE_NAME_SET).to_string());
        let part = part
            .mime_str(&content_type)
            .map_err(|_| AssetError::InvalidContentType { content_type })?;
        let mut form = Form::new().percent_encode_noop().part("file", part);
        let texts = [
            ("type", self.kind),
            ("meta", self.meta.map(|meta| meta.as_str().to_owned())),
        ];
        for (name, text) in texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, text?)))
        {
            let invalid = |_| AssetError::InvalidContentType {
                content_type: TEXT.to_owned(),
            };
            form = form.part(name, Part::text(text).mime_str(TEXT).map_err(invalid)?);
        }
        Ok(form)
    }
}

impl Source {
    fn name(&self) -> String {
        let name = match self {
            Self::Path(path) => path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned()),
            Self::Bytes(_) | Self::Stream { .. } => None,
        };
        name.unwrap_or_else(|| "file".to_owned())
    }

    async fn into_part(self, progress: &Arc<AtomicU64>) -> Result<Part, AssetError> {
        let (stream, length) = match self {
            Self::Bytes(bytes) => {
                let length = bytes.len() as u64;
                // In pieces, so that progress is seen while a slow server takes them.
                (pieces(bytes).boxed(), Some(length))
            }
            Self::Stream { stream, length } => (stream, length),
            Self::Path(path) => {
                let (stream, length) = read(&path)
                    .await
                    .map_err(|source| AssetError::File { path, source })?;
                (stream, Some(length))
            }
        };
        let progress = Arc::clone(progress);
        let body = reqwest::Body::wrap_stream(stream.inspect(move |chunk| {
            let length = chunk.as_ref().map_or(0, Bytes::len);
            progress.fetch_add(length as u64, Ordering::Relaxed);
        }));
        Ok(match length {
            Some(length) => Part::stream_with_length(body, length),
            None => Part::stream(body),
        })
    }
}

fn pieces(bytes: Bytes) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    futures_util::stream::unfold(bytes, |mut rest| async move {
        let piece = rest.split_to(rest.len().min(READ_BYTES));
        (!piece.is_empty()).then_some((Ok(piece), rest))
    })
}

async fn read(
    path: &PathBuf,
) -> std::io::Result<(BoxStream<'static, std::io::Result<Bytes>>, u64)> {
    let file = tokio::fs::File::open(path).await?;
    let metadata = file.metadata().await?;
    if !metadata.is_file() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "not a file",
        ));
    }
    // A file that grows meanwhile is sent as long as it was.
    let stream = tokio_util::io::ReaderStream::with_capacity(file.take(metadata.len()), READ_BYTES);
    Ok((stream.boxed(), metadata.len()))
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            source,
            file_name,
            content_type,
            kind,
            meta,
        } = self;
        f.debug_struct("Upload")
            .field("source", &source.name())
            .field("file_name", file_name)
            .field("content_type", content_type)
            .field("kind", kind)
            .field("meta", meta)
            .finish()
    }
}
