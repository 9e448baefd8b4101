//! `--input` and `--param`: values for a graph.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt, stream};
use nanocore::assets::{AssetStore, NewAsset};
use nanocore::workflow::{Builtin, Catalog, Graph, GraphNode};
use nodewire_json::Json;
use tokio_util::io::ReaderStream;

use crate::failure::{Failure, chain};

/// Uploads at the same time.
const UPLOADS_MAX: usize = 4;
/// Pieces that files are read in.
const CHUNK_BYTES: usize = 256 << 10;

/// What was given to one input node, checked as far as that is possible before anything is started.
#[derive(Debug)]
pub(crate) struct Input {
    node: String,
    builtin: Builtin,
    given: Vec<Given>,
}

#[derive(Debug)]
enum Given {
    Value(String),
    File(PathBuf),
}

/// How assets are named in values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferenceStyle {
    /// `sha256:…`
    Hash,
    /// `nanocore://…`, for SDKs before 0.2.1.
    Uri,
}

/// Reads the `--input` arguments.
pub(crate) fn parse(graph: &Graph, arguments: &[String]) -> Result<Vec<Input>, Failure> {
    let mut inputs: BTreeMap<&str, Input> = BTreeMap::new();
    for argument in arguments {
        let (name, value) = split(argument, "--input", "NAME=VALUE")?;
        let node = graph
            .find(name)
            .map_err(|error| Failure::usage(format!("--input {name}: {error}")))?;
        // One that names another server is run here if no server offers it; where one does, its parameter is the same.
        let builtin = Builtin::with_uid(&node.uid).filter(|builtin| builtin.parameter().is_some());
        let builtin = builtin.ok_or_else(|| {
            Failure::usage(format!("--input {name}: the node is no input (its definition is `{}`); use --param for parameters", node.uid))
        })?;
        let given = match value.strip_prefix('@') {
            Some(path) => files(name, Path::new(path), node)?
                .into_iter()
                .map(Given::File)
                .collect(),
            None if builtin == Builtin::Asset && !is_reference(value) => {
                return Err(Failure::usage(format!(
                    "--input {name}: `{value}` is no asset reference; a file is given as {name}=@{value}"
                )));
            }
            None => vec![Given::Value(value.to_owned())],
        };
        inputs
            .entry(name)
            .or_insert_with(|| Input {
                node: name.to_owned(),
                builtin,
                given: Vec::new(),
            })
            .given
            .extend(given);
    }
    Ok(inputs.into_values().collect())
}

/// The file, or the files of a folder in the order of their names, as far as the node accepts them.
fn files(name: &str, path: &Path, node: &GraphNode) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!(
            "--input {name}: cannot read {}: {error}",
            path.display()
        ))
    };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries: Vec<_> = fs::read_dir(path)
        .and_then(Iterator::collect)
        .map_err(failed)?;
    let accepts = accepted(node);
    let is_wanted = |path: &PathBuf| {
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        path.is_file()
            && !is_hidden
            && accepts
                .as_deref()
                .is_none_or(|patterns| is_accepted(patterns, path))
    };
    let mut files: Vec<_> = entries
        .into_iter()
        .map(|entry: fs::DirEntry| entry.path())
        .filter(is_wanted)
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(Failure::usage(format!(
            "--input {name}: {} has no files that fit",
            path.display()
        )));
    }
    Ok(files)
}

/// The MIME types that the graph wants of a folder: `"accept": "image/*,video/mp4"` at the parameter.
fn accepted(node: &GraphNode) -> Option<String> {
    let accept =
        |(key, value): &(String, Json)| (key == "accept").then(|| value.decode().ok()).flatten();
    node.params
        .iter()
        .flat_map(|param| &param.extra)
        .find_map(accept)
}

fn is_accepted(patterns: &str, path: &Path) -> bool {
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    patterns
        .split(',')
        .map(str::trim)
        .any(|pattern| match pattern.strip_suffix("/*") {
            Some(kind) => mime.type_() == kind,
            None => mime.essence_str() == pattern,
        })
}

/// Puts the values into the graph, uploading files where assets are wanted.
pub(crate) async fn apply(
    inputs: Vec<Input>,
    graph: &mut Graph,
    assets: &impl Uploads,
) -> Result<(), Failure> {
    for input in inputs {
        let usage = |text: String| Failure::usage(format!("--input {}: {text}", input.node));
        let values: Vec<Json> = if input.builtin == Builtin::Asset {
            let values = input.given.iter().map(|given| asset(given, assets));
            stream::iter(values)
                .buffered(UPLOADS_MAX)
                .try_collect()
                .await
                .map_err(usage)?
        } else {
            input
                .given
                .iter()
                .map(|given| value(given, input.builtin))
                .collect::<Result<_, _>>()
                .map_err(usage)?
        };
        let value = match values.as_slice() {
            [single] if input.builtin != Builtin::Asset => single.clone(),
            _ => Json::array(&values),
        };
        let node = graph
            .find_mut(&input.node)
            .map_err(|error| usage(error.to_string()))?;
        node.set_param(input.builtin.parameter().unwrap_or_default(), value);
    }
    Ok(())
}

