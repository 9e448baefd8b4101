//! Servers made with the Python packages.

use nodewire_testkit::{PythonNodeServer, SdkVersion};

use crate::support::{ended, nodewire};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_node_servers_are_listed_and_called() {
    let folder = tempfile::tempdir().unwrap();
    for version in SdkVersion::ALL {
        let server = PythonNodeServer::start(version).await.unwrap();
        let url = server.url();
        let told = ended(nodewire(
            folder.path(),
            &["ls", "--json", "--nanograph", &url],
        ))
        .await;
        assert_eq!(told.status, 0, "{told:?}");
        let told = told.json();
        let nodes = told["servers"][0]["nodes"].as_array().unwrap();
        let echo = nodes
            .iter()
            .find(|node| node["uid"].as_str().unwrap().contains("echo"))
            .unwrap();
        let uid = echo["uid"].as_str().unwrap();
        let input = format!("{}=hello", echo["inputs"][0]["name"].as_str().unwrap());
        let told = ended(nodewire(
            folder.path(),
            &["call", uid, &input, "--nanograph", &url],
        ))
        .await;
        assert!(
            told.status == 0 && told.stdout.contains("hello"),
            "{told:?}"
        );
    }
}
