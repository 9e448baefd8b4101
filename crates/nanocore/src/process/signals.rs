//! Children begin with the signals that stop them at their defaults, also if this process was started with them ignored,
//! as shells do with what they start in the background. spec: nanograph 12.4

use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The bits of SIGINT and SIGTERM in the kernel's masks.
const STOPPING: u64 = (1 << 1) | (1 << 14);
/// Resets signals, without code of ours between fork and exec; keeps the process id.
const RESET: &str = "--default-signal=INT,TERM";

/// The command line that starts the program, with those signals reset if they have to be.
pub(super) fn with_default_signals(
    program: &OsStr,
    arguments: &[OsString],
) -> (OsString, Vec<OsString>) {
    static NEEDED: OnceLock<bool> = OnceLock::new();
    if !*NEEDED.get_or_init(is_needed) {
        return (program.to_owned(), arguments.to_vec());
    }
    let before = [OsString::from(RESET), program.to_owned()];
    (
        "env".into(),
        before
            .into_iter()
            .chain(arguments.iter().cloned())
            .collect(),
    )
}

fn is_needed() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if ignored(&status) & STOPPING == 0 {
        return false;
    }
    let works = Command::new("env")
        .args([RESET, "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        tracing::warn!(
            "this process was started with SIGINT or SIGTERM ignored, and so are node servers; they will be stopped with SIGKILL"
        );
    }
    works
}

/// The mask of ignored signals in the kernel's words.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_read() {
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000004002\n"), STOPPING);
        assert_eq!(ignored("Name:\tx\n"), 0);
    }

    #[test]
    fn the_system_can_reset_ignored_signals() {
        let script = "trap '' INT TERM; exec env --default-signal=INT,TERM cat /proc/self/status";
        let output = Command::new("sh").args(["-c", script]).output().unwrap();
        let status = String::from_utf8(output.stdout).unwrap();
        assert!(status.contains("SigIgn:"), "{status}");
        assert_eq!(ignored(&status) & STOPPING, 0);
    }
}
