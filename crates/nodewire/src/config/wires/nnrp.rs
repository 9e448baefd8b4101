//! The NNRP wire.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};

use ::nnrp::{ListenerOptions, ServerTls};

use super::Making;
use crate::config::layers::View;
use crate::config::problem::Problems;
use crate::config::setting::Table;
use crate::nnrp::NnrpConfig;

/// What makes the listener anew, instead of the code's.
const SECURITY: [&str; 4] = [
    "security",
    "tls_cert_file",
    "tls_key_file",
    "tls_cert_out_file",
];

/// The system chooses the port.
const ADDRESS_DEFAULT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);

/// `None` if something is wrong with it.
pub(super) fn make(
    making: &Making<'_>,
    base: Option<NnrpConfig>,
    problems: &mut Problems,
) -> Option<NnrpConfig> {
    let view = making.view(Table::Nnrp);
    let in_code = base.as_ref().map(|config| config.listener.address);
    let address = in_code.unwrap_or(SocketAddr::V4(ADDRESS_DEFAULT));
    let address = view.get("listen").unwrap_or(address);
    let mut config = match base {
        Some(config) if !view.has(&SECURITY) => config,
        base => {
            let listener = listener(view, address, problems)?;
            match base {
                Some(config) => NnrpConfig { listener, ..config },
                None => NnrpConfig::with_listener(listener),
            }
        }
    };
    config.listener.address = address;
    view.set("connections_max", &mut config.listener.connections_max);
    view.set("sessions_max", &mut config.server.sessions_max);
    view.set("result_bytes_max", &mut config.result_bytes_max);
    Some(config)
}

fn listener(
    view: View<'_>,
    address: SocketAddr,
    problems: &mut Problems,
) -> Option<ListenerOptions> {
    let has_certificate = view.has(&["tls_cert_file", "tls_key_file"]);
    let default = if has_certificate {
        "tls"
    } else {
        "self-signed"
    };
    let security: String = view.get("security").unwrap_or_else(|| default.to_owned());
    let is_self_signed = match security.as_str() {
        "self-signed" => true,
        "plain-and-quic" => !has_certificate,
        _ => false,
    };
    let is_plain = security.starts_with("plain");
    let mut refuse = |key, message: &str| problems.add(&view.place(key), message);
    if is_plain && !address.ip().is_loopback() {
        refuse(
            "security",
            "[nnrp] plain TCP is for loopback addresses only",
        );
    }
    if view.has(&["tls_cert_out_file"]) && !is_self_signed {
        refuse(
            "tls_cert_out_file",
            "[nnrp] tls_cert_out_file is for self-signed certificates",
        );
    }
    if has_certificate && (is_self_signed || security == "plain") {
        refuse(
            "security",
            "[nnrp] security has no use for tls_cert_file and tls_key_file",
        );
    }
    if security == "plain" {
        return Some(ListenerOptions::plain(address));
    }
    let tls = if is_self_signed {
        self_signed(view, address, problems)
    } else {
        certificate(view, problems)
    }?;
    Some(if is_plain {
        ListenerOptions::plain_and_quic(address, tls)
    } else {
        ListenerOptions::tls(address, tls)
    })
}

fn certificate(view: View<'_>, problems: &mut Problems) -> Option<ServerTls> {
    let chain = view.get::<PathBuf>("tls_cert_file");
    let key = view.get::<PathBuf>("tls_key_file");
    let (Some(chain), Some(key)) = (chain, key) else {
        // One that is wrong was told already.
        for key in ["tls_cert_file", "tls_key_file"] {
            if view.given(key).is_none() {
                problems.add(
                    &view.place(key),
                    format!("[nnrp] {key} is missing: TLS needs both"),
                );
            }
        }
        return None;
    };
    let told = |error: ::nnrp::TlsError| {
        let mut text = error.to_string();
        if let Some(cause) = std::error::Error::source(&error) {
            text = format!("{text}: {cause}");
        }
        problems.add(&view.place("tls_cert_file"), format!("[nnrp] {text}"));
    };
    ServerTls::from_files(chain, key).map_err(told).ok()
}

fn self_signed(view: View<'_>, address: SocketAddr, problems: &mut Problems) -> Option<ServerTls> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    if !address.ip().is_unspecified() && address.ip() != Ipv4Addr::LOCALHOST {
        names.push(address.ip().to_string());
    }
    let own = match ServerTls::self_signed(names) {
        Ok(own) => own,
        Err(error) => {
            problems.add(&view.place("security"), format!("[nnrp] {error}"));
            return None;
        }
    };
    if let Some(path) = view.get::<PathBuf>("tls_cert_out_file") {
        write(&path, &own.certificate_pem, view, problems);
    }
    Some(own.tls)
}

/// A certificate is no secret.
fn write(path: &Path, pem: &str, view: View<'_>, problems: &mut Problems) {
    if let Err(error) = std::fs::write(path, pem) {
        problems.add(
            &view.place("tls_cert_out_file"),
            format!("[nnrp] {} cannot be written: {error}", path.display()),
        );
    }
}
