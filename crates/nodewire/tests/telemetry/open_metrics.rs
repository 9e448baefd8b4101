//! A strict reader of OpenMetrics text: what it does not know is a failure.

use std::collections::{BTreeMap, BTreeSet};

/// Values by the sample's name and its labels, as `key=value` in order.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    samples: BTreeMap<(String, Vec<String>), f64>,
}

/// The family that samples belong to.
#[derive(Debug)]
struct Family {
    name: String,
    kind: String,
}

impl Scrape {
    pub(crate) fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("it ends with EOF");
        let mut scrape = Self::default();
        let (mut family, mut families) = (None, BTreeSet::new());
        for line in body.lines() {
            match line.strip_prefix("# ") {
                Some(about) => header(about, &mut family, &mut families),
                None => scrape.sample(line, family.as_ref().expect("a family before")),
            }
        }
        scrape.check_histograms();
        scrape
    }

    /// The value of a sample.
    pub(crate) fn value(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let mut labels: Vec<_> = labels.iter().map(ToString::to_string).collect();
        labels.sort();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// The labels of all samples of this name.
    pub(crate) fn series(&self, name: &str) -> Vec<Vec<String>> {
        let all = self.samples.keys().filter(|(of, _)| of == name);
        all.map(|(_, labels)| labels.clone()).collect()
    }

    fn sample(&mut self, line: &str, family: &Family) {
        let (key, value) = line.rsplit_once(' ').expect(line);
        let value: f64 = value.parse().expect(line);
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let (name, labels) = match key.split_once('{') {
            Some((name, labels)) => (name, read_labels(labels.strip_suffix('}').expect(line))),
            None => (key, Vec::new()),
        };
        let suffix = name.strip_prefix(family.name.as_str()).expect(line);
        let fits = match family.kind.as_str() {
            "counter" => suffix == "_total",
            "gauge" => suffix.is_empty(),
            "histogram" => matches!(suffix, "_sum" | "_count" | "_bucket"),
            other => panic!("{other}"),
        };
        assert!(fits, "{line} in {family:?}");
        let before = self.samples.insert((name.to_owned(), labels), value);
        assert_eq!(before, None, "twice: {line}");
    }

    /// Buckets are cumulative, and the last one has all.
    fn check_histograms(&self) {
        for ((name, labels), count) in &self.samples {
            let Some(histogram) = name.strip_suffix("_count") else {
                continue;
            };
            let bucket = format!("{histogram}_bucket");
            let mut buckets: Vec<(f64, f64)> = self
                .samples
                .iter()
                .filter(|((of, of_labels), _)| {
                    *of == bucket && labels.iter().all(|label| of_labels.contains(label))
                })
                .map(|((_, of_labels), value)| (bound(of_labels), *value))
                .collect();
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(
                buckets.is_sorted_by(|one, other| one.1 <= other.1),
                "{buckets:?}"
            );
            assert_eq!(
                buckets.last(),
                Some(&(f64::INFINITY, *count)),
                "{name} {labels:?}"
            );
        }
    }
}

fn header(about: &str, family: &mut Option<Family>, families: &mut BTreeSet<String>) {
    let mut words = about.splitn(3, ' ');
    let (what, name) = (words.next().unwrap(), words.next().unwrap());
    let text = words.next().expect(about);
    match what {
        "TYPE" => {
            *family = Some(Family {
                name: name.to_owned(),
                kind: text.to_owned(),
            });
        }
        "HELP" => assert!(families.insert(name.to_owned()), "twice: {name}"),
        "UNIT" => assert!(name.ends_with(&format!("_{text}")), "{about}"),
        _ => panic!("{about}"),
    }
}

/// `key="value",…`, in order. No value in these tests has a quote or a comma.
fn read_labels(text: &str) -> Vec<String> {
    let label = |label: &str| {
        let (key, value) = label.split_once('=').expect(text);
        let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        let value = value.expect(text);
        assert!(!key.is_empty() && !value.contains(['"', '\\']), "{text}");
        format!("{key}={value}")
    };
    let mut labels: Vec<_> = text.split(',').map(label).collect();
    labels.sort();
    labels
}

fn bound(labels: &[String]) -> f64 {
    let bound = labels.iter().find_map(|label| label.strip_prefix("le="));
    bound.unwrap().parse().unwrap()
}
