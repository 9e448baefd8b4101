//! `nodewire nnrp vectors`: the manifest that implementations in all languages agree on. spec: nnrp-wire 7.7

use std::path::{Path, PathBuf};

use nnrp_wire::manifest::{GoldenVector, golden_vectors, parse, render, verify};

use super::output::{Output, finish};
use super::reading::read_whole;
use crate::failure::{Failure, chain};

const HELP: &str = "\
Examples:
  # Twelve vectors, made by this program's encoders
  nodewire nnrp vectors > nnrp-golden.json

  # Another implementation's: read, decoded, encoded again, and compared with ours by name
  nodewire nnrp vectors --check theirs.json

Descriptions are not compared. A name that is not among ours is checked, but compared with nothing.

Exit status: 0 done, and nothing differs; 1 the file is no manifest, a vector is not what its kind says or differs from ours, or one
of ours is missing; 2 wrong usage, or the file cannot be read.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct VectorsArgs {
    /// Check this manifest instead of printing ours; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// Of a manifest; a thousand times what ours has.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

pub(super) fn vectors(args: &VectorsArgs) -> Result<(), Failure> {
    let mut output = Output::new();
    match &args.check {
        None => finish(
            output
                .line(&render(&golden_vectors()))
                .and_then(|()| output.flush()),
        ),
        Some(file) => check(file, &mut output),
    }
}

fn check(file: &Path, output: &mut Output) -> Result<(), Failure> {
    let bytes = read_whole(file, MANIFEST_BYTES_MAX)?;
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| Failure::failed("the manifest is not UTF-8"))?;
    let theirs = parse(&text).map_err(|error| Failure::failed(chain(&error)))?;
    verify(&theirs).map_err(|error| Failure::failed(chain(&error)))?;
    let ours = golden_vectors();
    let mut differences = 0;
    let mut lines = Vec::new();
    for vector in &theirs {
        let verdict = verdict(vector, &ours);
        differences += usize::from(verdict == "differs");
        lines.push(format!("{verdict} {}", vector.name.escape_debug()));
    }
    let is_there = |name: &str| theirs.iter().any(|vector| vector.name == name);
    for vector in ours.iter().filter(|vector| !is_there(&vector.name)) {
        differences += 1;
        lines.push(format!("missing {}", vector.name));
    }
    let mut written = lines.iter().try_for_each(|line| output.line(line));
    written = written.and_then(|()| output.flush());
    finish(written)?;
    match differences {
        0 => Ok(()),
        1 => Err(Failure::failed("1 vector differs or is missing")),
        count => Err(Failure::failed(format!(
            "{count} vectors differ or are missing"
        ))),
    }
}

fn verdict(vector: &GoldenVector, ours: &[GoldenVector]) -> &'static str {
    let own = ours.iter().find(|own| own.name == vector.name);
    match own {
        None => "unknown",
        Some(own) if own.kind == vector.kind && own.bytes == vector.bytes => "same",
        Some(_) => "differs",
    }
}
