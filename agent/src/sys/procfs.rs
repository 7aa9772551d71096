//! What `/proc` tells: members of a session, and who holds a port.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A process of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub pid: i32,
    pub group: i32,
    pub zombie: bool,
}

/// All processes of a session that `/proc` shows.
pub(super) fn session_members(session: i32) -> Vec<Member> {
    processes()
        .filter_map(|pid| {
            let (member, its_session) =
                parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
            (its_session == session).then_some(member)
        })
        .collect()
}

/// Processes whose parent is this one, zombies not counted.
pub(crate) fn children() -> Vec<i32> {
    let parent = std::process::id().to_string();
    processes()
        .filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let mut fields =
                stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace();
            let lives = fields.next().is_some_and(|state| !matches!(state, "Z" | "X"));
            lives && fields.next() == Some(&parent)
        })
        .collect()
}

fn processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// `pid (name) state ppid pgrp session …`; the name may hold anything, so fields count from its last bracket.
fn parse_stat(pid: i32, stat: &str) -> Option<(Member, i32)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let group = fields.nth(1)?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    Some((Member { pid, group, zombie }, session))
}

/// Who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub address: SocketAddr,
    /// Absent when the process is another user's, or outside our namespace.
    pub process: Option<(i32, String)>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.process {
            Some((pid, command)) => {
                write!(f, "process {pid} ({command}), which listens on {}", self.address)
            }
            None => write!(f, "a process of somebody else, which listens on {}", self.address),
        }
    }
}

/// Who stands in the way of a server that wants `address`: a listener on the same port, on the same or on all addresses.
pub(crate) fn port_holder(address: SocketAddr) -> Option<Holder> {
    let everywhere = address.ip().is_unspecified();
    let (inode, holder) = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().skip(1).filter_map(parse_listener).collect::<Vec<_>>())
        .find(|(_, at)| {
            at.port() == address.port()
                && (everywhere || at.ip().is_unspecified() || at.ip() == address.ip())
        })?;
    let process =
        processes().find(|pid| sockets(*pid).contains(&inode)).map(|pid| (pid, command_line(pid)));
    Some(Holder { address: holder, process })
}

/// `sl local remote state …  inode`; numbers in hexadecimal, addresses as host-order words.
fn parse_listener(line: &str) -> Option<(u64, SocketAddr)> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = address.as_bytes().chunks(8).map(|word| {
        u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok().map(u32::to_ne_bytes)
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.as_slice()).ok()?)),
        16 => {
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?)).to_canonical()
        }
        _ => return None,
    };
    Some((fields.get(9)?.parse().ok()?, SocketAddr::new(ip, port)))
}

fn sockets(pid: i32) -> HashSet<u64> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    links
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

fn command_line(pid: i32) -> String {
    const LONGEST: usize = 120;
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&raw).replace('\0', " ");
    line.trim().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) b (c)) S 1 40 39 0 -1 4194560";
        assert_eq!(parse_stat(42, stat), Some((Member { pid: 42, group: 40, zombie: false }, 39)));
    }

    #[test]
    fn our_own_listener_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let holder = port_holder(address).expect("we listen");
        assert_eq!(holder.address, address);
        assert_eq!(
            holder.process.expect("it is ours").0,
            i32::try_from(std::process::id()).unwrap()
        );
        let elsewhere = SocketAddr::new("127.9.9.9".parse().unwrap(), address.port());
        assert_eq!(port_holder(elsewhere), None);
    }
}
