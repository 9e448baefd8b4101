//! What each wire can carry, and with nothing imported but this crate.

use nodewire::capability::Wire;
use nodewire::client::{
    Call, CancellationToken, NatsLogin, Remote, RemoteErrorKind, Secret, Target,
};
use nodewire::{ByteString, Bytes, Inputs, PortValue, Value};

use crate::support::{Served, WIRES, patient, soon};

const MIB: usize = 1 << 20;

fn reverse(length: usize) -> Call {
    Call::new("reverse").input("data", Bytes::from(vec![7; length]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_has_no_room_is_known_before_it_is_sent() {
    let served = Served::start().await;
    for wire in WIRES {
        let remote = served.remote(wire).await;
        // An Autotrainer device tells its limit with its nodes, NNRP their ports.
        soon(remote.describe()).await.unwrap();
        let limit = match wire {
            Wire::Nats => Some(MIB),
            Wire::Autotrainer => Some(8 * MIB),
            Wire::Nnrp => Some(32 * MIB),
            Wire::Nanograph | Wire::Http | Wire::Mcp => None,
        };
        if let Some(limit) = limit {
            for call in [reverse(limit), reverse(limit).quiet()] {
                let refused = remote.carries(&call).unwrap_err();
                assert_eq!(
                    refused.kind(),
                    RemoteErrorKind::TooLarge,
                    "{wire}: {refused}"
                );
                let told = format!("{wire} takes at most {limit} here");
                assert!(refused.message().contains(&told), "{wire}: {refused}");
                let error = soon(remote.call(call)).await.unwrap_err();
                assert_eq!(error.kind(), RemoteErrorKind::TooLarge, "{wire}: {error}");
            }
        }
        if wire == Wire::Nanograph {
            let refused = remote.carries(&reverse(1)).unwrap_err();
            assert_eq!(refused.kind(), RemoteErrorKind::Unsupported, "{refused}");
            let text = "a".repeat(5 * MIB);
            let long = Call::new("echo").input("text", text.as_str());
            assert_eq!(
                remote.carries(&long).unwrap_err().kind(),
                RemoteErrorKind::TooLarge
            );
            let error = soon(remote.call(long)).await.unwrap_err();
            assert_eq!(error.kind(), RemoteErrorKind::TooLarge, "{error}");
        } else {
            let call = reverse(MIB / 2);
            remote.carries(&call).unwrap();
            let outputs = soon(remote.call(call)).await.unwrap();
            let expected = Value::Bytes(Bytes::from(vec![7; MIB / 2]));
            assert_eq!(outputs.first("data"), Some(&expected), "{wire}");
        }
        // The connection is as good as before.
        soon(remote.call(Call::new("echo").input("text", "a")))
            .await
            .unwrap();
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_that_is_too_much_on_nats_is_refused_and_the_most_that_is_not_goes() {
    let served = Served::start().await;
    let remote = served.remote(Wire::Nats).await;
    let text = |length: usize| Call::new("echo").input("text", "a".repeat(length).as_str());
    let (mut fits, mut too_long) = (MIB / 2, MIB);
    while too_long - fits > 1 {
        let middle = fits.midpoint(too_long);
        match remote.carries(&text(middle)) {
            Ok(()) => fits = middle,
            Err(_) => too_long = middle,
        }
    }
    let error = soon(remote.call(text(too_long + 32))).await.unwrap_err();
    assert_eq!(error.kind(), RemoteErrorKind::TooLarge, "{error}");
    // The service has no room for the answer, but it was asked.
    let told = soon(remote.call(text(fits))).await;
    assert!(
        told.as_ref()
            .map_or_else(|error| error.kind() != RemoteErrorKind::TooLarge, |_| true),
        "{told:?}"
    );
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_made_with_what_this_crate_exports() {
    let served = Served::start().await;
    let remote = served.remote(Wire::Http).await;
    let mut call = Call::new(ByteString::from_static("reverse"));
    call.inputs = Inputs::new().with("data", PortValue::Single(Bytes::from_static(b"ab").into()));
    let execution = remote.execute(call).await;
    let _cancel: CancellationToken = execution.cancel_token();
    let outputs = soon(execution.outcome()).await.unwrap();
    let expected = Value::Bytes(Bytes::from_static(b"ba"));
    assert_eq!(outputs.first("data"), Some(&expected));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_told_who_we_are_beside_its_address() {
    let password = "p@:/ ä";
    let broker = nats_broker::Broker::builder()
        .user_password("me", password)
        .start()
        .await
        .unwrap();
    let target = |login| Target::Nats {
        url: Secret::new(format!("nats://{}", broker.addr())),
        service: None,
        login,
        tls_ca: None,
    };
    let user = |password: &str| NatsLogin::User {
        user: "me".to_owned(),
        password: Secret::new(password),
    };
    let right = target(user(password));
    let remote = soon(Remote::connect(&right, patient())).await.unwrap();
    assert_eq!(soon(remote.describe()).await.unwrap(), []);
    let text = format!("nats://me:p%40%3A%2F%20%C3%A4@{}", broker.addr());
    let right = Target::parse(Wire::Nats, &text).unwrap();
    let remote = soon(Remote::connect(&right, patient())).await.unwrap();
    assert_eq!(soon(remote.describe()).await.unwrap(), []);
    for login in [
        NatsLogin::Url,
        user("wrong"),
        NatsLogin::Token(Secret::new("t")),
    ] {
        let wrong = target(login);
        let error = soon(Remote::connect(&wrong, patient())).await.unwrap_err();
        assert_eq!(error.kind(), RemoteErrorKind::Unreachable, "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}
