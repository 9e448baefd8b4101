//! An object store that has no room left in the middle of an upload.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use nanocore::assets::{Contents, StoreOptions};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::http::Part;
use super::{PICTURE, start};

/// Keeps everything in memory; of a content in parts, only the first part finds room.
#[derive(Debug, Default)]
struct Full {
    kept: InMemory,
    parts: Arc<AtomicUsize>,
    given_up: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct FullUpload {
    inner: Box<dyn MultipartUpload>,
    sent: usize,
    parts: Arc<AtomicUsize>,
    given_up: Arc<AtomicUsize>,
}

fn no_room() -> object_store::Error {
    object_store::Error::Generic {
        store: "Full",
        source: Box::new(io::Error::from(io::ErrorKind::StorageFull)),
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full")
    }
}

impl ObjectStore for Full {
    fn put_opts<'a, 'b, 'f>(
        &'a self,
        location: &'b Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> BoxFuture<'f, Result<PutResult>>
    where
        'a: 'f,
        'b: 'f,
    {
        self.kept.put_opts(location, payload, options)
    }

    fn put_multipart_opts<'a, 'b, 'f>(
        &'a self,
        location: &'b Path,
        options: PutMultipartOptions,
    ) -> BoxFuture<'f, Result<Box<dyn MultipartUpload>>>
    where
        'a: 'f,
        'b: 'f,
    {
        Box::pin(async move {
            let upload = FullUpload {
                inner: self.kept.put_multipart_opts(location, options).await?,
                sent: 0,
                parts: Arc::clone(&self.parts),
                given_up: Arc::clone(&self.given_up),
            };
            Ok(Box::new(upload) as Box<dyn MultipartUpload>)
        })
    }

    fn get_opts<'a, 'b, 'f>(
        &'a self,
        location: &'b Path,
        options: GetOptions,
    ) -> BoxFuture<'f, Result<GetResult>>
    where
        'a: 'f,
        'b: 'f,
    {
        self.kept.get_opts(location, options)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.kept.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.kept.list(prefix)
    }

    fn list_with_delimiter<'a, 'b, 'f>(
        &'a self,
        prefix: Option<&'b Path>,
    ) -> BoxFuture<'f, Result<ListResult>>
    where
        'a: 'f,
        'b: 'f,
    {
        self.kept.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'c, 'f>(
        &'a self,
        from: &'b Path,
        to: &'c Path,
        options: CopyOptions,
    ) -> BoxFuture<'f, Result<()>>
    where
        'a: 'f,
        'b: 'f,
        'c: 'f,
    {
        self.kept.copy_opts(from, to, options)
    }
}

impl MultipartUpload for FullUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.sent += 1;
        self.parts.fetch_add(1, Ordering::Relaxed);
        if self.sent > 1 {
            return Box::pin(std::future::ready(Err(no_room())));
        }
        self.inner.put_part(data)
    }

    fn complete<'a, 'f>(&'a mut self) -> BoxFuture<'f, Result<PutResult>>
    where
        'a: 'f,
    {
        self.inner.complete()
    }

    fn abort<'a, 'f>(&'a mut self) -> BoxFuture<'f, Result<()>>
    where
        'a: 'f,
    {
        self.given_up.fetch_add(1, Ordering::Relaxed);
        self.inner.abort()
    }
}

#[tokio::test]
async fn no_room_in_mid_write_is_507_and_leaves_nothing_and_the_next_upload_works() {
    let full = Arc::new(Full::default());
    let setup = start(StoreOptions {
        contents: Contents::Objects(Arc::clone(&full) as Arc<dyn ObjectStore>),
        ..StoreOptions::default()
    })
    .await;
    let large = vec![7; 25 << 20];
    for attempt in 1..=2 {
        let refused = setup
            .client
            .upload(&[Part::File("large", "", &large)])
            .await;
        assert_eq!(
            (refused.status, refused.error_code().as_str()),
            (507, "storage_full")
        );
        assert!(full.parts.load(Ordering::Relaxed) >= 2 * attempt);
        assert_eq!(full.given_up.load(Ordering::Relaxed), attempt);
        let incoming = std::fs::read_dir(setup.folder.path().join("incoming"));
        assert_eq!(incoming.unwrap().count(), 0);
        assert!(full.list(None).next().await.is_none());
        assert!(setup.server.store().list(&Default::default()).is_empty());
    }
    let small = setup.client.upload(&[PICTURE]).await;
    assert_eq!(small.status, 201);
    let path = format!(
        "/assets/{}/download",
        small.json()["hash"].as_str().unwrap()
    );
    assert_eq!(setup.client.get(&path).await.body, b"0123456789");
}
