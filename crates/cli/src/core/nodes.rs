//! `nodes`: what servers offer.

use serde_json::Value;

use super::args::StatusArgs;
use super::client::{Daemon, parse};
use super::show::{cell, list};
use crate::failure::Failure;
use crate::micro::Table;
use crate::terminal;

pub(super) async fn nodes(args: StatusArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    let text = daemon.get("/nodes").await?;
    if args.json {
        terminal::json(text);
        return Ok(());
    }
    let answer: Value = parse(&text)?;
    let nodes = list(&answer, "nodes");
    let mut table = Table::new(&[
        "NODE",
        "NAME",
        "VERSION",
        "INPUTS",
        "OUTPUTS",
        "SERVER",
        "AVAILABLE",
    ]);
    for node in nodes {
        let definition = &node["definition"];
        table.row([
            cell(node, "uid"),
            cell(definition, "name"),
            cell(definition, "version"),
            ports(definition, "inputs"),
            ports(definition, "outputs"),
            match node["instances"].as_u64() {
                Some(instances) => format!("{} ({instances})", cell(node, "serverPackageId")),
                None => cell(node, "serverPackageId"),
            },
            if node["available"].as_bool().unwrap_or(true) {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
        ]);
    }
    table.print();
    Ok(())
}

/// `text:string, image:asset`
fn ports(node: &Value, key: &str) -> String {
    let port = |port: &Value| {
        let kind = port["type"].as_str().unwrap_or("any");
        format!("{}:{kind}", port["name"].as_str().unwrap_or("?"))
    };
    let ports: Vec<_> = list(node, key).iter().map(port).collect();
    if ports.is_empty() {
        "-".to_owned()
    } else {
        super::show::shortened(&ports.join(", "))
    }
}
