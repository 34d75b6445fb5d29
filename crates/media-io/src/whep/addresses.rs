//! The addresses of this machine, to be offered as ICE host candidates.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// More addresses of a family than this (container hosts have hundreds) would make every viewer check hundreds of pairs.
/// Pairs are of one family.
const MAX_CANDIDATES: usize = 16;

/// Where peers can reach sockets bound to `bound`: the address itself, or for an unspecified one every address of the
/// machine in its family, loopback included. IPv6 link-local addresses are left out: they mean nothing without a zone.
pub(super) fn reachable(bound: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut machine: Option<Vec<IpAddr>> = None;
    let mut found = Vec::new();
    for address in bound {
        if !address.ip().is_unspecified() {
            found.push(*address);
            continue;
        }
        let machine = machine.get_or_insert_with(interface_addresses);
        let same_family = machine.iter().filter(|ip| ip.is_ipv4() == address.is_ipv4());
        let of_family = same_family.map(|ip| SocketAddr::new(*ip, address.port()));
        found.extend(of_family.take(MAX_CANDIDATES));
    }
    found
}

/// Whether sockets can be bound to IPv6 addresses here; the kernel's reason where not.
pub(super) fn try_ipv6() -> io::Result<()> {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).map(drop)
}

/// Addresses of all interfaces that are up, loopback first so that a cap never removes it. Only loopback when the system
/// does not tell.
fn interface_addresses() -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: getifaddrs fills `list` with a linked list that stays valid until freeifaddrs; it is only read between.
    unsafe {
        if libc::getifaddrs(&mut list) == 0 {
            let mut entry = list;
            while let Some(interface) = entry.as_ref() {
                if interface.ifa_flags & libc::IFF_UP as libc::c_uint != 0
                    && let Some(ip) = ip_of(interface.ifa_addr)
                {
                    found.push(ip);
                }
                entry = interface.ifa_next;
            }
            libc::freeifaddrs(list);
        }
    }
    found.retain(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_unicast_link_local(),
    });
    if found.is_empty() {
        found.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    found.sort_by_key(|ip| !ip.is_loopback());
    found.dedup();
    found
}

/// # Safety
/// `address` is null or points to a socket address of the length that its family has.
unsafe fn ip_of(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: by the contract above; the family is checked before the cast.
    unsafe {
        match i32::from(address.as_ref()?.sa_family) {
            libc::AF_INET => {
                let v4 = &*address.cast::<libc::sockaddr_in>();
                Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                let v6 = &*address.cast::<libc::sockaddr_in6>();
                Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_unspecified_address_stands_for_all_and_loopback_is_among_them() {
        let found = reachable(&["0.0.0.0:8189".parse().unwrap()]);
        assert!(found.contains(&"127.0.0.1:8189".parse().unwrap()), "{found:?}");
        assert!(
            found.iter().all(|a| a.is_ipv4() && !a.ip().is_unspecified()),
            "{found:?}"
        );
    }

    #[test]
    fn a_bound_address_stands_for_itself() {
        let bound = ["127.0.0.1:5".parse().unwrap(), "[::1]:6".parse().unwrap()];
        assert_eq!(reachable(&bound), bound);
    }
}
