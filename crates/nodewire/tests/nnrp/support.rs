//! A server with nodes to test with, and what a client sees of a frame.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use nnrp::client::{ConnectOptions, FrameItem, Session, Submit};
use nnrp::{ClientTls, DialOptions, DialPolicy, Dialer, Endpoint};
use nnrp_wire::body::{PayloadKind, TypedPayload};
use nnrp_wire::build::SubmitOptions;
use nnrp_wire::metadata::ResultHintMetadata;
use nnrp_wire::session::{FrameError, FrameKey, FrameOutcome};
use nnrp_wire::{BudgetPolicy, ErrorCode, FrameSubmit, ResultBody};
use nodewire::nnrp::NnrpConfig;
use nodewire::prelude::*;
use nodewire::{
    NodeDefinition, NodeServerBuilder, Outputs as CoreOutputs, Port, RunningServer, node_fn,
};
use tokio::sync::Semaphore;

/// Nothing that goes well takes as long.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Partial outputs of the node `burst`.
pub(crate) const BURST: usize = 20;

/// Prefixes each text.
#[node(output = "text")]
async fn echo(text: Vec<String>, #[param(default = "> ")] prefix: String) -> Vec<String> {
    text.iter().map(|text| format!("{prefix}{text}")).collect()
}

/// Passes bytes on.
#[node(output = "data")]
async fn pass(data: Vec<Bytes>) -> Vec<Bytes> {
    data
}

/// Reports three steps, with a preview.
#[node(output = "n")]
async fn progress(context: Context) -> u32 {
    for step in 1..=3 {
        context.progress(step, 3, format!("step {step}"));
    }
    context
        .partial(CoreOutputs::new().with("n", Json::from("so far")))
        .await;
    3
}

/// Sends many partial outputs.
#[node(output = "data")]
async fn burst(context: Context) -> Bytes {
    for _ in 0..BURST {
        let data = Bytes::from(vec![7; 16 << 10]);
        context.partial(CoreOutputs::new().with("data", data)).await;
    }
    Bytes::new()
}

/// What came along.
#[node(output = "told")]
async fn tell(context: Context) -> Vec<String> {
    let parent = context.trace_parent().unwrap_or_default().to_owned();
    vec![parent, context.caller_id().to_owned()]
}

/// Fails.
#[node]
async fn fail() -> Result<(), NodeError> {
    Err(NodeError::invalid_input("boom: é"))
}

/// Panics.
#[node]
async fn panic() {
    panic!("a test of what panics");
}

/// What the nodes `hold` and `narrow` do: they run until they are let go, or told to stop.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    pub(crate) started: Arc<Semaphore>,
    pub(crate) go: Arc<Semaphore>,
    pub(crate) stopped: Arc<Semaphore>,
}

impl Holding {
    fn new() -> Self {
        let none = || Arc::new(Semaphore::new(0));
        Self {
            started: none(),
            go: none(),
            stopped: none(),
        }
    }

    async fn run(self, context: Context) -> Result<CoreOutputs, NodeError> {
        self.started.add_permits(1);
        tokio::select! {
            permit = self.go.acquire() => permit.unwrap().forget(),
            () = context.cancelled() => {
                self.stopped.add_permits(1);
                return Err(NodeError::internal("told to stop"));
            }
        }
        Ok(CoreOutputs::new().with("done", Json::from("late but there")))
    }

    /// Waits for one more of these.
    pub(crate) async fn one(of: &Semaphore) {
        soon(of.acquire()).await.unwrap().forget();
    }
}

pub(crate) struct Served {
    pub(crate) server: RunningServer,
    pub(crate) holding: Holding,
    dialer: Dialer,
}

/// All nodes, and a server for them that is not built yet.
pub(crate) fn nodes() -> (NodeServerBuilder, Holding) {
    let holding = Holding::new();
    let definition = |uid: &str| NodeDefinition::builder(uid).output(Port::new("done", "string"));
    let (held, narrow) = (holding.clone(), holding.clone());
    let one_and_one = definition("narrow")
        .concurrency(1)
        .queue(1)
        .build()
        .unwrap();
    let builder = NodeServer::builder()
        .node(echo())
        .node(pass())
        .node(progress())
        .node(burst())
        .node(tell())
        .node(fail())
        .node(panic())
        .node(node_fn(
            definition("hold").build().unwrap(),
            move |context| held.clone().run(context),
        ))
        .node(node_fn(one_and_one, move |context| {
            narrow.clone().run(context)
        }))
        .drain(LIMIT);
    (builder, holding)
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(configure: impl FnOnce(&mut NnrpConfig)) -> Self {
        Self::start_built(configure, |builder| builder).await
    }

    pub(crate) async fn start_built(
        configure: impl FnOnce(&mut NnrpConfig),
        build: impl FnOnce(NodeServerBuilder) -> NodeServerBuilder,
    ) -> Self {
        let (mut config, certificate_pem) = NnrpConfig::self_signed(0).unwrap();
        configure(&mut config);
        let (builder, holding) = nodes();
        let builder = build(builder.nnrp(config));
        let server = builder.build().unwrap().start().await.unwrap();
        let tls = ClientTls::with_authority(certificate_pem.as_bytes()).unwrap();
        Self {
            server,
            holding,
            dialer: Dialer::new(DialOptions::tls(tls)),
        }
    }

    pub(crate) async fn connect(&self, policy: DialPolicy) -> Session {
        self.connect_with(ConnectOptions::default().with_policy(policy))
            .await
    }

    pub(crate) async fn session(&self) -> Session {
        self.connect(DialPolicy::ForceTcp).await
    }

    pub(crate) async fn connect_with(&self, options: ConnectOptions) -> Session {
        let port = self.server.nnrp_address().unwrap().port();
        let endpoint = Endpoint::tls("localhost", port).unwrap();
        let session = Session::connect(&self.dialer, &endpoint, options);
        soon(session).await.unwrap()
    }

    /// Every execution has ended, and the counters say so.
    pub(crate) async fn balanced(&self) -> nodewire::Counters {
        until(|| self.server.executor().counters().in_flight == 0).await;
        let counters = self.server.executor().counters();
        assert!(counters.is_balanced(), "{counters:?}");
        counters
    }

    /// How many executions lost this on this wire.
    pub(crate) fn lost(&self, feature: nodewire::capability::Feature) -> u64 {
        let lost = self.server.lost();
        let lost = lost.iter().filter(|lost| lost.feature == feature);
        lost.map(|lost| lost.executions).sum()
    }
}

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future).await.unwrap()
}