fn value(given: &Given, builtin: Builtin) -> Result<Json, String> {
    let text = match given {
        Given::Value(text) => text.clone(),
        Given::File(path) => fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?,
    };
    if builtin == Builtin::Text {
        return Ok(Json::from(text.as_str()));
    }
    Json::parse(text).map_err(|error| format!("not JSON: {error}"))
}

async fn asset(given: &Given, assets: &impl Uploads) -> Result<Json, String> {
    match given {
        Given::Value(reference) => Ok(Json::from(reference.as_str())),
        Given::File(path) => Ok(Json::from(assets.upload(path).await?.as_str())),
    }
}

/// Where files become assets.
pub(crate) trait Uploads {
    /// Stores a file; how nodes are to refer to it. An error is told to the person.
    fn upload(&self, path: &Path) -> impl Future<Output = Result<String, String>>;
}

/// A store of our own, whose assets are named in this style and domain.
#[derive(Debug)]
pub(crate) struct OwnStore<'a> {
    pub(crate) store: &'a AssetStore,
    pub(crate) style: ReferenceStyle,
    pub(crate) domain: String,
}

impl Uploads for OwnStore<'_> {
    async fn upload(&self, path: &Path) -> Result<String, String> {
        store_file(path, self).await
    }
}

async fn store_file(path: &Path, own: &OwnStore<'_>) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut upload = own.store.upload().map_err(|error| chain(&error))?;
    let mut chunks = ReaderStream::with_capacity(file, CHUNK_BYTES);
    while let Some(chunk) = chunks.next().await {
        upload
            .write(chunk.map_err(failed)?)
            .await
            .map_err(|error| chain(&error))?;
    }
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let entry = upload
        .finish(NewAsset {
            name,
            ..NewAsset::default()
        })
        .await
        .map_err(|error| chain(&error))?
        .entry;
    Ok(match own.style {
        ReferenceStyle::Hash => entry.hash.to_string(),
        ReferenceStyle::Uri => format!("nanocore://{}/asset/{}", own.domain, entry.uuid),
    })
}

/// Whether the text refers to an asset, in either form.
pub(crate) fn is_reference(text: &str) -> bool {
    text.parse::<nanograph::assets::AssetRef>().is_ok()
}

/// Puts the `--param` arguments into the graph. Kinds are known once servers are.
pub(crate) fn set_params(
    graph: &mut Graph,
    arguments: &[String],
    catalog: &dyn Catalog,
) -> Result<(), Failure> {
    for argument in arguments {
        let (target, value) = split(argument, "--param", "NODE.NAME=VALUE")?;
        let (node, name) = param_target(argument, target)?;
        let node = graph
            .find_mut(node)
            .map_err(|error| Failure::usage(format!("--param {target}: {error}")))?;
        let is_text = is_text(node, name, value, catalog);
        let json = if is_text {
            None
        } else {
            Json::parse(value.to_owned()).ok()
        };
        node.set_param(name, json.unwrap_or_else(|| Json::from(value)));
    }
    Ok(())
}

/// Checks the form of `--param` arguments, before anything is started for them.
pub(crate) fn check_params(arguments: &[String]) -> Result<(), Failure> {
    arguments.iter().try_for_each(|argument| {
        let (target, _) = split(argument, "--param", "NODE.NAME=VALUE")?;
        param_target(argument, target).map(drop)
    })
}

fn param_target<'a>(argument: &str, target: &'a str) -> Result<(&'a str, &'a str), Failure> {
    target
        .split_once('.')
        .ok_or_else(|| Failure::usage(format!("--param {argument}: expected NODE.NAME=VALUE")))
}

/// Whether the parameter takes the value as the text it is.
fn is_text(node: &GraphNode, name: &str, value: &str, catalog: &dyn Catalog) -> bool {
    let definition = Builtin::of(node)
        .map(Builtin::definition)
        .or_else(|| Some(catalog.resolve(node)?.definition))
        .or_else(|| Builtin::with_uid(&node.uid).map(Builtin::definition));
    let Some(parameter) = definition
        .iter()
        .flat_map(|definition| &definition.parameters)
        .find(|parameter| parameter.name == name)
    else {
        return false;
    };
    match parameter.kind.as_str() {
        "text" | "color" | "filepicker" => true,
        "select" => parameter
            .options
            .iter()
            .any(|option| option.value == Json::from(value)),
        _ => false,
    }
}

fn split<'a>(argument: &'a str, flag: &str, form: &str) -> Result<(&'a str, &'a str), Failure> {
    argument
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("{flag} {argument}: expected {form}")))
}
