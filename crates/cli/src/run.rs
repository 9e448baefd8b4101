//! `nodewire run`.

use std::sync::Arc;
use std::time::Duration;

use nanocore::assets::{AssetServer, AssetServerConfig, AssetStore, StoreOptions};
use nanocore::workflow::{Engine, Graph, InvalidGraph, Run, RunOptions, RunResult, RunStatus};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::args::{GraphArgs, RunArgs};
use crate::failure::{Failure, chain};
use crate::progress::Progress;
use crate::servers::Servers;
use crate::signals::Signals;
use crate::traces::{self, Traces};
use crate::{core, inputs, outputs, terminal, validate};

/// How long stopping may take before the person is told.
const STOP_SILENCE: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: RunArgs) -> Result<(), Failure> {
    if args.on_daemon.daemon {
        return core::run(args).await;
    }
    args.on_daemon.check_unused()?;
    let timeout = args
        .timeout
        .map(Duration::try_from_secs_f64)
        .transpose()
        .map_err(|_| Failure::usage("--timeout is a number of seconds"))?;
    let mut graph = read_graph(&args.graph)?;
    let given = inputs::parse(&graph, &args.input)?;
    let targets = targets(&graph, &args.target)?;
    inputs::check_params(&args.graph.param)?;
    if let Some(folder) = &args.out {
        // Before anything runs: results that cannot be kept are not worth it.
        outputs::make_folder(folder)?;
    }
    let signals = Signals::listen()?;
    let mut progress = Progress::new(&graph, args.json);
    let assets = Assets::start(&args).await?;

    let prepared = signals.unless_stopped(async {
        let servers = Servers::ready(&args.graph, &graph, assets.access(), &mut progress).await?;
        inputs::set_params(&mut graph, &args.graph.param, &servers.pool)?;
        let own = inputs::OwnStore {
            store: assets.server.store(),
            style: servers.style,
            domain: AssetServerConfig::default().domain,
        };
        inputs::apply(given, &mut graph, &own).await?;
        Ok(servers)
    });
    let mut servers = Box::pin(prepared).await.inspect_err(|_| progress.end())?;
    let traces = Traces::start("nodewire-run");
    let options = RunOptions {
        targets: targets.clone(),
        types: args.graph.types.into(),
        trace_parent: traces::parent(),
        tracer: traces.tracer(),
        ..RunOptions::default()
    };
    let running = signals.unless_killed(execute(
        &graph,
        options,
        &mut servers,
        &mut progress,
        (&signals, timeout),
    ));
    let result = running.await;
    progress.end();
    let reported =
        result.and_then(|result| report(&args, &graph, &targets, &result, assets.server.store()));
    let stopping = async {
        let (stopped, ()) = tokio::join!(stop(servers, assets), traces.stop());
        stopped
    };
    signals.unless_killed(stopping).await?;
    match terminal::lost_results() {
        Some(error) => {
            reported.and_then(|()| Err(Failure::node(format!("standard output: {error}"))))
        }
        None => reported,
    }
}

/// Stops the servers and the assets, and says so if it takes a while.
async fn stop(servers: Servers, assets: Assets) -> Result<(), Failure> {
    let mut stopping = std::pin::pin!(async {
        servers.stop().await;
        assets.server.shutdown().await;
    });
    if tokio::time::timeout(STOP_SILENCE, &mut stopping)
        .await
        .is_err()
    {
        terminal::say("waiting for the node servers to end; Ctrl-C twice ends them at once");
        stopping.await;
    }
    Ok(())
}

pub(crate) fn timed_out_failure() -> Failure {
    Failure::node("the run was stopped after the time that --timeout allows")
}

pub(crate) fn read_graph(args: &GraphArgs) -> Result<Graph, Failure> {
    Graph::parse(&read_file(args)?).map_err(|error| no_graph(args, &error))
}

pub(crate) fn read_file(args: &GraphArgs) -> Result<String, Failure> {
    std::fs::read_to_string(&args.file)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", args.file.display())))
}

pub(crate) fn no_graph(args: &GraphArgs, error: &InvalidGraph) -> Failure {
    Failure::usage(format!("{}: {error}", args.file.display()))
}

pub(crate) fn targets(graph: &Graph, names: &[String]) -> Result<Vec<u64>, Failure> {
    let find = |name: &String| {
        graph
            .find(name)
            .map(|node| node.id)
            .map_err(|error| Failure::usage(format!("--target {name}: {error}")))
    };
    names.iter().map(find).collect()
}