/// Waits for something that is not told.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    soon(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A submit of a request.
pub(crate) fn asking(request: &str) -> FrameSubmit {
    with_options(SubmitOptions::default(), vec![event(request)])
}

/// The same, that takes partial results.
pub(crate) fn streaming(request: &str) -> FrameSubmit {
    let options = SubmitOptions {
        budget_policy: BudgetPolicy::ALLOW_PARTIAL,
        ..SubmitOptions::default()
    };
    with_options(options, vec![event(request)])
}

pub(crate) fn of(payloads: Vec<TypedPayload>) -> FrameSubmit {
    with_options(SubmitOptions::default(), payloads)
}

pub(crate) fn with_options(options: SubmitOptions, payloads: Vec<TypedPayload>) -> FrameSubmit {
    FrameSubmit::builder()
        .options(options)
        .payloads(payloads)
        .build()
        .unwrap()
}

pub(crate) fn event(text: &str) -> TypedPayload {
    TypedPayload::structured_event(text.to_owned())
}

/// A payload that came: what it is, of which port, and its content.
pub(crate) type Told = (PayloadKind, u16, Bytes);

/// All that came of a frame.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) results: Vec<Vec<Told>>,
    pub(crate) hints: Vec<ResultHintMetadata>,
    pub(crate) outcome: FrameOutcome,
    /// Of a frame that ended with an error.
    pub(crate) error: Option<(ErrorCode, String)>,
}

impl Seen {
    fn new() -> Self {
        Self {
            results: Vec::new(),
            hints: Vec::new(),
            outcome: FrameOutcome::ConnectionLost,
            error: None,
        }
    }

    fn see(&mut self, item: FrameItem) {
        match item {
            FrameItem::Result(result) => self.results.push(payloads(&result.result.body)),
            FrameItem::Hint(hint) => self.hints.push(hint),
            FrameItem::End(end) => {
                self.outcome = end.outcome;
                if let Some(FrameError::Peer(error)) = end.error {
                    let text = String::from_utf8(error.diagnostic.to_vec()).unwrap();
                    self.error = Some((error.metadata.known_code().unwrap(), text));
                }
            }
        }
    }

    /// The payloads of its only result.
    pub(crate) fn result(&self) -> &[Told] {
        assert_eq!(self.outcome, FrameOutcome::Complete, "{self:?}");
        let [result] = &*self.results else {
            panic!("{self:?}");
        };
        result
    }

    pub(crate) fn failed(&self, code: ErrorCode, text: &str) {
        let (told, diagnostic) = self.error.as_ref().unwrap();
        assert_eq!(*told, code, "{diagnostic}");
        assert!(diagnostic.contains(text), "{diagnostic}");
        assert!(self.results.is_empty());
    }
}

fn payloads(body: &ResultBody) -> Vec<Told> {
    match body {
        ResultBody::Empty => Vec::new(),
        ResultBody::Flat(flat) => panic!("{flat:?}"),
        ResultBody::Composed(composed) => {
            let payloads = composed.body().typed.iter();
            payloads
                .map(|each| (each.kind, each.profile_id, each.payload))
                .collect()
        }
    }
}

pub(crate) fn text(place: u16, text: &'static str) -> Told {
    (
        PayloadKind::TokenChunk,
        place,
        Bytes::from_static(text.as_bytes()),
    )
}

pub(crate) async fn submit(session: &Session, message: FrameSubmit) -> FrameKey {
    let key = FrameKey::new(session.next_frame_id());
    soon(session.submit(Submit::new(key, message)))
        .await
        .unwrap()
}

/// Submits, and sees all that comes of it.
pub(crate) async fn seen(session: &Session, message: FrameSubmit) -> Seen {
    let key = submit(session, message).await;
    rest(session, key).await
}

pub(crate) async fn rest(session: &Session, key: FrameKey) -> Seen {
    let mut seen = Seen::new();
    let mut items = session.stream(key);
    while let Some(item) = soon(items.next()).await {
        seen.see(item);
    }
    seen
}
