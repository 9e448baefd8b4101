//! The recordings (autotrainer-traces.json).

use autotrainer_api::ProtocolLevel;
use bytes::Bytes;
use serde_json::Value;

/// One scenario of one version of the package.
pub(crate) struct Scenario {
    pub(crate) level: ProtocolLevel,
    pub(crate) result: Value,
}

impl Scenario {
    pub(crate) fn steps(&self) -> &[Value] {
        let steps = self.result["steps"].as_array().unwrap();
        assert!(!steps.is_empty());
        steps
    }
}

/// The scenario of this name, once per version that it was recorded with.
pub(crate) fn scenarios(name: &str) -> Vec<Scenario> {
    let path = nodewire_testkit::vector_path("autotrainer-traces.json");
    let text = std::fs::read_to_string(path).unwrap();
    let traces: Value = serde_json::from_str(&text).unwrap();
    let all = traces["scenarios"].as_array().unwrap();
    let found: Vec<Scenario> = all
        .iter()
        .filter(|scenario| scenario["scenario"] == name)
        .map(|scenario| Scenario {
            level: level(scenario["package"].as_str().unwrap()),
            result: scenario["result"].clone(),
        })
        .collect();
    assert!(!found.is_empty(), "no scenario {name}");
    found
}

pub(crate) fn scenario(name: &str, level: ProtocolLevel) -> Scenario {
    let of_level = |scenario: &Scenario| scenario.level == level;
    scenarios(name).into_iter().find(of_level).unwrap()
}

fn level(package: &str) -> ProtocolLevel {
    ProtocolLevel::of_version(package.strip_prefix("auto-trainer-api ").unwrap())
}

/// The exact frames of a recorded message.
pub(crate) fn frames(message: &Value) -> Vec<Bytes> {
    let frame = |frame: &Value| unhex(frame["hex"].as_str().unwrap());
    message.as_array().unwrap().iter().map(frame).collect()
}

fn unhex(hex: &str) -> Bytes {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}
