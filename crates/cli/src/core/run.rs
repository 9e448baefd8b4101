//! `run --daemon`: a graph on the daemon, followed to its end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanocore::workflow::{Builtin, Graph, Server, ServerSet};
use nanograph::assets::{AssetClient, Upload};
use nanograph::message::NodeDefinition;
use nodewire_json::Json;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Daemon, parse, part};
use super::follow::Following;
use crate::args::RunArgs;
use crate::failure::{Failure, chain};
use crate::inputs::{self, Input, Uploads};
use crate::outputs::{self, AssetFiles, Output};
use crate::progress::Progress;
use crate::signals::Signals;
use crate::traces::{self, Traces};
use crate::{run as own_run, terminal};

pub(crate) async fn run(args: RunArgs) -> Result<(), Failure> {
    let traces = Traces::start("nodewire-run");
    let ran = Box::pin(submit_and_follow(args, &traces)).await;
    traces.stop().await;
    ran
}

async fn submit_and_follow(args: RunArgs, traces: &Traces) -> Result<(), Failure> {
    args.check_unused_on_daemon()?;
    let timeout = args
        .timeout
        .map(Duration::try_from_secs_f64)
        .transpose()
        .map_err(|_| Failure::usage("--timeout is a number of seconds"))?;
    if timeout.is_some() && args.on_daemon.detach {
        return Err(Failure::usage(
            "--timeout is watched from here, so it cannot go with --detach",
        ));
    }
    let mut graph = own_run::read_graph(&args.graph)?;
    let given = inputs::parse(&graph, &args.input)?;
    let targets = own_run::targets(&graph, &args.target)?;
    inputs::check_params(&args.graph.param)?;
    if let Some(folder) = &args.out {
        outputs::make_folder(folder)?;
    }
    let daemon = Daemon::find(&args.on_daemon.at)?;
    let signals = Signals::listen()?;
    let submitting = submit((&daemon, traces), &args, &mut graph, given, &targets);
    let submitted = signals.unless_stopped(Box::pin(submitting)).await?;
    let run_id = submitted["runId"].as_str().unwrap_or_default().to_owned();
    if args.on_daemon.detach {
        if args.json {
            terminal::json(submitted);
        } else {
            terminal::result(terminal::plain(&run_id));
        }
        return terminal::results_written();
    }
    let mut progress = Progress::new(&graph, args.json);
    for warning in super::show::list(&submitted, "warnings") {
        let message = warning["message"].as_str().unwrap_or_default();
        let message = terminal::plain(message);
        progress.note(&format!("{} {message}", terminal::warning_word()));
    }
    let mut following = Following::new(daemon, &args.on_daemon.at, &run_id);
    let followed = following.until_over(&mut progress, &signals, timeout);
    let followed = signals.unless_killed(Box::pin(followed)).await;
    progress.end();
    let is_timed_out = followed?;
    let daemon = following.into_daemon();
    if is_timed_out {
        // It may have been over when it was to be stopped.
        let asked = signals.unless_killed(is_complete(&daemon, &run_id)).await;
        if !asked.unwrap_or_default() {
            return Err(own_run::timed_out_failure());
        }
    }
    signals
        .unless_killed(report(&daemon, &args, &graph, &targets, &run_id))
        .await?;
    terminal::results_written()
}

async fn is_complete(daemon: &Daemon, run_id: &str) -> Result<bool, Failure> {
    let run: Value = daemon.read(&format!("/runs/{}", part(run_id))).await?;
    Ok(run["status"] == "complete")
}

