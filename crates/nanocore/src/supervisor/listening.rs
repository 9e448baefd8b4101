//! Whether a server can be reached from other machines. spec: nanograph 19.5, N23

use std::fs;

/// Whether somebody listens on this port on more than loopback. False where the system does not tell.
pub(super) fn listens_beyond_loopback(port: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .any(|table| is_open(&table, port))
}

/// `table` is the kernel's list of sockets: a number, the local address, the remote one, the state, in hexadecimal.
fn is_open(table: &str, port: u16) -> bool {
    const LISTENING: &str = "0A";
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().and_then(|local| local.rsplit_once(':'));
        let state = fields.nth(1);
        local.is_some_and(|(address, local_port)| {
            state == Some(LISTENING)
                && u16::from_str_radix(local_port, 16) == Ok(port)
                && !is_loopback(address)
        })
    })
}

/// Addresses are written in the machine's byte order, in words of 32 bits.
fn is_loopback(address: &str) -> bool {
    match address.len() {
        8 => address.ends_with("7F"),
        _ => {
            address == "00000000000000000000000001000000"
                || (address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn listeners_are_told_apart_by_where_they_can_be_reached() {
        let open = TcpListener::bind("0.0.0.0:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        assert!(listens_beyond_loopback(port(&open)));
        assert!(!listens_beyond_loopback(port(&closed)));
        let was = port(&open);
        drop(open);
        assert!(!listens_beyond_loopback(was));
    }
}
