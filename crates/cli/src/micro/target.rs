//! What `run` and `dev` start: something that cargo builds, or any command.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use process_wrap::tokio::{CommandWrap, ProcessGroup};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::instance::Launch;
use crate::failure::Failure;
use crate::terminal;

/// What to run.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "What to run")]
pub(super) struct TargetArgs {
    /// A package of the cargo workspace here, or a folder with a Cargo.toml.
    #[arg(value_name = "PACKAGE")]
    package: Option<String>,
    /// An example instead of the package's program.
    #[arg(long, value_name = "NAME", conflicts_with = "bin")]
    example: Option<String>,
    /// Which of the package's programs.
    #[arg(long, value_name = "NAME")]
    bin: Option<String>,
    /// Build with optimizations.
    #[arg(long)]
    release: bool,
    /// Features to build with.
    #[arg(long, value_name = "FEATURES")]
    features: Vec<String>,
    /// After `--`: the program's arguments; without PACKAGE, --example and --bin, the command itself.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl TargetArgs {
    /// Whether cargo builds it.
    fn is_cargo(&self) -> bool {
        self.package.is_some() || self.example.is_some() || self.bin.is_some()
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        if !self.is_cargo() && self.command.is_empty() {
            return Err(Failure::usage(
                "give a cargo package, --example NAME, or -- COMMAND",
            ));
        }
        if !self.is_cargo() && (self.release || !self.features.is_empty()) {
            return Err(Failure::usage(
                "--release and --features are for what cargo builds",
            ));
        }
        Ok(())
    }

    /// Builds it, if it is to be built, and says what to start. Cargo shows its errors itself.
    ///
    /// Dropping the future ends the build.
    pub(super) async fn build(
        &self,
        environment: &[(&'static str, Option<String>)],
    ) -> Result<Launch, Failure> {
        let environment = environment.to_vec();
        if self.is_cargo() {
            let program = self.cargo_build().await?;
            return Ok(Launch {
                program,
                arguments: self.command.clone(),
                environment,
            });
        }
        match self.command.split_first() {
            Some((program, arguments)) => Ok(Launch {
                program: program.clone(),
                arguments: arguments.to_vec(),
                environment,
            }),
            None => Err(Failure::usage("there is no command")),
        }
    }

    async fn cargo_build(&self) -> Result<OsString, Failure> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = CommandWrap::with_new(cargo, |command| {
            command
                .args(self.cargo_arguments())
                .stdin(Stdio::null())
                .stdout(Stdio::piped());
        });
        let cannot = |error: std::io::Error| Failure::failed(format!("cannot run cargo: {error}"));
        let mut cargo = Building(
            command
                .wrap(ProcessGroup::leader())
                .spawn()
                .map_err(cannot)?,
        );
        let stdout = cargo.0.stdout().take();
        let programs = match stdout {
            Some(stdout) => programs(stdout).await.map_err(cannot)?,
            None => Vec::new(),
        };
        if !cargo.0.wait().await.map_err(cannot)?.success() {
            return Err(Failure::failed("the build failed"));
        }
        match programs.as_slice() {
            [(_, program)] => Ok(program.into()),
            [] => Err(Failure::failed(
                "cargo built no program: is this a library? Name an --example, or another package",
            )),
            several => {
                let names: Vec<_> = several.iter().map(|(name, _)| name.as_str()).collect();
                Err(Failure::usage(format!(
                    "there are several programs: {}; choose one with --bin",
                    names.join(", ")
                )))
            }
        }
    }

    fn cargo_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            "build".into(),
            "--message-format=json-render-diagnostics".into(),
        ];
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
        match &self.package {
            Some(folder) if Path::new(folder).join("Cargo.toml").is_file() => {
                let manifest = Path::new(folder).join("Cargo.toml");
                add(&["--manifest-path", &manifest.to_string_lossy()]);
            }
            Some(package) => add(&["--package", package]),
            None => {}
        }
        match (&self.example, &self.bin) {
            (Some(example), _) => add(&["--example", example]),
            (None, Some(bin)) => add(&["--bin", bin]),
            (None, None) => add(&["--bins"]),
        }
        if self.release {
            add(&["--release"]);
        }
        for features in &self.features {
            add(&["--features", features]);
        }
        arguments
    }
}

/// Cargo with its compilers, which end with it.
struct Building(Box<dyn process_wrap::tokio::ChildWrapper>);

impl Drop for Building {
    fn drop(&mut self) {
        // It fails when nothing is left.
        let _ = self.0.start_kill();
    }
}

/// The programs in what cargo says, with their names; lines that a build prints otherwise are shown.
async fn programs(stdout: impl AsyncRead + Unpin) -> std::io::Result<Vec<(String, String)>> {
    let mut programs = Vec::new();
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str::<Value>(&line) {
            Ok(message) => {
                let name = message["target"]["name"].as_str().unwrap_or_default();
                if let Some(program) = message["executable"].as_str() {
                    programs.push((name.to_owned(), program.to_owned()));
                }
            }
            Err(_) => terminal::say(terminal::plain(&line)),
        }
    }
    Ok(programs)
}
