//! The program's settings: which file, which variables, which flags.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::variable;
use crate::config::{self, Action, Flags, Layers, NodewireConfig, Problems, Surroundings};
use crate::server::{Parts, ServeError};

/// How the program is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// On the wires that are configured.
    Wires,
    /// As a server of MCP on standard input and output, and on nothing else: who starts it so may do it several times.
    #[cfg(feature = "mcp")]
    McpStdio,
}

/// Lets file, environment and flags win over what the code says, and begins the log. `None` if the program was only asked
/// something, which is answered on standard output.
///
/// # Errors
/// Everything that is wrong, at once.
pub(crate) fn configure(
    parts: &mut Parts,
    in_code: Option<NodewireConfig>,
    has_own_arguments: bool,
    nodes: &[Arc<str>],
) -> Result<Option<Mode>, ServeError> {
    let mut problems = Problems::default();
    let mut arguments = std::env::args_os();
    let program = arguments.next().map(PathBuf::from).unwrap_or_default();
    let flags = if has_own_arguments {
        Flags::default()
    } else {
        config::parse_flags(arguments, &mut problems)
    };
    let folder = std::env::current_dir().unwrap_or_else(|_| ".".into());
    let file = file(&flags, in_code, &mut problems);
    let layers = config::join(file, &variable, &flags, &mut problems);
    let (name, version) = config::identity(&layers, parts);
    let name = name.unwrap_or_else(|| file_name(&program));
    let around = Surroundings {
        lookup: &variable,
        folder: Some(&folder),
        name: &name,
        nodes,
    };
    match flags.action {
        Action::Help => say(&config::help(&name, version.as_deref())),
        Action::Version => say(&config::version(&name, version.as_deref())),
        Action::PrintConfig => {
            problems.check()?;
            say(&config::print(&layers, parts, around));
        }
        Action::Run => {
            super::init_log(&config::log_settings(&layers));
            config::apply(parts, &layers, around, problems)?;
            return Ok(Some(Mode::Wires));
        }
        #[cfg(feature = "mcp")]
        Action::McpStdio => {
            super::init_log(&config::log_settings(&layers));
            config::apply_mcp_stdio(parts, &layers, around, problems)?;
            return Ok(Some(Mode::McpStdio));
        }
    }
    Ok(None)
}

/// The file that a flag names, or a variable, or the code; else the one in the working directory, if there is one.
fn file(flags: &Flags, in_code: Option<NodewireConfig>, problems: &mut Problems) -> Layers {
    let named = variable(config::FILE_VARIABLE).filter(|path| !path.is_empty());
    let named = flags.file.clone().or_else(|| named.map(PathBuf::from));
    match (named, in_code) {
        (Some(path), _) => config::load(&path, problems),
        (None, Some(config)) => config.layers,
        (None, None) if Path::new(config::FILE_NAME).exists() => {
            config::load(Path::new(config::FILE_NAME), problems)
        }
        (None, None) => Layers::default(),
    }
}

fn file_name(program: &Path) -> String {
    let stem = program.file_stem().unwrap_or_default().to_string_lossy();
    if stem.is_empty() {
        "node-server".to_owned()
    } else {
        stem.into_owned()
    }
}

/// Whoever asked may have gone.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}
