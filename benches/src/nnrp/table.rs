//! Samples of every subject in every case, and their medians as a table and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::Transport;
use crate::report::median;

/// What one sample gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Results per second.
    pub frames_per_s: f64,
    /// From submit to result.
    pub p50_us: f64,
    /// From submit to result.
    pub p99_us: f64,
    /// Of both ends, for each frame.
    pub cpu_us: f64,
}

/// All samples.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Samples>,
}

#[derive(Debug, Clone)]
struct Samples {
    transport: Transport,
    case: String,
    subject: &'static str,
    measured: Vec<Measured>,
    stalled: bool,
}

/// Medians of a subject in a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    bench: &'static str,
    transport: Transport,
    case: String,
    subject: &'static str,
    stalled: bool,
    frames_per_s: Option<f64>,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    cpu_us: Option<f64>,
    of_limit: Option<f64>,
}

impl Table {
    /// Adds a sample; `None` is one that was given up.
    pub fn add(
        &mut self,
        transport: Transport,
        case: &str,
        subject: &'static str,
        measured: Option<Measured>,
    ) {
        let at = self.find(transport, case, subject).unwrap_or_else(|| {
            self.rows.push(Samples {
                transport,
                case: case.to_owned(),
                subject,
                measured: Vec::new(),
                stalled: false,
            });
            self.rows.len() - 1
        });
        let samples = &mut self.rows[at];
        samples.stalled |= measured.is_none();
        samples.measured.extend(measured);
    }

    /// Whether a sample was given up.
    #[must_use]
    pub fn has_stalled(&self, transport: Transport, case: &str, subject: &str) -> bool {
        let found = self.find(transport, case, subject);
        found.is_some_and(|at| self.rows[at].stalled)
    }

    fn find(&self, transport: Transport, case: &str, subject: &str) -> Option<usize> {
        self.rows.iter().position(|row| {
            row.transport == transport && row.case == case && row.subject == subject
        })
    }

    /// Medians, and what share of the rate of `limit` they are.
    #[must_use]
    pub fn rows(&self, transport: Transport, limit: &str) -> Vec<Row> {
        let rows = self.rows.iter().filter(|row| row.transport == transport);
        rows.map(|row| self.row(row, limit)).collect()
    }

    fn row(&self, samples: &Samples, limit: &str) -> Row {
        let limit = self.find(samples.transport, &samples.case, limit);
        let limit = limit.and_then(|at| self.rows[at].median(|measured| measured.frames_per_s));
        let frames_per_s = samples.median(|measured| measured.frames_per_s);
        Row {
            bench: "nnrp",
            transport: samples.transport,
            case: samples.case.clone(),
            subject: samples.subject,
            stalled: samples.stalled,
            frames_per_s,
            p50_us: samples.median(|measured| measured.p50_us),
            p99_us: samples.median(|measured| measured.p99_us),
            cpu_us: samples.median(|measured| measured.cpu_us),
            of_limit: frames_per_s.zip(limit).map(|(own, limit)| own / limit),
        }
    }
}

impl Samples {
    fn median(&self, of: impl Fn(&Measured) -> f64) -> Option<f64> {
        median(&self.measured.iter().map(of).collect::<Vec<_>>())
    }
}

/// The rows as a table for people, a case after the other.
#[must_use]
pub fn print(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut case = "";
    for row in rows {
        if row.case != case {
            case = &row.case;
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "{case:<28}{:>12}{:>12}{:>12}{:>12}{:>10}",
                "frames/s", "p50 µs", "p99 µs", "cpu µs", "of limit"
            );
        }
        let _ = writeln!(out, "{}", line(row));
    }
    out
}

fn line(row: &Row) -> String {
    let shown = |value: Option<f64>| value.map_or_else(String::new, number);
    let frames_per_s = match (row.frames_per_s, row.stalled) {
        (None, true) => "stalled".to_owned(),
        (value, true) => format!("{} *", shown(value)),
        (value, false) => shown(value),
    };
    let of_limit = row
        .of_limit
        .map_or_else(String::new, |share| format!("{:.1} %", share * 100.0));
    format!(
        "  {:<26}{frames_per_s:>12}{:>12}{:>12}{:>12}{of_limit:>10}",
        row.subject,
        shown(row.p50_us),
        shown(row.p99_us),
        shown(row.cpu_us)
    )
}

fn number(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.2} M", value / 1e6),
        _ if value >= 1e4 => format!("{:.1} k", value / 1e3),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// Writes the rows as a JSON list.
///
/// # Errors
/// The file cannot be written.
pub fn write_json(rows: &[Row], path: &Path) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(rows)?;
    text.push('\n');
    Ok(std::fs::write(path, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_shares_of_the_limit_and_stalls_show() {
        let measured = |frames_per_s| Measured {
            frames_per_s,
            p50_us: 1.0,
            p99_us: 2.0,
            cpu_us: 3.0,
        };
        let mut table = Table::default();
        for rate in [10.0, 30.0, 20.0] {
            table.add(Transport::Tcp, "c", "subject", Some(measured(rate)));
            table.add(Transport::Tcp, "c", "raw", Some(measured(rate * 4.0)));
        }
        table.add(Transport::Tcp, "c", "peer", None);
        table.add(Transport::Quic, "c", "raw", Some(measured(1.0)));
        assert!(table.has_stalled(Transport::Tcp, "c", "peer"));
        assert!(!table.has_stalled(Transport::Tcp, "c", "raw"));
        let rows = table.rows(Transport::Tcp, "raw");
        assert_eq!(rows.len(), 3);
        assert_eq!(
            (rows[0].frames_per_s, rows[0].of_limit),
            (Some(20.0), Some(0.25))
        );
        let text = print(&rows);
        assert!(
            text.contains("stalled") && text.contains("25.0 %"),
            "{text}"
        );
    }
}
