//! `nodewire micro request`. spec: nats-micro 12

use std::str::FromStr;
use std::time::Duration;

use async_nats::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::StreamExt;
use nats_micro::client::{
    CallError, Client, DEFAULT_REQUEST_TIMEOUT, End, Limits, OutgoingRequest, RequestError,
};
use nats_micro::{HeaderMap, Reply, ServiceError};
use tokio::io::AsyncReadExt;

use super::connect::{Place, Purpose};
use super::connection_flags::ConnectionFlags;
use super::reply::Printer;
use super::settings::Settings;
use super::units::seconds;
use crate::failure::{Failure, chain};
use crate::terminal;

/// How long other instances may take to answer after the last one, when none has had the endpoint.
const LOOKUP_INTERVAL: Duration = Duration::from_millis(500);

const HELP: &str = "\
Examples:
  nodewire micro request orders.price '{\"item\": 7}'

  # An endpoint by its name; headers; the payload from standard input, the reply as it is
  nodewire micro request --service images --endpoint scale -H 'X-Width: 640' --raw - < in.png > out.png

  # The replies of everybody who answers within two seconds
  nodewire micro request fleet.where --replies 0 --timeout 2

The body of the reply is printed with a line end after it; one that is no UTF-8 text as it is, but not to a terminal. Of an \
error reply, `code: description` is printed on standard error and the body on standard output. It, nobody listening, and no \
reply in time are failures, with exit status 1.

With --json there is one line for each reply: an object with `subject`, `headers` (an array of values for each name), `data` \
or, if the body is no UTF-8 text, `data_base64`, and, if it is an error, `error` with `code` and `description`.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct RequestArgs {
    /// The subject and the payload; with --endpoint only the payload. `-` is standard input; without one the payload is
    /// empty, and one that begins with a hyphen follows after `--`.
    #[arg(value_name = "SUBJECT] [PAYLOAD", num_args = 0..=2, allow_negative_numbers = true)]
    words: Vec<String>,
    /// The service whose endpoint is called.
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    service: Option<String>,
    /// The endpoint, by its name.
    #[arg(long, value_name = "NAME", requires = "service")]
    endpoint: Option<String>,
    /// Add a header. May be repeated, also with one name.
    #[arg(short = 'H', long, value_name = "NAME:VALUE", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// How long to wait for a reply, or for all, and for the answer to where an endpoint is; 1 unless set.
    /// [env: NATS_TIMEOUT]
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Print the bytes of the body and nothing else, also to a terminal.
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print headers of replies on standard error.
    #[arg(long, conflicts_with = "json")]
    show_headers: bool,
    /// Print replies as JSON, one object in a line.
    #[arg(long)]
    json: bool,
    /// Send it so often, one after the other; the first failure ends it.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Wait for so many replies of one request; 0 for all that come in time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    replies: usize,
    // Last: its heading holds for all that follows.
    #[command(flatten)]
    pub(super) connection: ConnectionFlags,
}

pub(super) async fn request(settings: &Settings, args: RequestArgs) -> Result<(), Failure> {
    let (target, payload) = args.target_and_payload()?;
    let timeout = args.timeout.or(settings.reply_timeout);
    let timeout = timeout.unwrap_or(DEFAULT_REQUEST_TIMEOUT);
    let place = Place::find(settings.clone(), Purpose::Ask).await?;
    let context = place.connect().await?;
    let client = Client::new(context.client().clone());
    let subject = match target {
        Target::Subject(subject) => subject,
        Target::Endpoint { service, endpoint } => {
            let finder = finder(settings, context.client().clone(), timeout)?;
            look_up(&finder, &service, &endpoint).await?
        }
    };
    let request = OutgoingRequest::new(read(payload, context.client().max_payload()).await?)
        .with_headers(args.headers())
        .with_timeout(timeout);
    let printer = Printer {
        subject: &subject,
        raw: args.raw,
        show_headers: args.show_headers,
        json: args.json,
    };
    for _ in 0..args.count {
        match args.replies {
            1 => one(&client, request.clone(), &printer).await?,
            wanted => many(&client, request.clone(), wanted, &printer).await?,
        }
        if terminal::nobody_reads() {
            break;
        }
    }
    terminal::results_written()
}

#[derive(Debug, PartialEq, Eq)]
enum Target {
    Subject(String),
    Endpoint { service: String, endpoint: String },
}

impl RequestArgs {
    fn target_and_payload(&self) -> Result<(Target, String), Failure> {
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        let subject = |subject: &str| Target::Subject(subject.to_owned());
        let (target, payload) = match (&self.service, &self.endpoint, words.as_slice()) {
            (Some(service), Some(endpoint), [] | [_]) => {
                let (service, endpoint) = (service.clone(), endpoint.clone());
                let payload = words.first().copied().unwrap_or_default();
                (Target::Endpoint { service, endpoint }, payload)
            }
            (None, None, [only]) => (subject(only), ""),
            (None, None, [first, payload]) => (subject(first), *payload),
            (None, None, _) => {
                let hint = "give a subject, or --service and --endpoint";
                return Err(Failure::usage(hint));
            }
            _ => {
                let hint = "give either a subject, or --service and --endpoint, not both";
                return Err(Failure::usage(hint));
            }
        };
        Ok((target, payload.to_owned()))
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.header {
            headers.append(name.clone(), value.clone());
        }
        headers
    }
}

