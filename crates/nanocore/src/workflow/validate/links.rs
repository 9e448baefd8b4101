//! Links and inputs: ports, types, domains, what is missing.

use std::collections::HashMap;

use nanograph::message::{Port, SizeHint};

use super::{Checked, NodeFacts, names};
use crate::workflow::graph::{GraphNode, Link};
use crate::workflow::problem::{Problem, ProblemCode};
use crate::workflow::topology::Edge;
use crate::workflow::types::{Fit, TypeCheck, port_types_fit};

/// One end of a link.
struct End<'a> {
    node: &'a GraphNode,
    facts: &'a NodeFacts,
    port: &'a Port,
}

/// Which end of a link is looked at.
#[derive(Clone, Copy)]
enum Side {
    Output,
    Input,
}

impl Checked<'_> {
    pub(super) fn check_links(&mut self, types: TypeCheck) {
        let mut found: Vec<Problem> = self
            .graph
            .links
            .iter()
            .flat_map(|link| self.ends_missing(link))
            .collect();
        for edge in &self.topology.edges {
            found.extend(self.check_edge(edge, types));
        }
        self.problems.extend(found);
    }

    fn ends_missing(&self, link: &Link) -> Vec<Problem> {
        let mut ends = vec![link.source, link.target];
        ends.dedup();
        let missing = ends
            .into_iter()
            .filter(|id| self.topology.position(*id).is_none());
        let problem = |id| {
            let message = format!("link {} names node {id}, which is not there", link.id);
            Problem::new(ProblemCode::UnknownNode, message)
                .link(link.id)
                .node(id)
        };
        missing.map(problem).collect()
    }

    fn check_edge(&self, edge: &Edge<'_>, types: TypeCheck) -> Vec<Problem> {
        if !self.topology.runs[edge.target] {
            return Vec::new();
        }
        let source = self.end(edge.link, edge.source, Side::Output);
        let target = self.end(edge.link, edge.target, Side::Input);
        let mut found = Vec::new();
        if let (Some(Ok(source)), Some(Ok(target))) = (&source, &target) {
            found.extend(type_mismatch(edge.link, source, target, types));
            found.extend(cross_domain(edge.link, source, target));
        }
        found.extend(
            [source, target]
                .into_iter()
                .flatten()
                .filter_map(Result::err)
                .map(|problem| *problem),
        );
        found
    }

    /// An end of a link, or what is wrong with it; `None` if its node does not run or nobody knows its ports.
    fn end<'a>(
        &'a self,
        link: &Link,
        position: usize,
        side: Side,
    ) -> Option<Result<End<'a>, Box<Problem>>> {
        let (node, facts) = (&self.graph.nodes[position], self.facts[position].as_ref()?);
        let (port, ports, what, name) = match side {
            Side::Output => (
                facts.output(&link.output),
                &facts.definition.outputs,
                "output",
                &link.output,
            ),
            Side::Input => (
                facts.input(&link.input),
                &facts.definition.inputs,
                "input",
                &link.input,
            ),
        };
        if let Some(port) = port {
            return Some(Ok(End { node, facts, port }));
        }
        let is_known = !facts.from_graph || !ports.is_empty();
        is_known.then(|| {
            let message = format!(
                "{} has no {what} \"{name}\"; {}",
                node.title(),
                names(ports)
            );
            let problem = Problem::new(ProblemCode::UnknownPort, message);
            Err(Box::new(problem.link(link.id).node(node.id).port(name)))
        })
    }

    pub(super) fn check_inputs(&mut self) {
        let mut found = Vec::new();
        for (position, node, facts) in self.running() {
            let mut linked: HashMap<&str, usize> = HashMap::new();
            for edge in &self.topology.incoming[position] {
                *linked
                    .entry(&self.topology.edges[*edge].link.input)
                    .or_default() += 1;
            }
            for port in &facts.definition.inputs {
                let links = linked.get(port.name.as_str()).copied().unwrap_or_default();
                if !facts.is_given() {
                    found.extend(input(node, port, links));
                }
            }
            found.extend(unknown_constants(node, facts));
        }
        self.problems.extend(found);
    }
}

