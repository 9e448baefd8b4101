//! Parameters of node definitions. spec: nanograph 7.2

use nodewire_json::{Json, Kind};

use super::fields;
use super::text::ObjectWriter;

/// A setting of a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameter {
    /// Key.
    pub name: String,
    /// `number`, `text`, `slider`, `boolean`, `select`, `color` or `filepicker`; other words are kept.
    pub kind: String,
    /// Current value.
    pub value: Json,
    /// Initial value.
    pub default: Json,
    /// For people; may be empty.
    pub label: String,
    /// For people; may be empty.
    pub description: String,
    /// Smallest number. Peers may give it as the first of `range`.
    pub min: Option<f64>,
    /// Largest number. Peers may give it as the second of `range`.
    pub max: Option<f64>,
    /// Distance of the values a slider offers.
    pub step: Option<f64>,
    /// Decimals shown.
    pub precision: Option<u32>,
    /// What a select offers.
    pub options: Vec<SelectOption>,
    /// Whether a text may have several lines.
    pub multiline: bool,
}

/// One choice of a select.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SelectOption {
    /// What the parameter is set to.
    pub value: Json,
    /// For people; the value's text if the peer gives none.
    pub label: String,
}

impl Parameter {
    /// Reads an object; `None` if this is none.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let mut parameter = Self::default();
        let mut range = (None, None);
        for (key, value) in json.entries()? {
            match key.as_str() {
                "range" => range = read_range(&value),
                key => parameter.set(key, value),
            }
        }
        parameter.min = parameter.min.or(range.0);
        parameter.max = parameter.max.or(range.1);
        Some(parameter)
    }

    fn set(&mut self, key: &str, value: Json) {
        match key {
            "name" => self.name = fields::string(&value).unwrap_or_default(),
            "type" => self.kind = fields::string(&value).unwrap_or_default(),
            "value" => self.value = value,
            "default" => self.default = value,
            "label" => self.label = fields::string(&value).unwrap_or_default(),
            "description" => self.description = fields::string(&value).unwrap_or_default(),
            "min" => self.min = fields::number(&value),
            "max" => self.max = fields::number(&value),
            "step" => self.step = fields::number(&value),
            "precision" => {
                self.precision = fields::whole(&value).and_then(|digits| u32::try_from(digits).ok())
            }
            "options" => {
                self.options = fields::list(&value, |option| Some(SelectOption::from_json(option)))
            }
            "multiline" => self.multiline = fields::boolean(&value).unwrap_or(false),
            _ => {}
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        let mut object = ObjectWriter::new(out);
        object.string("name", &self.name);
        object.string("type", &self.kind);
        object.raw("value", self.value.as_str());
        object.raw("default", self.default.as_str());
        object.string_unless_empty("label", &self.label);
        object.string_unless_empty("description", &self.description);
        write_number(&mut object, "min", self.min);
        write_number(&mut object, "max", self.max);
        write_number(&mut object, "step", self.step);
        if let Some(precision) = self.precision {
            object.raw("precision", &precision.to_string());
        }
        if !self.options.is_empty() {
            object.array("options", &self.options, |out, option| option.write(out));
        }
        object.flag("multiline", self.multiline);
        object.end();
    }
}

impl SelectOption {
    /// Peers may list bare values instead of objects.
    fn from_json(json: Json) -> Self {
        if json.kind() != Kind::Object {
            return Self {
                label: plain_text(&json),
                value: json,
            };
        }
        let value = json.get("value").unwrap_or_default();
        let label = json
            .get("label")
            .as_ref()
            .and_then(fields::string)
            .unwrap_or_else(|| plain_text(&value));
        Self { value, label }
    }

    fn write(&self, out: &mut String) {
        let mut object = ObjectWriter::new(out);
        object.raw("value", self.value.as_str());
        object.string("label", &self.label);
        object.end();
    }
}

fn plain_text(value: &Json) -> String {
    fields::string(value).unwrap_or_else(|| value.to_string())
}

fn read_range(value: &Json) -> (Option<f64>, Option<f64>) {
    let bounds = value.elements().unwrap_or_default();
    (
        bounds.first().and_then(fields::number),
        bounds.get(1).and_then(fields::number),
    )
}

/// Whole numbers without a fraction, as authors write them.
fn write_number(object: &mut ObjectWriter<'_>, key: &str, number: Option<f64>) {
    if let Some(number) = number.filter(|number| number.is_finite()) {
        object.raw(key, &number.to_string());
    }
}