/// For looking an endpoint up: all instances are asked, since they may differ, and the first that has it is enough.
fn finder(
    settings: &Settings,
    connection: async_nats::Client,
    max_wait: Duration,
) -> Result<Client, Failure> {
    let mut client = Client::builder(connection).limits(Limits {
        max_wait,
        max_interval: Some(LOOKUP_INTERVAL),
        ..Limits::default()
    });
    if let Some(prefix) = &settings.control_prefix {
        client = client.control_prefix(prefix);
    }
    let client = client.build();
    client.map_err(|error| Failure::usage(error.to_string()))
}

async fn one(
    client: &Client,
    request: OutgoingRequest,
    printer: &Printer<'_>,
) -> Result<(), Failure> {
    match client.request(printer.subject, request).await {
        Ok(reply) => printer.print(&reply),
        Err(RequestError::Service(error)) => {
            printer.print_error(&error)?;
            Err(Failure::failed(error_line(&error)))
        }
        Err(error) => Err(not_asked(&error)),
    }
}

/// Prints replies as they come, error replies among them.
async fn many(
    client: &Client,
    request: OutgoingRequest,
    wanted: usize,
    printer: &Printer<'_>,
) -> Result<(), Failure> {
    let mut asked = client.request_many(printer.subject, request);
    if wanted > 0 {
        asked = asked.max_count(wanted);
    }
    let mut replies = asked.stream().await.map_err(|error| not_asked(&error))?;
    let (mut came, mut errors) = (0, 0);
    while let Some(reply) = replies.next().await {
        came += 1;
        errors += usize::from(reply.is_err());
        print_one_of_many(&reply, printer)?;
    }
    let subject = printer.subject.to_owned();
    match replies.end() {
        Some(End::NoResponders) => Err(not_asked(&RequestError::NoResponders { subject })),
        Some(End::Closed) => Err(not_asked(&RequestError::Closed)),
        Some(End::MaxBytes) => Err(Failure::failed("there are more replies than can be taken")),
        _ if came == 0 => Err(Failure::failed(format!(
            "no reply from {subject:?} in time"
        ))),
        _ if came < wanted => Err(Failure::failed(format!(
            "only {came} of {wanted} replies came in time"
        ))),
        _ if errors > 0 => Err(Failure::failed(format!(
            "{errors} of {came} replies are errors"
        ))),
        _ => Ok(()),
    }
}

fn print_one_of_many(
    reply: &Result<Reply, ServiceError>,
    printer: &Printer<'_>,
) -> Result<(), Failure> {
    match reply {
        Ok(reply) => printer.print(reply),
        Err(error) => {
            terminal::error(&terminal::plain(&error_line(error)));
            printer.print_error(error)
        }
    }
}

async fn look_up(finder: &Client, service: &str, endpoint: &str) -> Result<String, Failure> {
    let found = finder.service(service).endpoint(endpoint).await;
    let found = found.map_err(|error| Failure::failed(chain(&error)))?;
    let subject = found.subject;
    if subject.split('.').any(|token| matches!(token, "*" | ">")) {
        let endpoint = endpoint.to_owned();
        return Err(Failure::failed(
            CallError::Wildcards { endpoint, subject }.to_string(),
        ));
    }
    Ok(subject)
}

/// Standard input for `-`; no more than the broker takes.
async fn read(payload: String, max_bytes: usize) -> Result<Bytes, Failure> {
    if payload != "-" {
        return Ok(payload.into());
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    let mut input = tokio::io::stdin().take(limit.saturating_add(1));
    let read = input.read_to_end(&mut bytes).await;
    read.map_err(|error| Failure::failed(format!("standard input cannot be read: {error}")))?;
    if bytes.len() > max_bytes {
        return Err(Failure::failed(format!(
            "standard input has more than the {max_bytes} bytes that the broker takes"
        )));
    }
    Ok(bytes.into())
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is NAME:VALUE")?;
    let name = name.trim();
    let bad_name = || format!("{name:?} is no header name: use letters, digits and dashes");
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(bad_name());
    }
    let name = HeaderName::from_str(name).map_err(|_| bad_name())?;
    let value = HeaderValue::from_str(value.trim())
        .map_err(|_| "the value of a header has no line ends".to_owned())?;
    Ok((name, value))
}

/// A subject that cannot be is wrong usage; all else is a failure.
pub(super) fn not_asked(error: &RequestError) -> Failure {
    match error {
        RequestError::InvalidSubject { .. } => Failure::usage(chain(error)),
        RequestError::Service(_)
        | RequestError::NoResponders { .. }
        | RequestError::TimedOut { .. }
        | RequestError::TooLarge { .. }
        | RequestError::Closed => Failure::failed(chain(error)),
    }
}

/// `code: description`, as far as they are there.
fn error_line(error: &ServiceError) -> String {
    match (error.code_text(), error.description()) {
        ("", description) => description.to_owned(),
        (code, "") => code.to_owned(),
        (code, description) => format!("{code}: {description}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_checked() {
        let (name, value) = header("X-Time:  12:30 ").unwrap();
        assert_eq!(
            (name.to_string().as_str(), value.as_str()),
            ("X-Time", "12:30")
        );
        for bad in [
            "X-A",
            ":v",
            " : v",
            "X A: v",
            "é: v",
            "X-A: a\nb",
            "X\rY: v",
        ] {
            assert!(header(bad).is_err(), "{bad:?}");
        }
    }
}
