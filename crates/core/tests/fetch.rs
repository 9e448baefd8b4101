//! References at inputs that take bytes are fetched before the node is called.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nodewire_core::{
    AssetRef, AssetStore, BoxFuture, Context, ExecutionError, ExecutionEvent, ExecutionRequest,
    Executor, ExecutorConfig, Inputs, NewAsset, NodeDefinition, NodeError, NodeErrorKind, Outputs,
    Port, PortValue, Value, node_fn,
};
use tokio::sync::Semaphore;

/// Has `hello`, `n` bytes under the name `n`, and `slow`, which waits for a permit.
#[derive(Debug)]
struct Store {
    gate: Semaphore,
    asked: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Store {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(0),
            asked: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        })
    }

    async fn get(&self, name: &str) -> Result<Bytes, NodeError> {
        if name == "slow" {
            self.gate.acquire().await.unwrap().forget();
        }
        match name.parse() {
            Ok(length) => Ok(vec![7; length].into()),
            Err(_) if name == "gone" => Err(NodeError::new(NodeErrorKind::NotFound, "no asset")),
            Err(_) => Ok(Bytes::from_static(b"hello")),
        }
    }
}

impl AssetStore for Store {
    fn fetch(&self, asset: AssetRef) -> BoxFuture<'_, Result<Bytes, NodeError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
            let got = self.get(asset.as_str()).await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            got
        })
    }

    fn store(&self, _: NewAsset) -> BoxFuture<'_, Result<AssetRef, NodeError>> {
        Box::pin(std::future::pending())
    }
}

/// Gives back what it got.
fn executor(config: ExecutorConfig) -> Executor {
    let definition = NodeDefinition::builder("n")
        .input(Port::new("data", "bytes"))
        .input(Port::new("asset", "asset:image"))
        .build()
        .unwrap();
    let executor = Executor::new(config);
    let node = node_fn(definition, async |context: Context| {
        let inputs = context.inputs().iter();
        Ok(inputs
            .map(|(name, value)| (name, value.clone()))
            .collect::<Outputs>())
    });
    executor.registry().insert(node).unwrap();
    executor
}

fn asset(name: &str) -> Value {
    Value::Asset(AssetRef::new(name))
}

fn request(values: Vec<Value>) -> ExecutionRequest {
    ExecutionRequest::new("n").inputs(Inputs::new().with("data", values))
}

async fn failure(executor: &Executor, request: ExecutionRequest) -> NodeError {
    match executor.submit(request).unwrap().outputs().await {
        Err(ExecutionError::Failed(error)) => error,
        other => panic!("no failure: {other:?}"),
    }
}

