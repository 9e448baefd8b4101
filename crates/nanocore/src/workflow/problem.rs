//! What is wrong with a graph, in a form for people and for programs. spec: nanograph 17.4

use std::fmt;

use serde::{Serialize, Serializer};

/// One finding about a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// What kind of finding.
    #[schemars(with = "String")]
    pub code: ProblemCode,
    /// Whether it prevents a run.
    #[schemars(with = "String")]
    pub level: Level,
    /// The node it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<u64>,
    /// The nodes of a cycle, in the direction of the links.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_ids: Vec<u64>,
    /// The link it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_id: Option<i64>,
    /// The port of that node it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The parameter of that node it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// Where in the document, for findings about its shape, e.g. `nodes[3].params[0].name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// For people: what is wrong, naming node and port.
    pub message: String,
}

impl Problem {
    /// A finding of the code's usual level.
    pub(crate) fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        let level = code.usual_level();
        let message = message.into();
        Self {
            code,
            level,
            node_id: None,
            node_ids: Vec::new(),
            link_id: None,
            port: None,
            param: None,
            path: None,
            message,
        }
    }

    pub(crate) fn node(mut self, id: u64) -> Self {
        self.node_id = Some(id);
        self
    }

    pub(crate) fn link(mut self, id: i64) -> Self {
        self.link_id = Some(id);
        self
    }

    pub(crate) fn port(mut self, name: &str) -> Self {
        self.port = Some(name.to_owned());
        self
    }

    pub(crate) fn param(mut self, name: &str) -> Self {
        self.param = Some(name.to_owned());
        self
    }

    pub(crate) fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    pub(crate) fn warning(mut self) -> Self {
        self.level = Level::Warning;
        self
    }

    /// Whether this prevents a run.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.level.as_str(), self.code.as_str())?;
        if let Some(path) = self.path.as_deref().filter(|path| !path.is_empty()) {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// How grave a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The graph can run.
    Warning,
    /// The graph cannot run.
    Error,
}

impl Level {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Declares the codes once: name, word on the wire, usual level.
macro_rules! problem_codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal $level:ident,)*) => {
        /// What kind of finding a [`Problem`] is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ProblemCode { $($(#[$doc])* $name,)* }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            fn usual_level(self) -> Level {
                match self { $(Self::$name => Level::$level,)* }
            }
        }
    };
}

problem_codes! {
    /// The document is no graph: not JSON, or a key has the wrong type.
    BadGraph = "bad_graph" Error,
    /// A node's id is no integer of at least 0.
    BadNodeId = "bad_node_id" Error,
    /// Two nodes have the same id.
    DuplicateNodeId = "duplicate_node_id" Error,
    /// Two links have the same id.
    DuplicateLinkId = "duplicate_link_id" Error,
    /// A link or a target names a node that is not there.
    UnknownNode = "unknown_node" Error,
    /// A link or a constant names a port that the node does not have.
    UnknownPort = "unknown_port" Error,
    /// No server offers the node.
    NodeMissing = "node_missing" Error,
    /// Nodes wait for each other.
    Cycle = "cycle" Error,
    /// The types of a link's two ports do not fit; as a warning: they fit in part.
    TypeMismatch = "type_mismatch" Error,
    /// A link joins two domains although one of its ports forbids that.
    CrossDomainForbidden = "cross_domain_forbidden" Error,
    /// An input that is not optional has neither link nor constant.
    RequiredInputMissing = "required_input_missing" Error,
    /// A parameter's value has the wrong JSON type.
    ParamType = "param_type" Error,
    /// A parameter's value is below its minimum or above its maximum.
    ParamRange = "param_range" Error,
    /// A parameter's value is none of its options.
    ParamOption = "param_option" Error,
    /// A parameter's value is between two steps.
    ParamStep = "param_step" Warning,
    /// A parameter's value has too many decimals.
    ParamPrecision = "param_precision" Warning,
    /// A parameter's value is no colour.
    ParamColor = "param_color" Warning,
    /// The definition has no such parameter.
    UnknownParam = "unknown_param" Warning,
    /// The graph was made with another version of the node.
    VersionDiffers = "version_differs" Warning,
    /// Another server than the named one will run the node.
    ServerSubstituted = "server_substituted" Warning,
    /// Several links end at one input; their lists are joined in the order of the links' ids.
    MultipleLinks = "multiple_links" Warning,
    /// Nothing takes what the node makes.
    NoOutputsUsed = "no_outputs_used" Warning,
    /// A link moves large values to another domain.
    LargeTransfer = "large_transfer" Warning,
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ProblemCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A graph that cannot run, with everything found about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidGraph {
    /// At least one of these is an error.
    pub problems: Vec<Problem>,
}

impl InvalidGraph {
    /// Whether the graph could run if all of its nodes were offered.
    #[must_use]
    pub fn lacks_offers_only(&self) -> bool {
        lacks_offers_only(&self.problems)
    }
}

/// Whether a graph with these problems could run if all of its nodes were offered.
pub(crate) fn lacks_offers_only(problems: &[Problem]) -> bool {
    let mut errors = problems
        .iter()
        .filter(|problem| problem.is_error())
        .peekable();
    errors.peek().is_some() && errors.all(|problem| problem.code == ProblemCode::NodeMissing)
}

impl fmt::Display for InvalidGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self
            .problems
            .iter()
            .filter(|problem| problem.is_error())
            .count();
        write!(
            f,
            "the graph cannot run: {errors} error{}",
            if errors == 1 { "" } else { "s" }
        )?;
        self.problems
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for InvalidGraph {}
