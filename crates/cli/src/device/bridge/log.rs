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
    pub(super) fn device(&self, of_type: &str, members: &[(&str, String)], line: &str) {
        if !self.is_json {
            terminal::say(format_args!(
                "{}: {}",
                show::one_line(&self.device),
                show::one_line(line)
            ));
            return;
        }
        let device = ("device", Json::from(self.device.as_str()));
        let text = ("text", Json::from(line));
        let members = members
            .iter()
            .map(|(key, value)| (*key, Json::from(value.as_str())));
        terminal::result(show::object(
            of_type,
            std::iter::once(device).chain(members).chain([text]),
        ));
    }
}
