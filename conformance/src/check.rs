//! Whether a wire does what the table says.

use anyhow::{Context, ensure};
use nodewire::Counters;
use nodewire::capability::Wire;
use serde_json::{Value, json};

use crate::cases::{CALLERS, Case, Counts, Expected, Failure, cannot, told};
use crate::{Door, Served};

/// Has the client do what the case says, and compares what came of it, what the handlers saw and what was counted. A
/// wire that says that it cannot express the case is not asked.
///
/// # Errors
/// Something is not as the table says.
pub async fn check(case: &Case, door: &mut Door, served: &Served) -> anyhow::Result<()> {
    if cannot(door.wire(), case).is_some() {
        return Ok(());
    }
    let wire = door.wire();
    compare(case, door, served)
        .await
        .with_context(|| format!("{wire}: {}", case.name))
}

async fn compare(case: &Case, door: &mut Door, served: &Served) -> anyhow::Result<()> {
    served.quiet().await?;
    let before = (served.executor().counters(), served.probe.told_to_stop());
    let mut command = (case.command)();
    if command["release"].is_null() {
        command
            .as_object_mut()
            .map(|command| command.remove("release"));
    }
    let answer = door.ask(command).await?;
    served.quiet().await?;
    answered(door.wire(), case.expected, &answer, served)?;
    let after = served.executor().counters();
    counted(case.counts, &before.0, &after)?;
    let stops = served.probe.told_to_stop() - before.1;
    let wanted = case.counts.cancelled;
    // A deadline may tell the handler, too.
    ensure!(
        stops >= wanted,
        "{stops} of {wanted} handlers were told to stop"
    );
    Ok(())
}

fn answered(wire: Wire, expected: Expected, answer: &Value, served: &Served) -> anyhow::Result<()> {
    match expected {
        Expected::Outputs(outputs) => completed(answer, &json!([]), &outputs()),
        Expected::Stream(events, outputs) => completed(answer, &events(), &outputs()),
        Expected::Progress(events, outputs) => {
            let told = json!(progress_of(&answer["events"]));
            same("progress", &told, &json!(progress_of(&events())))?;
            completed(answer, &answer["events"], &outputs())
        }
        Expected::Fails(failure) => failed(wire, failure, answer),
        Expected::Cancelled => {
            let waiting = json!({"event": "progress", "step": 0, "total": 1, "message": "waiting"});
            same("events", &answer["events"], &json!([waiting]))?;
            failed(wire, Failure::Cancelled, answer)
        }
        Expected::EachItsOwn => each_its_own(answer),
        Expected::TwoComplete => two_complete(wire, answer),
        Expected::Stats => stats(answer, served),
    }
}

fn progress_of(events: &Value) -> Vec<&Value> {
    let events = events.as_array().into_iter().flatten();
    let is_progress = |event: &&Value| event["event"] == "progress";
    events.filter(is_progress).collect()
}

fn completed(answer: &Value, events: &Value, outputs: &Value) -> anyhow::Result<()> {
    same("end", &answer["end"], &json!("completed"))?;
    same("events", &answer["events"], events)?;
    same("outputs", &answer["outputs"], outputs)
}

fn failed(wire: Wire, failure: Failure, answer: &Value) -> anyhow::Result<()> {
    let told = told(wire, failure);
    same("end", &answer["end"], &json!(told.end))?;
    if let Some(code) = told.code {
        same("code", &answer["code"], &json!(code))?;
    }
    let message = answer["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains(told.text),
        "{:?} is not in {answer}",
        told.text
    );
    // Where the wire has a place for the kind, it is there, too.
    let kind = &answer["kind"];
    ensure!(
        kind.is_null() || kind == kind_of(failure),
        "the kind is {kind}"
    );
    Ok(())
}

const fn kind_of(failure: Failure) -> &'static str {
    match failure {
        Failure::InvalidInput => "invalid_input",
        Failure::Deadline => "deadline",
        Failure::Panic => "internal",
        Failure::UnknownNode => "unknown_node",
        Failure::QueueFull => "queue_full",
        Failure::Cancelled => "cancelled",
    }
}

fn each_its_own(answer: &Value) -> anyhow::Result<()> {
    let answers = answer.as_array().context("a list")?;
    ensure!(answers.len() == CALLERS, "{} answers", answers.len());
    for (caller, answer) in answers.iter().enumerate() {
        let text = json!({"text": [format!("> caller {caller}")]});
        completed(answer, &json!([]), &text)?;
    }
    Ok(())
}

fn two_complete(wire: Wire, answer: &Value) -> anyhow::Result<()> {
    let answers = answer.as_array().context("a list")?;
    let done = |answer: &&Value| answer["end"] == "completed";
    let completed = answers.iter().filter(done).count();
    ensure!(completed == 2, "{completed} have completed: {answer}");
    let mut refused = answers.iter().filter(|answer| !done(answer));
    refused.try_for_each(|answer| failed(wire, Failure::QueueFull, answer))
}

/// Over the wire, the same as in the process.
fn stats(answer: &Value, served: &Served) -> anyhow::Result<()> {
    let all = served.executor().registry().stats();
    let echo = all.iter().find(|node| node.uid == "echo");
    let counters = &echo.context("no such node")?.counters;
    ensure!(counters.completed > CALLERS as u64, "{counters:?}");
    let counts = [
        ("accepted", counters.accepted),
        ("completed", counters.completed),
        ("failed", counters.failed),
        ("cancelled", counters.cancelled),
        ("inFlight", counters.in_flight),
    ];
    for (name, count) in counts {
        same(name, &answer[name], &json!(count))?;
    }
    Ok(())
}

/// What has ended meanwhile, and nothing else.
fn counted(expected: Counts, before: &Counters, after: &Counters) -> anyhow::Result<()> {
    for counters in [before, after] {
        ensure!(counters.is_balanced(), "{counters:?} do not add up");
    }
    let told = Counts {
        completed: after.completed - before.completed,
        failed: after.failed - before.failed,
        cancelled: after.cancelled - before.cancelled,
        refused: after.refused() - before.refused(),
    };
    ensure!(told == expected, "{told:?} were counted, not {expected:?}");
    let others = [
        after.dropped() - before.dropped(),
        after.abandoned - before.abandoned,
        after.progress_dropped - before.progress_dropped,
    ];
    ensure!(
        others == [0; 3],
        "dropped, abandoned, without progress: {others:?}"
    );
    Ok(())
}

fn same(what: &str, told: &Value, expected: &Value) -> anyhow::Result<()> {
    let short = |value: &Value| {
        let text = value.to_string();
        text.chars().take(2_000).collect::<String>()
    };
    ensure!(
        told == expected,
        "{what}: {} instead of {}",
        short(told),
        short(expected)
    );
    Ok(())
}
