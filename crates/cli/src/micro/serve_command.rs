//! A shell command that answers a request.

use std::collections::BTreeMap;

use nats_micro::{HeaderMap, Reply, Request, ServiceError};

use crate::shell_command::{Given, RunError, ShellCommand};

/// What headers may take in the command's environment; the system limits a variable to 128 KiB.
const HEADER_BYTES_MAX: usize = 32 << 10;

/// What the variables of a request begin with.
const VARIABLES: &str = "NATS_REQUEST_";
/// The header of an error reply with the status that the command ended with.
const EXIT_CODE: &str = "Nodewire-Exit-Code";

impl From<RunError> for ServiceError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::TooMuch { .. } => Self::new(500, error.to_string()),
            RunError::TooLong(_) => Self::new(504, error.to_string()),
            RunError::Io(_) => Self::internal(error),
        }
    }
}

/// Answers a request with a command. Dropping the future kills the command.
pub(super) async fn answer(
    command: &ShellCommand,
    request: &Request,
) -> Result<Reply, ServiceError> {
    let variables = environment(request)?;
    let given = Given {
        input: request.payload(),
        prefix: VARIABLES,
        variables: &variables,
    };
    let ended = command.run(&given).await?;
    if ended.status.success() {
        return Ok(Reply::new(ended.output));
    }
    let error = ServiceError::new(500, ended.description());
    let exit_code = ended.exit_code();
    let error = error.with_payload(ended.output);
    Err(match exit_code {
        Some(code) => error.with_header(EXIT_CODE, &code.to_string()),
        None => error,
    })
}

fn environment(request: &Request) -> Result<Vec<(String, String)>, ServiceError> {
    let mut variables = vec![(format!("{VARIABLES}SUBJECT"), request.subject().to_owned())];
    let Some(headers) = request.headers() else {
        variables.push((format!("{VARIABLES}HEADERS"), "{}".to_owned()));
        return Ok(variables);
    };
    let all = all(headers);
    let bytes: usize = all
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| name.len() + value.len()))
        .sum();
    if bytes > HEADER_BYTES_MAX {
        return Err(ServiceError::new(
            431,
            format!("the headers have more than {HEADER_BYTES_MAX} bytes"),
        ));
    }
    if all.values().flatten().any(|value| value.contains('\0')) {
        return Err(ServiceError::bad_request("a header has a NUL character"));
    }
    for (name, values) in &all {
        let value = values.first().map(|value| (*value).to_owned());
        variables.push((variable(name), value.unwrap_or_default()));
    }
    variables.push((
        format!("{VARIABLES}HEADERS"),
        serde_json::to_string(&all).map_err(ServiceError::internal)?,
    ));
    Ok(variables)
}

fn all(headers: &HeaderMap) -> BTreeMap<&str, Vec<&str>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for (name, values) in headers.iter() {
        let name: &str = name.as_ref();
        all.entry(name)
            .or_default()
            .extend(values.iter().map(|value| value.as_str()));
    }
    all
}

fn variable(header: &str) -> String {
    let name = header.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    });
    format!("{VARIABLES}HEADER_{}", name.collect::<String>())
}
