//! The store by itself: what survives, what is removed.

use bytes::Bytes;
use nanocore::assets::{AssetStore, NewAsset, StoreError, StoreOptions, Stored};

#[tokio::test]
async fn entries_survive_and_orphans_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = AssetStore::open(folder.path(), StoreOptions::default()).unwrap();
    let asset = NewAsset {
        name: Some("a.txt".to_owned()),
        meta: Some("{'n': 1e400}".to_owned()),
        ..NewAsset::default()
    };
    let stored = store
        .put(Bytes::from_static(b"hello"), asset)
        .await
        .unwrap();
    let lost = store
        .put(Bytes::from_static(b"lost"), NewAsset::default())
        .await
        .unwrap();
    let path = |stored: &Stored| store.path(&stored.entry).unwrap();
    let (path, lost_path) = (path(&stored), path(&lost));
    drop(store);

    std::fs::remove_file(lost_path.with_extension("json")).unwrap();
    std::fs::write(folder.path().join("incoming/half"), b"x").unwrap();
    let store = super::opened_again(folder.path()).await;
    let entry = store.find(stored.entry.hash.into()).unwrap();
    assert_eq!(
        (entry.uuid, entry.name.as_str(), entry.created_at),
        (stored.entry.uuid, "a.txt", stored.entry.created_at)
    );
    assert_eq!(entry.meta, stored.entry.meta);
    assert_eq!(std::fs::read(path).unwrap(), b"hello");
    assert!(!lost_path.exists() && store.find(lost.entry.hash.into()).is_none());
    assert_eq!(
        std::fs::read_dir(folder.path().join("incoming"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_row_without_its_content_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = AssetStore::open(folder.path(), StoreOptions::default()).unwrap();
    let stored = store
        .put(Bytes::from_static(b"hello"), NewAsset::default())
        .await
        .unwrap();
    std::fs::write(store.path(&stored.entry).unwrap(), b"hell").unwrap();
    drop(store);
    let store = super::opened_again(folder.path()).await;
    assert!(store.find(stored.entry.hash.into()).is_none());
    assert!(
        !store
            .put(Bytes::from_static(b"hello"), NewAsset::default())
            .await
            .unwrap()
            .already_exists
    );
}

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _store = AssetStore::open(folder.path(), StoreOptions::default()).unwrap();
    assert!(matches!(
        AssetStore::open(folder.path(), StoreOptions::default()),
        Err(StoreError::Locked { .. })
    ));
}

#[tokio::test]
async fn the_same_content_at_the_same_time_is_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = AssetStore::open(folder.path(), StoreOptions::default()).unwrap();
    let uploads = (0..16).map(|_| store.put(Bytes::from(vec![7; 100_000]), NewAsset::default()));
    let stored: Vec<_> = futures_util::future::join_all(uploads)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        stored
            .iter()
            .filter(|stored| !stored.already_exists)
            .count(),
        1
    );
    assert!(
        stored
            .iter()
            .all(|one| one.entry.uuid == stored[0].entry.uuid)
    );
}

#[tokio::test]
async fn uploads_are_bounded_in_number_and_length() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        uploads_max: 1,
        asset_bytes_max: 4,
        ..StoreOptions::default()
    };
    let store = AssetStore::open(folder.path(), options).unwrap();
    let mut upload = store.upload().unwrap();
    assert!(matches!(store.upload(), Err(StoreError::Busy { limit: 1 })));
    upload.write(Bytes::from_static(b"1234")).await.unwrap();
    assert!(matches!(
        upload.write(Bytes::from_static(b"5")).await,
        Err(StoreError::TooLarge { limit: 4 })
    ));
    drop(upload);
    super::faults::eventually(|| store.upload().is_ok()).await;
    assert!(store.list(&Default::default()).is_empty());
}