/// Puts parameters and inputs into the graph, and hands it over.
async fn submit(
    (daemon, traces): (&Daemon, &Traces),
    args: &RunArgs,
    graph: &mut Graph,
    given: Vec<Input>,
    targets: &[u64],
) -> Result<Value, Failure> {
    if !args.graph.param.is_empty() {
        let offered = offered(&daemon.read("/nodes").await?);
        inputs::set_params(graph, &args.graph.param, &offered)?;
    }
    inputs::apply(given, graph, &DaemonAssets(daemon.assets()?)).await?;
    let mut options = json!({
        "targets": targets,
        "types": args.graph.types.as_str(),
        "durable": args.on_daemon.durable,
    });
    if args.on_daemon.wait_servers {
        options["waitServers"] = true.into();
    }
    if let Some(priority) = args.on_daemon.priority {
        options["priority"] = priority.into();
    }
    if let Some(cache) = args.on_daemon.cache {
        options["cache"] = cache.as_str().into();
    }
    // The graph's values are text, which must arrive as it is.
    let mut body = options.to_string();
    body.insert_str(1, &format!("\"graph\":{},", graph.to_json()));
    // An answer that is lost on its way must not start a second run.
    let key = Uuid::new_v4().to_string();
    let span = traces.request("submit run");
    let parent = span
        .as_ref()
        .map_or_else(traces::parent, |span| Some(span.context()));
    let answer = daemon.submit(body, &key, parent).await;
    if let Some(span) = span {
        span.end(answer.is_err().then_some("the run was not accepted"));
    }
    parse(&answer?)
}

/// What the daemon's servers offer.
fn offered(answer: &Value) -> ServerSet {
    let mut servers: HashMap<String, (Server, Vec<NodeDefinition>)> = HashMap::new();
    for node in super::show::list(answer, "nodes") {
        let text = |key: &str| node[key].as_str().map(str::to_owned);
        let Ok(definition) = NodeDefinition::from_json(Json::from(node["definition"].clone()))
        else {
            continue;
        };
        let uid = text("serverUid").unwrap_or_default();
        let server = || Server {
            uid: uid.clone(),
            package_id: text("serverPackageId"),
            ..Server::default()
        };
        let (_, definitions) = servers
            .entry(uid.clone())
            .or_insert_with(|| (server(), Vec::new()));
        definitions.push(definition);
    }
    let mut offered = ServerSet::default();
    for (server, definitions) in servers.into_values() {
        offered.insert(server, definitions);
    }
    offered
}

/// Files become assets of the daemon, which names them for each server as its SDK wants it.
struct DaemonAssets(AssetClient);

impl Uploads for DaemonAssets {
    async fn upload(&self, path: &Path) -> Result<String, String> {
        let asset = self.0.upload(Upload::path(path)).await;
        let asset = asset.map_err(|error| format!("{}: {}", path.display(), chain(&error)))?;
        asset
            .hash
            .ok_or_else(|| "the daemon stored a file, but did not name it".to_owned())
    }
}

/// Writes what there is, and says how the run went.
async fn report(
    daemon: &Daemon,
    args: &RunArgs,
    graph: &Graph,
    targets: &[u64],
    run_id: &str,
) -> Result<(), Failure> {
    let text = daemon.get(&format!("/runs/{}", part(run_id))).await?;
    let record = read_json(text)?;
    let nodes = record
        .get("nodes")
        .and_then(|nodes| nodes.elements())
        .unwrap_or_default();
    let mut results = Vec::new();
    for node in &nodes {
        results.extend(ports(daemon, graph, targets, node).await?);
    }
    match &args.out {
        Some(folder) => {
            let fetched = tempfile::tempdir()
                .map_err(|error| Failure::failed(format!("no temporary folder: {error}")))?;
            let files = fetch(daemon, &results, fetched.path()).await?;
            outputs::write_all(&results, folder, AssetFiles::Fetched(&files), args.json)?;
        }
        None if args.json => {}
        None => results
            .iter()
            .flat_map(outputs::lines)
            .for_each(terminal::result),
    }
    let status = record
        .get("status")
        .and_then(|status| status.decode::<String>().ok());
    match status.as_deref() {
        Some("complete") => Ok(()),
        Some("aborted") => Err(Failure::interrupted()),
        _ => {
            let reason = record.get("reason");
            let reason = reason.and_then(|reason| reason.decode::<String>().ok());
            Err(Failure::node(failures(&nodes, reason.as_deref())))
        }
    }
}

