//! Results as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say all")]
pub enum Better {
    Higher,
    Lower,
}

/// One line of the results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which bench.
    pub bench: String,
    /// Under what load.
    pub case: String,
    /// Of the numbers.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// Our median.
    pub ours: f64,
    /// The peer's median.
    pub peer: Option<f64>,
    /// Which peer.
    pub peer_name: Option<String>,
    /// The bare transport's median.
    pub limit: Option<f64>,
    /// `ours / peer`, whichever way is better.
    pub ratio: Option<f64>,
    /// `ours / limit`, whichever way is better.
    pub of_limit: Option<f64>,
}

/// Samples of several subjects (ours, peer, limit) in several cases.
#[derive(Debug, Clone)]
pub struct Samples {
    bench: String,
    cases: Vec<Case>,
}

#[derive(Debug, Clone)]
struct Case {
    name: String,
    unit: &'static str,
    better: Better,
    values: BTreeMap<String, Vec<f64>>,
}

/// Which subjects a row compares.
#[derive(Debug, Clone, Copy)]
pub struct Subjects<'a> {
    /// What is ours.
    pub ours: &'a str,
    /// The peer, and its name for people.
    pub peer: (&'a str, &'a str),
    /// The limit.
    pub limit: &'a str,
}

impl Samples {
    /// None yet.
    pub fn new(bench: impl Into<String>) -> Self {
        Self {
            bench: bench.into(),
            cases: Vec::new(),
        }
    }

    /// Adds a sample.
    pub fn add(
        &mut self,
        case: &str,
        unit: &'static str,
        better: Better,
        subject: &str,
        value: f64,
    ) {
        let known = |known: &Case| known.name == case && known.unit == unit;
        let index = self.cases.iter().position(known).unwrap_or_else(|| {
            let (name, values) = (case.to_owned(), BTreeMap::new());
            self.cases.push(Case {
                name,
                unit,
                better,
                values,
            });
            self.cases.len() - 1
        });
        let values = &mut self.cases[index].values;
        values.entry(subject.to_owned()).or_default().push(value);
    }

    /// A row per case in which `subjects.ours` was measured.
    #[must_use]
    pub fn rows(&self, subjects: &Subjects<'_>) -> Vec<Row> {
        self.cases
            .iter()
            .filter_map(|case| self.row(case, subjects))
            .collect()
    }

    fn row(&self, case: &Case, subjects: &Subjects<'_>) -> Option<Row> {
        let of = |subject: &str| case.values.get(subject).and_then(|values| median(values));
        let ours = of(subjects.ours)?;
        let (peer, limit) = (of(subjects.peer.0), of(subjects.limit));
        Some(Row {
            bench: self.bench.clone(),
            case: case.name.clone(),
            unit: case.unit.to_owned(),
            better: case.better,
            ours,
            peer,
            peer_name: peer.map(|_| subjects.peer.1.to_owned()),
            limit,
            ratio: peer.and_then(|peer| share(ours, peer)),
            of_limit: limit.and_then(|limit| share(ours, limit)),
        })
    }
}

/// Nothing is a share of nothing.
fn share(ours: f64, other: f64) -> Option<f64> {
    (other != 0.0).then(|| ours / other)
}

/// The middle value, or the mean of the two middle ones.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], upper)
    } else {
        upper
    })
}

/// The rows as a table for people.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let width = rows
        .iter()
        .map(|row| row.case.chars().count())
        .max()
        .unwrap_or(0)
        .max(4);
    let mut out = format!(
        "{:width$}  {:>8}  {:>10}  {:>10}  {:>10}  {:>9}  {:>9}\n",
        "case", "unit", "ours", "peer", "limit", "ours/peer", "of limit"
    );
    for row in rows {
        let ratio = row
            .ratio
            .map_or_else(String::new, |ratio| format!("{ratio:.2} x"));
        let of_limit = row
            .of_limit
            .map_or_else(String::new, |share| format!("{:.0} %", share * 100.0));
        let (peer, limit) = (
            row.peer.map_or_else(String::new, number),
            row.limit.map_or_else(String::new, number),
        );
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{:width$}  {:>8}  {:>10}  {peer:>10}  {limit:>10}  {ratio:>9}  {of_limit:>9}",
            row.case,
            row.unit,
            number(row.ours)
        );
    }
    out
}

pub(crate) fn number(value: f64) -> String {
    match value {
        _ if value >= 1_000_000.0 => format!("{:.2} M", value / 1e6),
        _ if value >= 10_000.0 => format!("{:.1} k", value / 1e3),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// Writes the rows as a JSON list.
///
/// # Errors
/// The file cannot be written.
pub fn write_json(rows: &[impl Serialize], path: &Path) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(rows)?;
    text.push('\n');
    Ok(std::fs::write(path, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_compare_medians() {
        let mut samples = Samples::new("b");
        for (subject, values) in [
            ("a", [3.0, 1.0, 2.0]),
            ("p", [1.0, 4.0, 0.5]),
            ("l", [4.0, 4.0, 4.0]),
        ] {
            for value in values {
                samples.add("c", "op/s", Better::Higher, subject, value);
            }
        }
        let rows = samples.rows(&Subjects {
            ours: "a",
            peer: ("p", "Peer 1"),
            limit: "l",
        });
        assert_eq!(
            (rows[0].ours, rows[0].ratio, rows[0].of_limit),
            (2.0, Some(2.0), Some(0.5))
        );
        assert!(table(&rows).contains("2.00 x"), "{}", table(&rows));
        samples.add("z", "lost", Better::Lower, "a", 0.0);
        samples.add("z", "lost", Better::Lower, "p", 0.0);
        let rows = samples.rows(&Subjects {
            ours: "a",
            peer: ("p", "Peer 1"),
            limit: "l",
        });
        assert_eq!((rows[1].peer, rows[1].ratio), (Some(0.0), None));
        assert!(
            samples
                .rows(&Subjects {
                    ours: "none",
                    peer: ("p", ""),
                    limit: "l"
                })
                .is_empty()
        );
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[]), None);
    }
}
