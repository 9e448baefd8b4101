//! Samples of every subject in every case, and their medians as a table and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::Transport;
use crate::report::{median, number};

/// What one sample gave, as far as it was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// Results per second.
    pub frames_per_s: Option<f64>,
    /// From submit to result.
    pub p50_us: Option<f64>,
    /// From submit to result.
    pub p99_us: Option<f64>,
    /// Of both ends, for each frame.
    pub cpu_us: Option<f64>,
    /// Memory of the server, for each session.
    pub session_kib: Option<f64>,
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
    session_kib: Option<f64>,
    /// Of the limit's rate.
    of_limit: Option<f64>,
    /// How many times this rate ours is.
    ours: Option<f64>,
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

    /// Medians, and how they compare with those of two of the subjects.
    #[must_use]
    pub fn rows(&self, transport: Transport, ours: &str, limit: &str) -> Vec<Row> {
        let rows = self.rows.iter().filter(|row| row.transport == transport);
        rows.map(|row| self.row(row, ours, limit)).collect()
    }

    fn row(&self, samples: &Samples, ours: &str, limit: &str) -> Row {
        let rate = |subject| {
            let at = self.find(samples.transport, &samples.case, subject)?;
            self.rows[at].median(|measured| measured.frames_per_s)
        };
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
            session_kib: samples.median(|measured| measured.session_kib),
            of_limit: frames_per_s
                .zip(rate(limit))
                .map(|(own, limit)| own / limit),
            ours: rate(ours).zip(frames_per_s).map(|(ours, own)| ours / own),
        }
    }
}

impl Samples {
    fn median(&self, of: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
        median(&self.measured.iter().filter_map(of).collect::<Vec<_>>())
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
            let columns = match row.session_kib {
                Some(_) => ["KiB", "", "", "", "", ""],
                None => ["frames/s", "p50 µs", "p99 µs", "cpu µs", "of limit", "ours"],
            };
            out.push_str(&line(case, columns));
        }
        out.push_str(&line(
            &format!("  {}", row.subject),
            row.shown().each_ref().map(String::as_str),
        ));
    }
    if rows.iter().any(|row| row.stalled) {
        out.push_str("Stalled, or *: it was given up, as no end of it could be seen.\n");
    }
    out
}

fn line(name: &str, columns: [&str; 6]) -> String {
    let mut line = format!("{name:<42}");
    for column in columns {
        // Writing to a string cannot fail.
        let _ = write!(line, "{column:>11}");
    }
    format!("{}\n", line.trim_end())
}

impl Row {
    fn shown(&self) -> [String; 6] {
        let shown = |value: Option<f64>| value.map_or_else(String::new, number);
        let value = self.frames_per_s.or(self.session_kib);
        let first = match (value, self.stalled) {
            (None, true) => "stalled".to_owned(),
            (Some(value), true) => format!("{} *", number(value)),
            (value, false) => shown(value),
        };
        let ours = self.ours.map(|times| format!("{times:.2} x"));
        let of_limit = self.of_limit.map(|share| format!("{:.1} %", share * 100.0));
        [
            first,
            shown(self.p50_us),
            shown(self.p99_us),
            shown(self.cpu_us),
            of_limit.unwrap_or_default(),
            ours.unwrap_or_default(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_shares_of_the_limit_and_stalls_show() {
        let measured = |frames_per_s: f64| Measured {
            frames_per_s: Some(frames_per_s),
            ..Measured::default()
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
        let rows = table.rows(Transport::Tcp, "subject", "raw");
        assert_eq!(rows.len(), 3);
        assert_eq!(
            (rows[0].frames_per_s, rows[0].of_limit),
            (Some(20.0), Some(0.25))
        );
        assert_eq!((rows[0].ours, rows[1].ours), (Some(1.0), Some(0.25)));
        let text = print(&rows);
        assert!(
            text.contains("stalled") && text.contains("25.0 %"),
            "{text}"
        );
    }
}
