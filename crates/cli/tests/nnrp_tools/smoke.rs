//! The smoke exchange, both sides ours.

use crate::support::{Folder, PATIENT, Running};

const SAID: &str = "\
requested_session_id=9
negotiated_session_id=17
frame_id=303
control_stream_id=0
submit_stream_id=2
result_stream_id=RESULT
submit_tile_count=3
result_tile_count=3
";

/// `--transport`, and where results come by.
const TRANSPORTS: [(&str, &str); 3] = [("quic", "3"), ("tcp", "2"), ("tls", "2")];

fn serving(folder: &Folder, command: &str, transport: &str) -> (Running, String) {
    let mut server = folder.nnrp(&["smoke", command, "--transport", transport]);
    server.args(["--session-id", "17"]);
    if transport != "tcp" {
        server.args(["--certificate-out", "own.pem"]);
    }
    let running = Running::start(server.args(PATIENT));
    let line = running.err.with("listening on");
    let port = line.rsplit_once(':').unwrap().1.to_owned();
    (running, port)
}

#[test]
fn both_sides_say_what_was_exchanged() {
    for (transport, result_stream) in TRANSPORTS {
        let folder = Folder::new();
        let (mut server, port) = serving(&folder, "server-once", transport);
        let mut client = vec!["smoke", "client", "--transport", transport, "--port", &port];
        client.extend(["--requested-session-id", "9", "--frame-id", "303"]);
        if transport != "tcp" {
            client.extend(["--ca", "own.pem"]);
        }
        let client = folder.run(&[&client, &PATIENT[..]].concat()).succeeds();
        let said = SAID.replace("RESULT", result_stream);
        assert_eq!(client.stdout, format!("role=client\n{said}"), "{transport}");
        assert_eq!(client.stderr, "");
        assert!(server.wait().success());
        let server = server.out.rest().join("\n");
        assert_eq!(server, format!("role=server\n{said}").trim_end());
    }
}

#[test]
fn programs_get_an_object() {
    let folder = Folder::new();
    let (_server, port) = serving(&folder, "server", "quic");
    let client = ["smoke", "client", "--port", &port, "--insecure", "--json"];
    let client = folder.run(&[&client, &PATIENT[..]].concat()).succeeds();
    let [object] = &client.objects()[..] else {
        panic!("{client:?}");
    };
    assert_eq!(object["role"], "client");
    assert_eq!(object["negotiated_session_id"], 17);
    assert_eq!(object["result_tile_count"], 3);
}

#[test]
fn a_hello_server_gives_a_session_and_no_result() {
    let folder = Folder::new();
    let (mut server, port) = serving(&folder, "hello-server", "tcp");
    let client = ["smoke", "client", "--transport", "tcp", "--port", &port];
    let client = folder.run(&[&client, &PATIENT[..]].concat());
    assert_eq!(client.code, Some(1), "{client:?}");
    assert!(server.wait().success());
    let said = server.out.rest();
    assert_eq!(
        said,
        [
            "role=hello-server",
            "requested_session_id=1",
            "negotiated_session_id=17",
            "control_stream_id=0"
        ]
    );
}
