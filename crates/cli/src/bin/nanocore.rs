//! The `nanocore` command: the `nodewire` beside it, started under this name, which is how that knows what to be.

#![forbid(unsafe_code)]

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let error = match std::env::current_exe() {
        // Comes back only if it fails: the process becomes the other one, with its pid, signals and outputs.
        Ok(own) => Command::new(own.with_file_name("nodewire"))
            .arg0("nanocore")
            .args(std::env::args_os().skip(1))
            .exec(),
        Err(error) => error,
    };
    // There is nobody else to tell.
    let _ = writeln!(
        std::io::stderr(),
        "error: cannot start `nodewire`, which has to be installed beside `nanocore`: {error}"
    );
    ExitCode::FAILURE
}
