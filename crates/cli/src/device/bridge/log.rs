//! What the bridge says: lines for people on standard error, or JSON objects on standard output.

use autotrainer_api::Json;

use crate::device::show;
use crate::terminal;

/// Says things of one device.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) is_json: bool,
    /// Its identifier; before that is known, where it is.
    pub(super) device: String,
}

impl Log {
    /// Of this type, with these members; the line is for people.
    pub(super) fn say(&self, of_type: &str, members: &[(&str, Json)], line: &str) {
        if !self.is_json {
            let device = show::one_line(&self.device);
            terminal::say(format_args!("{device}: {}", show::one_line(line)));
            return;
        }
        let device = ("device", Json::from(self.device.as_str()));
        let members = members.iter().map(|(key, value)| (*key, value.clone()));
        let members = std::iter::once(device).chain(members);
        let text = ("text", Json::from(line));
        terminal::result(show::object(of_type, members.chain([text])));
    }

    /// The members of an object that is published too.
    pub(super) fn published(&self, of_type: &str, object: &Json, line: &str) {
        let members = object.entries().unwrap_or_default();
        let members = members.iter().map(|(key, value)| match key.as_str() {
            "type" => ("what", value.clone()),
            key => (key, value.clone()),
        });
        self.say(of_type, &members.collect::<Vec<_>>(), line);
    }
}
