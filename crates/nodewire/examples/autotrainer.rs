//! A node as a device service. Run it, and call it with any ZeroMQ client, here Python's `pyzmq`:
//! ```sh
//! cargo run -p nodewire --example autotrainer
//! python3 -c '
//! import zmq
//! socket = zmq.Context().socket(zmq.REQ)
//! socket.connect("tcp://127.0.0.1:5557")
//! socket.send_json({"command": 99999, "custom_command": 1001, "nonce": 1, "data": {"inputs": {"names": ["Ada"]}}})
//! print(socket.recv_json())'
//! ```

use nodewire::autotrainer::AutotrainerConfig;
use nodewire::prelude::*;

/// Greets each name.
#[node(output = "greeting")]
async fn greet(names: Vec<String>, #[param(default = "Hello")] word: String) -> Vec<String> {
    let greet = |name: &String| format!("{word}, {name}!");
    names.iter().map(greet).collect()
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    // Quick nodes answer with their result; others say that it is pending, and publish it.
    let device = AutotrainerConfig::new("greeter")
        .command("greet", 1001)
        .quick("greet");
    let server = NodeServer::builder().node(greet()).autotrainer(device);
    server.run().await
}
