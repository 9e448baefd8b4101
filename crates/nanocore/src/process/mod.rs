//! Node-server processes: found by their `nanoserver.json`, prepared, started, watched, stopped. spec: nanograph 12
//!
//! A graph names servers by uid and package, never a command or a path (spec 19.5). [`scan`] finds the folders that
//! hold such servers, [`prepare`] makes one ready to run (a virtual environment, `npm install`, `cargo build`), and
//! [`ServerProcess`] is the running child.
//!
//! ```no_run
//! use nanocore::process::{LaunchOptions, ServerProcess, Wanted, prepare, scan};
//!
//! # async fn example(endpoint: String, token: String) -> Result<(), Box<dyn std::error::Error>> {
//! let found = scan(&["examples".into()], 3);
//! let wanted = Wanted { server_uid: None, package_id: Some("captions".to_owned()) };
//! let folder = found.find(&wanted).ok_or("no such server")?;
//! let options = LaunchOptions::new(endpoint, token);
//! let launch = prepare(folder, &options.tools, &|line| println!("{line}")).await?;
//! let server = ServerProcess::start(&launch, &options).await?;
//! println!("{} is ready at {}", folder.config.server_uid, server.url());
//! server.stop().await;
//! # Ok(()) }
//! ```
//!
//! Invariants: a child is the leader of its own process group and the whole group ends with its handle; both its
//! outputs are always read, and kept in rings; every wait has an end. What is not done, since it needs unsafe code: a
//! parent-death signal, so children survive a parent that was killed with SIGKILL.

mod error;
mod javascript;
mod launch;
mod lines;
mod python;
mod python_source;
mod readiness;
mod rust;
mod scan;
mod server;
mod signals;
mod tool;
mod undeliverable;

pub use error::{Exit, ProcessError};
pub use launch::{
    Install, Launch, LaunchOptions, RESERVED_VARIABLES, StopTimes, Tools, prepare, prepare_with,
};
pub use lines::{LineSink, Output};
pub(crate) use python::sdk_version;
pub use scan::{Found, ServerFolder, Wanted, scan};
pub use server::ServerProcess;
pub use undeliverable::Undeliverable;
