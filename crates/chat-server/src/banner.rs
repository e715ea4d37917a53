//! The text printed at startup: where the server listens, how to join, and from which machines.

use crate::config::ServerConfig;
use crate::listen::Protocols;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The maximum number of join addresses in the banner. A machine may have dozens of addresses, most of them of
/// containers.
const JOIN_MAX: usize = 4;

/// Returns the lines of the banner. `own` are the addresses of this machine.
pub(crate) fn banner(
    listeners: &[(SocketAddr, Protocols)],
    own: &[IpAddr],
    config: &ServerConfig,
) -> String {
    let listening = listeners.iter().map(|(address, protocols)| {
        let scheme = protocols.scheme();
        format!("listening on {scheme}{address}")
    });
    let mut lines: Vec<String> = listening.collect();
    let speaks_all = |listener: &&(SocketAddr, Protocols)| listener.1 == Protocols::All;
    let addresses: Vec<SocketAddr> = listeners.iter().map(|(address, _)| *address).collect();
    let all: Vec<SocketAddr> = listeners
        .iter()
        .filter(speaks_all)
        .map(|(address, _)| *address)
        .collect();
    if addresses.iter().any(|address| !address.ip().is_loopback()) {
        lines.push("open to everybody who can reach it: no accounts, no encryption".to_owned());
    }
    let mut join = join_at(&all, own).into_iter();
    if let Some(first) = join.next() {
        lines.push(format!("join {} with  chat-client {first}", config.room()));
        lines.extend(join.map(|other| format!("    or with  chat-client {other}")));
        let (host, port) = (first.ip(), first.port());
        lines.push(format!("    or with  nc {host} {port}"));
        if config.has_web() {
            lines.push(format!("    or with  a browser: http://{first}/"));
        }
        if cfg!(feature = "irc") {
            lines.push(format!("    or with  an IRC client: {host} {port}"));
        }
    }
    lines.push(format!("what is said is kept {}", config.kept()));
    lines.push("Ctrl+C ends it".to_owned());
    let lines = lines.into_iter();
    lines.map(|line| format!("chat-server: {line}\n")).collect()
}

/// Prints the banner to stderr.
pub(crate) fn print(banner: &str) {
    // If stderr can't be written, the server still runs.
    drop(std::io::stderr().write_all(banner.as_bytes()));
}

/// Returns the addresses at which other machines reach the server. If there are none, returns the addresses at which
/// only this machine reaches the server.
fn join_at(addresses: &[SocketAddr], own: &[IpAddr]) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        let (ip, port) = (address.ip(), address.port());
        let fits = |own: &&IpAddr| match ip {
            // On Linux the unspecified IPv6 address also accepts IPv4 connections.
            IpAddr::V6(ip) => ip.is_unspecified(),
            IpAddr::V4(ip) => ip.is_unspecified() && own.is_ipv4(),
        };
        found.extend(
            own.iter()
                .filter(fits)
                .map(|own| SocketAddr::new(*own, port)),
        );
        if !ip.is_loopback() && !ip.is_unspecified() {
            found.push(*address);
        }
    }
    // IPv4 addresses come first: they are shorter to type.
    found.sort_by_key(SocketAddr::is_ipv6);
    found.dedup();
    found.truncate(JOIN_MAX);
    if found.is_empty() {
        found.extend(addresses.first().map(|first| match first.ip() {
            ip if !ip.is_unspecified() => *first,
            IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), first.port()),
            IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), first.port()),
        }));
    }
    found
}

/// Returns this machine's addresses. Leaves out addresses that other machines can't reach, or can reach only with an
/// interface name.
pub(crate) fn own_addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten();
    let up = interfaces.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP));
    let addresses = up.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    addresses.filter(is_reachable).collect()
}

fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    const WEB: bool = cfg!(feature = "web");
    const OWN: [&str; 3] = ["fd00::7", "192.0.2.7", "198.51.100.7"];

    fn said(listen: &[&str], own: &[&str]) -> String {
        let addresses: Vec<_> = listen
            .iter()
            .map(|address| (address.parse().unwrap(), Protocols::All))
            .collect();
        let own: Vec<_> = own.iter().map(|ip| ip.parse().unwrap()).collect();
        let config = Cli::parse_from(["chat-server", "--room", "class"]).into();
        banner(&addresses, &own, &config).replace("chat-server: ", "")
    }

    #[test]
    fn on_loopback_it_names_that_alone() {
        let said = said(&["127.0.0.1:5000", "[::1]:5000"], &OWN);
        let expected = "listening on 127.0.0.1:5000\n\
                        listening on [::1]:5000\n\
                        join class with  chat-client 127.0.0.1:5000\n    or with  nc 127.0.0.1 5000\n";
        assert_eq!(
            said.contains("or with  a browser: http://127.0.0.1:5000/\n"),
            WEB,
            "{said}"
        );
        assert!(said.starts_with(expected), "{said}");
        assert!(!said.contains("open to"), "{said}");
    }

    #[test]
    fn beyond_loopback_it_names_this_machine_s_addresses_and_who_can_speak() {
        let everywhere = said(&["0.0.0.0:5001"], &OWN);
        let expected = "listening on 0.0.0.0:5001\n\
                        open to everybody who can reach it: no accounts, no encryption\n\
                        join class with  chat-client 192.0.2.7:5001\n    \
                        or with  chat-client 198.51.100.7:5001\n    or with  nc 192.0.2.7 5001\n";
        assert!(everywhere.starts_with(expected), "{everywhere}");
        let both = said(&["[::]:5001"], &OWN);
        assert!(
            both.contains("class with  chat-client 192.0.2.7:5001\n"),
            "{both}"
        );
        assert!(both.contains("chat-client [fd00::7]:5001\n"), "{both}");
        let one = said(&["127.0.0.1:5001", "198.51.100.7:5001"], &OWN);
        assert!(
            one.contains("join class with  chat-client 198.51.100.7:5001\n"),
            "{one}"
        );
        assert!(one.contains("open to everybody"), "{one}");
    }

    #[test]
    fn without_any_address_of_its_own_it_names_loopback() {
        let said = said(&["[::]:5001"], &[]);
        assert!(
            said.contains("join class with  chat-client [::1]:5001\n"),
            "{said}"
        );
        assert!(said.contains("nc ::1 5001\n"), "{said}");
        assert!(said.contains("open to everybody"), "{said}");
    }
}