#[tokio::test]
async fn references_at_bytes_become_bytes_and_others_stay() {
    let store = Store::new();
    let executor = executor(ExecutorConfig::default()).with_assets(store.clone());
    let bytes = Bytes::from_static(b"as it is");
    let mut asked = request(vec![asset("hello"), bytes.clone().into(), asset("2")]);
    asked.inputs.insert("asset", asset("hello"));
    asked.inputs.insert("other", asset("hello"));
    let outputs = executor.submit(asked).unwrap().outputs().await.unwrap();
    let wanted: Vec<Value> = vec![
        Bytes::from_static(b"hello").into(),
        bytes.clone().into(),
        Bytes::from_static(&[7, 7]).into(),
    ];
    assert_eq!(outputs.get("data"), Some(&PortValue::List(wanted)));
    assert_eq!(outputs.first("asset"), Some(&asset("hello")));
    assert_eq!(outputs.first("other"), Some(&asset("hello")));
    let Some(Value::Bytes(second)) = outputs.get("data").unwrap().values().get(1) else {
        panic!("no bytes");
    };
    assert_eq!(second.as_ptr(), bytes.as_ptr());
    assert_eq!(store.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_cannot_be_fetched_fails_with_its_kind_and_is_counted() {
    let bounded = ExecutorConfig {
        asset_bytes_max: 10,
        ..ExecutorConfig::default()
    };
    let executor = executor(bounded);
    let no_store = failure(&executor, request(vec![asset("hello")])).await;
    assert_eq!(no_store.kind(), NodeErrorKind::Unavailable);
    assert!(no_store.message().contains("no asset store"), "{no_store}");
    let executor = executor.with_assets(Store::new());
    let gone = failure(&executor, request(vec![asset("gone")])).await;
    assert_eq!(gone.kind(), NodeErrorKind::NotFound);
    let large = failure(&executor, request(vec![asset("11")])).await;
    assert_eq!(large.kind(), NodeErrorKind::InvalidInput);
    assert!(large.message().contains("11 bytes"), "{large}");
    let together = failure(&executor, request(vec![asset("6"), asset("6")])).await;
    assert_eq!(together.kind(), NodeErrorKind::InvalidInput);
    let fits = executor.submit(request(vec![asset("5"), asset("5")]));
    fits.unwrap().outputs().await.unwrap();
    let counters = executor.counters();
    assert_eq!((counters.failed, counters.completed), (4, 1));
    assert!(counters.is_balanced(), "{counters:?}");
}

#[tokio::test]
async fn a_fetch_ends_with_its_execution() {
    let store = Store::new();
    let executor = executor(ExecutorConfig::default()).with_assets(store.clone());
    let mut cancelled = executor.submit(request(vec![asset("slow")])).unwrap();
    while !matches!(cancelled.next().await, Some(ExecutionEvent::Started)) {}
    while store.at_once.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(executor.cancel_all(), 1);
    let end = cancelled.next().await;
    assert!(
        matches!(end, Some(ExecutionEvent::Cancelled { abandoned: false })),
        "{end:?}"
    );
    let mut late = request(vec![asset("slow")]);
    late.deadline = Some(Instant::now() + Duration::from_millis(20));
    let late = failure(&executor, late).await;
    assert_eq!(late.kind(), NodeErrorKind::Deadline);
    assert_eq!(store.asked.load(Ordering::SeqCst), 2);
    assert_eq!(executor.registry().stats()[0].running, 0);
}

#[tokio::test(start_paused = true)]
async fn stores_that_do_not_answer_are_given_up_on() {
    let impatient = ExecutorConfig {
        asset_timeout: Duration::from_millis(30),
        ..ExecutorConfig::default()
    };
    let executor = executor(impatient).with_assets(Store::new());
    let slow = failure(&executor, request(vec![asset("slow")])).await;
    assert_eq!(slow.kind(), NodeErrorKind::Unavailable);
    assert!(slow.message().contains("30 ms"), "{slow}");
    let kept = executor.assets().keep(NewAsset::new("x", "y")).await;
    assert_eq!(kept.unwrap_err().kind(), NodeErrorKind::Unavailable);
    let fetched = executor.assets().fetch(&AssetRef::new("slow")).await;
    assert_eq!(fetched.unwrap_err().kind(), NodeErrorKind::Unavailable);
}

#[tokio::test]
async fn only_so_many_fetch_at_once() {
    let one = ExecutorConfig {
        asset_fetches_max: 1,
        ..ExecutorConfig::default()
    };
    let store = Store::new();
    let executor = executor(one).with_assets(store.clone());
    let all: Vec<_> = (0..5)
        .map(|_| executor.submit(request(vec![asset("slow")])).unwrap())
        .collect();
    store.gate.add_permits(5);
    for execution in all {
        execution.outputs().await.unwrap();
    }
    assert_eq!(store.most_at_once.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_held_is_bounded_over_all_executions_and_given_back() {
    let bounded = ExecutorConfig {
        asset_bytes_held_max: 10,
        ..ExecutorConfig::default()
    };
    let executor = executor(bounded).with_assets(Store::new());
    let gate = Arc::new(Semaphore::new(0));
    let opens = Arc::clone(&gate);
    let definition = NodeDefinition::builder("hold")
        .input(Port::new("data", "bytes"))
        .build()
        .unwrap();
    let hold = node_fn(definition, move |context: Context| {
        let gate = Arc::clone(&gate);
        async move {
            context.message("there");
            gate.acquire().await.unwrap().forget();
            Ok(Outputs::new())
        }
    });
    executor.registry().insert(hold).unwrap();
    let asked = ExecutionRequest::new("hold");
    let asked = asked.inputs(Inputs::new().with("data", vec![asset("6")]));
    let mut holding = executor.submit(asked).unwrap();
    while !matches!(holding.next().await, Some(ExecutionEvent::Progress(_))) {}
    let refused = failure(&executor, request(vec![asset("5")])).await;
    assert_eq!(refused.kind(), NodeErrorKind::Overloaded);
    let fits = executor.submit(request(vec![asset("4")])).unwrap();
    fits.outputs().await.unwrap();
    opens.add_permits(1);
    holding.outputs().await.unwrap();
    let given_back = async {
        loop {
            let again = executor.submit(request(vec![asset("10")])).unwrap();
            if again.outputs().await.is_ok() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, given_back).await.unwrap();
}