fn type_mismatch(
    link: &Link,
    source: &End<'_>,
    target: &End<'_>,
    types: TypeCheck,
) -> Option<Problem> {
    let ends = || {
        let (from, to) = (&source.port, &target.port);
        format!(
            "output \"{}\" of {} is \"{}\", input \"{}\" of {} is \"{}\"",
            from.name,
            source.node.title(),
            from.kind,
            to.name,
            target.node.title(),
            to.kind
        )
    };
    let problem = |message| {
        let problem = Problem::new(ProblemCode::TypeMismatch, message);
        problem
            .link(link.id)
            .node(target.node.id)
            .port(&target.port.name)
    };
    match (port_types_fit(&source.port.kind, &target.port.kind), types) {
        (Fit::Yes, _) | (_, TypeCheck::Off) => None,
        (Fit::WithWarning(reason), _) => Some(problem(format!("{}: {reason}", ends())).warning()),
        (Fit::No, TypeCheck::Warn) => Some(problem(ends()).warning()),
        (Fit::No, TypeCheck::Strict) => Some(problem(ends())),
    }
}

// spec: nanograph 17.6
fn cross_domain(link: &Link, source: &End<'_>, target: &End<'_>) -> Option<Problem> {
    let (from, to) = (source.facts.server()?, target.facts.server()?);
    if from.domain == to.domain {
        return None;
    }
    let problem = |code, what| {
        let domain = |domain: &Option<String>| {
            domain
                .clone()
                .unwrap_or_else(|| "the local domain".to_owned())
        };
        let message = format!(
            "{what}: output \"{}\" of {} in {} to input \"{}\" of {} in {}",
            source.port.name,
            source.node.title(),
            domain(&from.domain),
            target.port.name,
            target.node.title(),
            domain(&to.domain)
        );
        Problem::new(code, message)
            .link(link.id)
            .node(target.node.id)
            .port(&target.port.name)
    };
    if source.port.prevent_cross_domain || target.port.prevent_cross_domain {
        return Some(problem(
            ProblemCode::CrossDomainForbidden,
            "the port must not be linked across domains",
        ));
    }
    let is_large = |port: &Port| matches!(port.size_hint, Some(SizeHint::Large | SizeHint::XLarge));
    let large = is_large(source.port) || is_large(target.port);
    large.then(|| {
        problem(
            ProblemCode::LargeTransfer,
            "large values move to another domain",
        )
    })
}

fn input(node: &GraphNode, port: &Port, links: usize) -> Option<Problem> {
    let problem = |code, message| Some(Problem::new(code, message).node(node.id).port(&port.name));
    if links > 1 {
        let message = format!(
            "input \"{}\" of {} has {links} links; their lists are joined in the order of the link ids",
            port.name,
            node.title()
        );
        return problem(ProblemCode::MultipleLinks, message);
    }
    // A muted node passes on what there is.
    if links == 1 || port.optional || node.muted || node.value(&port.name).is_some() {
        return None;
    }
    let message = format!(
        "input \"{}\" of {} needs a link or a constant",
        port.name,
        node.title()
    );
    problem(ProblemCode::RequiredInputMissing, message)
}

fn unknown_constants(node: &GraphNode, facts: &NodeFacts) -> Vec<Problem> {
    if facts.from_graph {
        return Vec::new();
    }
    let unknown = node
        .values
        .iter()
        .filter(|(name, _)| facts.input(name).is_none());
    let problem = |(name, _): &(String, _)| {
        let has = names(&facts.definition.inputs);
        let message = format!(
            "{} has no input \"{name}\" for the constant; {has}",
            node.title()
        );
        Problem::new(ProblemCode::UnknownPort, message)
            .node(node.id)
            .port(name)
    };
    unknown.map(problem).collect()
}
