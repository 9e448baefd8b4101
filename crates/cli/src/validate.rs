//! `nodewire validate`, of a graph.

use nanocore::workflow::{Graph, Level, Problem, ProblemCode, ServerSet, ValidateOptions};

use crate::args::ValidateArgs;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::servers::Servers;
use crate::signals::Signals;
use crate::{core, inputs, run, terminal};

pub(crate) async fn validate(args: ValidateArgs) -> Result<(), Failure> {
    if core::is_server_folder(&args.graph.file) {
        return core::validate_folder(&args.graph.file, args.json);
    }
    let graph = Graph::parse(&run::read_file(&args.graph)?);
    let mut graph = graph.map_err(|error| {
        if args.json {
            tell_json(&error.problems);
        }
        run::no_graph(&args.graph, &error)
    })?;
    let options = ValidateOptions {
        targets: Vec::new(),
        types: args.graph.types.into(),
    };
    if args.offline {
        let nobody = ServerSet::default();
        inputs::set_params(&mut graph, &args.graph.param, &nobody)?;
        let mut problems = nanocore::workflow::validate(&graph, &nobody, &options);
        problems.retain(|problem| problem.code != ProblemCode::NodeMissing);
        return report(&problems, &[], args.json);
    }
    let signals = Signals::listen()?;
    // On standard error, as results are problems and nothing else.
    let mut progress = Progress::new(&graph, false);
    // Nothing is executed, so no assets are needed.
    let starting = Box::pin(Servers::ready(&args.graph, &graph, ("", ""), &mut progress));
    let servers = signals.unless_stopped(starting).await;
    progress.end();
    let servers = servers?;
    let checked = inputs::set_params(&mut graph, &args.graph.param, &servers.pool);
    let problems = nanocore::workflow::validate(&graph, &servers.pool, &options);
    let not_found = servers.not_found.clone();
    servers.stop().await;
    checked?;
    report(&problems, &not_found, args.json)
}

fn report(problems: &[Problem], not_found: &[String], json: bool) -> Result<(), Failure> {
    if json {
        tell_json(problems);
    }
    if problems.iter().any(Problem::is_error) {
        return Err(refused(problems, not_found));
    }
    if !json {
        problems
            .iter()
            .for_each(|problem| terminal::say(terminal::plain(&problem.to_string())));
        terminal::result("the graph can run");
    }
    Ok(())
}

fn tell_json(problems: &[Problem]) {
    problems
        .iter()
        .filter_map(|problem| serde_json::to_string(problem).ok())
        .for_each(terminal::json);
}

/// The graph cannot run, with everything found about it.
pub(crate) fn refused(problems: &[Problem], not_found: &[String]) -> Failure {
    let errors = problems
        .iter()
        .filter(|problem| problem.level == Level::Error)
        .count();
    let mut text = format!(
        "the graph cannot run: {errors} error{}",
        if errors == 1 { "" } else { "s" }
    );
    problems
        .iter()
        .for_each(|problem| text.push_str(&format!("\n  {problem}")));
    not_found
        .iter()
        .for_each(|server| text.push_str(&format!("\n  {server}")));
    Failure::usage(text)
}
