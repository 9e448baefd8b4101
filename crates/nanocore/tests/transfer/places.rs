//! Where assets are: the orchestrator's store, asset servers, and one that follows a script.

use std::time::Duration;

use nanocore::assets::{
    AssetServer, AssetServerConfig, AssetStore, AssetTransfer, ForeignAssets, StoreOptions, Token,
    TransferOptions,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The orchestrator's own.
pub(crate) struct Ours {
    pub(crate) store: AssetStore,
    pub(crate) transfer: AssetTransfer,
    folder: TempDir,
}

impl Ours {
    pub(crate) fn open() -> Self {
        Self::open_with(TransferOptions::default())
    }

    pub(crate) fn open_with(options: TransferOptions) -> Self {
        // A second time finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let store = AssetStore::open(folder.path(), StoreOptions::default()).unwrap();
        let transfer = AssetTransfer::new(store.clone(), options);
        Self {
            store,
            transfer,
            folder,
        }
    }

    /// Files of uploads that are going on.
    pub(crate) fn incoming(&self) -> usize {
        let folder = self.folder.path().join("incoming");
        std::fs::read_dir(folder).unwrap().count()
    }
}

/// Somebody else's asset server.
pub(crate) struct Place {
    server: AssetServer,
    _folder: TempDir,
}

impl Place {
    pub(crate) async fn start(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = AssetStore::open(folder.path(), StoreOptions::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = AssetServerConfig {
            domain: format!("{name}.domain"),
            ..AssetServerConfig::default()
        };
        Self {
            server: AssetServer::start(store, listener, config).unwrap(),
            _folder: folder,
        }
    }

    pub(crate) fn store(&self) -> &AssetStore {
        self.server.store()
    }

    pub(crate) fn foreign(&self) -> ForeignAssets {
        ForeignAssets {
            endpoint: self.server.endpoint().to_owned(),
            token: self.server.token().clone(),
        }
    }
}

/// A server that answers every request with these bytes, and then hangs up or says nothing more.
pub(crate) async fn scripted(answer: Vec<u8>, hangs: bool) -> ForeignAssets {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                // The caller may be gone.
                let _ = stream.write_all(&answer).await;
                if hangs {
                    let _ = stream.read(&mut [0]).await;
                }
            });
        }
    });
    ForeignAssets {
        endpoint,
        token: Token::new("token"),
    }
}

/// Waits until the condition holds; a minute at most.
pub(crate) async fn eventually(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(super::LIMIT, waiting).await.unwrap();
}
