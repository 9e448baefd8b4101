//! Parameters: what is set per placed node, with the rules a value must keep.

use nodewire_json::{Json, Kind};

/// A named value that is set per placed node.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Parameter {
    /// Key.
    pub name: String,
    /// What values it takes.
    pub kind: ParameterKind,
    /// The value where none is set; `null` if there is none, and then `null` is allowed.
    pub default: Json,
    /// For people. May be empty.
    pub label: String,
    /// For people. May be empty.
    pub description: String,
}

/// The kinds of parameters, with their rules.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterKind {
    /// A number, typed in.
    Number(NumberRange),
    /// A number, dragged.
    Slider(NumberRange),
    /// A text.
    Text {
        /// Whether an editor should offer several lines.
        multiline: bool,
    },
    /// `true` or `false`.
    Boolean,
    /// One of these.
    Select(Vec<SelectOption>),
    /// A colour as CSS writes it: `#rgb`, `#rrggbb`, `#rrggbbaa`, `rgb()`, `rgba()`.
    Color,
    /// A file's path or name, or `null`.
    FilePicker,
}

/// What numbers are allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NumberRange {
    /// Smallest.
    pub min: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
    /// Distance of allowed values, counted from `min` or 0.
    pub step: Option<f64>,
    /// Decimals.
    pub precision: Option<u32>,
}

/// One choice of a [`ParameterKind::Select`].
#[derive(Debug, Clone, PartialEq)]
pub struct SelectOption {
    /// What the parameter's value becomes.
    pub value: Json,
    /// For people.
    pub label: String,
}

/// Why a value does not fit a parameter. The message names the parameter and says what would fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("parameter `{name}`: {message}")]
pub struct ParameterError {
    /// The parameter.
    pub name: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl Parameter {
    /// A parameter with a default value.
    pub fn new(name: impl Into<String>, kind: ParameterKind, default: Json) -> Self {
        Self {
            name: name.into(),
            kind,
            default,
            label: String::new(),
            description: String::new(),
        }
    }

    /// Sets the label.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sets the description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Checks type, range and options. Step and precision guide editors and are not enforced.
    ///
    /// # Errors
    /// If the value does not fit.
    pub fn check(&self, value: &Json) -> Result<(), ParameterError> {
        if value.is_null() && self.default.is_null() {
            return Ok(());
        }
        self.kind.check(value).map_err(|message| ParameterError {
            name: self.name.clone(),
            message,
        })
    }
}

impl ParameterKind {
    /// The kind's name as all wires write it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Number(_) => "number",
            Self::Slider(_) => "slider",
            Self::Text { .. } => "text",
            Self::Boolean => "boolean",
            Self::Select(_) => "select",
            Self::Color => "color",
            Self::FilePicker => "filepicker",
        }
    }

    fn check(&self, value: &Json) -> Result<(), String> {
        let expect = |kind, what| {
            if value.kind() == kind {
                Ok(())
            } else {
                Err(format!("expected {what}, got {value}"))
            }
        };
        match self {
            Self::Number(range) | Self::Slider(range) => range.check(value),
            Self::Text { .. } => expect(Kind::String, "a text"),
            Self::Boolean => expect(Kind::Bool, "true or false"),
            Self::Select(options) => check_option(options, value),
            Self::Color => expect(Kind::String, "a colour such as \"#ff8800\""),
            Self::FilePicker if value.is_null() => Ok(()),
            Self::FilePicker => expect(Kind::String, "a file name"),
        }
    }
}

impl NumberRange {
    fn check(&self, value: &Json) -> Result<(), String> {
        let number = (value.kind() == Kind::Number)
            .then(|| value.decode::<f64>().ok())
            .flatten();
        let Some(number) = number else {
            return Err(format!("expected a number, got {value}"));
        };
        if let Some(min) = self.min.filter(|min| number < *min) {
            return Err(format!("{number} is less than the minimum {min}"));
        }
        if let Some(max) = self.max.filter(|max| number > *max) {
            return Err(format!("{number} is more than the maximum {max}"));
        }
        Ok(())
    }
}

fn check_option(options: &[SelectOption], value: &Json) -> Result<(), String> {
    let decoded = value.decode::<serde_json::Value>().ok();
    if options
        .iter()
        .any(|option| option.value.decode().ok() == decoded)
    {
        return Ok(());
    }
    let allowed: Vec<_> = options.iter().map(|option| option.value.as_str()).collect();
    Err(format!("{value} is not one of {}", allowed.join(", ")))
}