/// What a node of the record gave, if that is a result.
async fn ports(
    daemon: &Daemon,
    graph: &Graph,
    targets: &[u64],
    node: &Json,
) -> Result<Vec<Output>, Failure> {
    let member = |key: &str| node.get(key).filter(|value| !value.is_null());
    let Some(node_id) = member("nodeId").and_then(|id| id.decode::<u64>().ok()) else {
        return Ok(Vec::new());
    };
    let known = graph.nodes.iter().find(|node| node.id == node_id);
    let name = known.map_or_else(
        || node_id.to_string(),
        |node| {
            node.name
                .clone()
                .unwrap_or_else(|| format!("{}-{node_id}", node.uid))
        },
    );
    // Whatever server the graph names: none has executed it.
    let is_here = member("serverUid").is_none();
    let is_viewer = known.is_some_and(|node| {
        node.client || (is_here && Builtin::with_uid(&node.uid) == Some(Builtin::Viewer))
    });
    if !outputs::is_result(graph, targets, node_id, is_viewer) {
        return Ok(Vec::new());
    }
    let key = if is_viewer && member("inputs").is_some() {
        "inputs"
    } else {
        "outputs"
    };
    let shown = match member(key) {
        Some(value) if is_truncated(&value) => whole(daemon, &value, key).await?,
        shown => shown,
    };
    Ok(outputs::ports(&name, shown.as_ref()))
}

/// Whether a value is only described, as it is large.
fn is_truncated(value: &Json) -> bool {
    value.get("truncated").and_then(|is| is.decode().ok()) == Some(true)
}

/// Such a value itself: a member of what stands at its address.
async fn whole(daemon: &Daemon, value: &Json, key: &str) -> Result<Option<Json>, Failure> {
    let href = value
        .get("href")
        .and_then(|href| href.decode::<String>().ok());
    // It is below the daemon's own address; nobody else is to see the token.
    let href = href.filter(|href| href.starts_with("/api/"));
    let href = href.ok_or_else(|| Failure::failed("the daemon does not say where a result is"))?;
    let text = daemon.plain(reqwest::Method::GET, &href).await?;
    Ok(read_json(text)?.get(key))
}

fn read_json(text: String) -> Result<Json, Failure> {
    Json::parse(text).map_err(|error| {
        Failure::failed(format!("the daemon's answer was not understood: {error}"))
    })
}

/// Fetches the assets among the results; their names and files by reference.
async fn fetch(
    daemon: &Daemon,
    results: &[Output],
    folder: &Path,
) -> Result<HashMap<String, (String, PathBuf)>, Failure> {
    let assets = daemon.assets()?;
    let mut files = HashMap::new();
    for reference in results.iter().flat_map(Output::references) {
        if files.contains_key(&reference) {
            continue;
        }
        let path = folder.join(files.len().to_string());
        let name = super::assets::fetch(daemon, &assets, &reference, &path).await?;
        files.insert(reference, (name, path));
    }
    Ok(files)
}

fn failures(nodes: &[Json], reason: Option<&str>) -> String {
    let line = |node: &Json| {
        let error = node.get("error").filter(|error| !error.is_null())?;
        let text = |key: &str| error.get(key).and_then(|text| text.decode::<String>().ok());
        let id = node
            .get("nodeId")
            .map(|id| id.to_string())
            .unwrap_or_default();
        let message = text("message")
            .or_else(|| error.decode().ok())
            .unwrap_or_default();
        let code = text("code")
            .map(|code| format!("{code}: "))
            .unwrap_or_default();
        Some(format!("node {id} failed: {code}{message}"))
    };
    let lines: Vec<_> = nodes.iter().filter_map(line).collect();
    match reason {
        _ if !lines.is_empty() => lines.join("\n"),
        Some(reason) => format!("the run failed: {reason}"),
        None => "the run failed".to_owned(),
    }
}
