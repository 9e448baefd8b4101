//! Servers that ask for certificates and keys, from the command line. spec: nats-micro 12

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod micro_support;

use std::path::{Path, PathBuf};

use micro_support::{Done, Home, done};
use nkeys::KeyPair;
use nodewire_testkit::NatsServer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};

/// An authority, and what it has signed, as files.
struct Certificates {
    authority: PathBuf,
    server: Signed,
    client: Signed,
}

struct Signed {
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    fn make(home: &Home) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let sign = |name: &str| {
            let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
            let params = CertificateParams::new(names).unwrap();
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            Signed {
                certificate: home.file(&format!("{name}.pem"), &certificate.pem()),
                key: home.file(&format!("{name}.key"), &key.serialize_pem()),
            }
        };
        Self {
            server: sign("server"),
            client: sign("client"),
            authority: home.file("ca.pem", &issuer.pem()),
        }
    }

    fn server_config(&self) -> String {
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
            self.server.certificate, self.server.key, self.authority
        )
    }
}

fn ping(home: &Home, broker: &NatsServer, flags: &[&str]) -> Done {
    let mut command = home.micro();
    command.args([
        "ping",
        "--json",
        "--timeout",
        "0.1",
        "--server",
        &broker.url(),
    ]);
    done(command.args(flags))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn certificates_are_checked_on_both_sides() {
    let home = Home::new();
    let certificates = Certificates::make(&home);
    let broker = home.broker(NatsServer::options().config(&certificates.server_config()));
    let all = [
        "--tls-ca",
        text(&certificates.authority),
        "--tls-cert",
        text(&certificates.client.certificate),
        "--tls-key",
        text(&certificates.client.key),
    ];
    let good = ping(&home, &broker, &all);
    assert_eq!(
        (good.code, good.stdout.as_str()),
        (Some(0), "[]\n"),
        "{good:?}"
    );
    // Not ours to trust.
    let unknown = ping(&home, &broker, &all[2..]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    // Not theirs.
    let anonymous = ping(&home, &broker, &all[..2]);
    assert_eq!(anonymous.code, Some(1), "{anonymous:?}");
    for failed in [unknown, anonymous] {
        assert!(failed.stderr.contains("cannot connect"), "{failed:?}");
        assert!(failed.stdout.is_empty(), "{failed:?}");
    }
}

#[test]
fn keys_are_proven_and_not_shown() {
    let home = Home::new();
    let known = KeyPair::new_user();
    let config = format!(
        "authorization {{ users: [ {{ nkey: {} }} ] }}",
        known.public_key()
    );
    let broker = home.broker(NatsServer::options().config(&config));
    let seed = known.seed().unwrap();
    let file = home.file("user.nk", &seed);
    let good = ping(&home, &broker, &["--nkey", text(&file)]);
    assert_eq!(
        (good.code, good.stdout.as_str()),
        (Some(0), "[]\n"),
        "{good:?}"
    );
    let stranger = home.file("other.nk", &KeyPair::new_user().seed().unwrap());
    for flags in [&["--nkey", text(&stranger)][..], &[]] {
        let refused = ping(&home, &broker, flags);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(!refused.stderr.contains(&seed), "{refused:?}");
    }
}
