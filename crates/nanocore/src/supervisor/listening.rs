//! Whether a server can be reached from other machines. spec: nanograph 19.5, N23

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The state of a listening socket.
const LISTENING: &str = "0A";

/// Whether somebody listens on this port on more than loopback. False where the system does not tell.
pub(super) fn listens_beyond_loopback(port: u16) -> bool {
    tables().any(|table| is_open(&table, port))
}

/// Whether somebody listens on this port who is not of this process group. False where the system does not tell.
pub(super) fn is_others(port: u16, group: u32) -> bool {
    let listening: BTreeSet<String> = tables()
        .flat_map(|table| inodes(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let held = sockets_of(group);
    listening.iter().any(|socket| !held.contains(socket))
}

fn tables() -> impl Iterator<Item = String> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok())
}

/// What the group's processes hold that is a socket, in the kernel's words.
fn sockets_of(group: u32) -> BTreeSet<String> {
    let folders = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let is_member = |process: &Path| {
        let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
        // Behind the name, which may have anything in it: the state, the parent, the group.
        let mut fields = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace();
        fields.nth(2).and_then(|found| found.parse().ok()) == Some(group)
    };
    folders(Path::new("/proc"))
        .map(|entry| entry.path())
        .filter(|process| is_member(process))
        .flat_map(|process| folders(&process.join("fd")))
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .filter(|target| target.starts_with("socket:"))
        .collect()
}

fn inodes(table: &str, port: u16) -> Vec<String> {
    let inode = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let is_it =
            fields.get(3) == Some(&LISTENING) && u16::from_str_radix(local_port, 16) == Ok(port);
        is_it.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    };
    table.lines().filter_map(inode).collect()
}

/// `table` is the kernel's list of sockets: a number, the local address, the remote one, the state, in hexadecimal.
fn is_open(table: &str, port: u16) -> bool {
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
        let group = fs::read_to_string("/proc/self/stat").unwrap();
        let group = group.rsplit_once(')').unwrap().1;
        let group = group.split_whitespace().nth(2).unwrap().parse().unwrap();
        assert!(!is_others(was, group), "it is our own");
        assert!(is_others(was, u32::MAX));
        drop(open);
        assert!(!listens_beyond_loopback(was));
    }
}