/// The run's asset server, with its folder.
struct Assets {
    server: AssetServer,
    _temporary: Option<TempDir>,
}

impl Assets {
    async fn start(args: &RunArgs) -> Result<Self, Failure> {
        let failed = |error: &dyn std::error::Error| {
            Failure::servers(format!("asset server: {}", chain(error)))
        };
        let temporary = match &args.assets {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("nodewire-")
                    .tempdir()
                    .map_err(|error| failed(&error))?,
            ),
        };
        let folder = temporary
            .as_ref()
            .map(|folder| folder.path().to_owned())
            .or_else(|| args.assets.clone())
            .unwrap_or_default();
        let options = StoreOptions {
            durable: temporary.is_none(),
            ..StoreOptions::default()
        };
        let store = AssetStore::open(folder, options).map_err(|error| failed(&error))?;
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|error| failed(&error))?;
        let server = AssetServer::start(store, listener, AssetServerConfig::default())
            .map_err(|error| failed(&error))?;
        Ok(Self {
            server,
            _temporary: temporary,
        })
    }

    fn access(&self) -> (&str, &str) {
        (self.server.endpoint(), self.server.token().reveal())
    }
}

/// Checks the graph, runs it and shows what happens. The first signal and the time limit stop the run in good order.
async fn execute(
    graph: &Graph,
    options: RunOptions,
    servers: &mut Servers,
    progress: &mut Progress,
    (signals, timeout): (&Signals, Option<Duration>),
) -> Result<RunResult, Failure> {
    let engine = Engine::new(Arc::new(servers.pool.clone()));
    let mut run = engine
        .start(graph, options)
        .map_err(|invalid| validate::refused(&invalid.problems, &servers.not_found))?;
    for warning in run.warnings() {
        progress.note(&format!(
            "{} {}",
            terminal::warning_word(),
            terminal::plain(&warning.message)
        ));
    }
    let timed_out = watch(&mut run, servers, progress, signals, timeout).await;
    let result = run
        .result()
        .await
        .map_err(|error| Failure::node(error.to_string()))?;
    // It may have been over when it was to be stopped.
    if timed_out && result.status != RunStatus::Complete {
        return Err(timed_out_failure());
    }
    Ok(result)
}

/// Shows events until the last; whether the time was up.
async fn watch(
    run: &mut Run,
    servers: &mut Servers,
    progress: &mut Progress,
    signals: &Signals,
    timeout: Option<Duration>,
) -> bool {
    let abort = run.abort_handle();
    let mut deadline = std::pin::pin!(async move {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    });
    let (mut stopping, mut timed_out) = (false, false);
    loop {
        tokio::select! {
            event = run.next_event() => match event {
                Some(event) => progress.event(&event),
                None => return timed_out,
            },
            message = servers.lost() => progress.note(&format!("{} {}", terminal::error_word(), terminal::plain(&message))),
            () = signals.stop.cancelled(), if !stopping => {
                stopping = true;
                progress.note("stopping; press Ctrl-C again to stop at once");
                abort.abort();
            }
            () = &mut deadline, if !timed_out => {
                timed_out = true;
                abort.abort();
            }
        }
    }
}

/// Writes what there is, and says how the run went.
fn report(
    args: &RunArgs,
    graph: &Graph,
    targets: &[u64],
    result: &RunResult,
    store: &AssetStore,
) -> Result<(), Failure> {
    let outputs = outputs::of(graph, targets, result);
    match &args.out {
        Some(folder) => {
            let assets = outputs::AssetFiles::Store(store);
            outputs::write_all(&outputs, folder, assets, args.json)?;
        }
        None if args.json => {}
        None => outputs
            .iter()
            .flat_map(outputs::lines)
            .for_each(terminal::result),
    }
    match result.status {
        RunStatus::Complete => Ok(()),
        RunStatus::Aborted => Err(Failure::interrupted()),
        RunStatus::Error | _ => Err(Failure::node(failures(result))),
    }
}

fn failures(result: &RunResult) -> String {
    let line = |(node, error): (
        &nanocore::workflow::NodeResult,
        &nanocore::workflow::NodeError,
    )| {
        let name = node.name.as_deref().unwrap_or(&node.uid);
        format!("node {} ({name}) failed: {error}", node.node_id)
    };
    let lines: Vec<_> = result.failures().map(line).collect();
    lines.join("\n")
}
