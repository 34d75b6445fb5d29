//! CPU time and memory of processes, and datagrams dropped, read from /proc (Linux, proc(5)).

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// Of one process at one instant. Zeros when it is gone.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    /// User and system time since its start.
    pub(super) cpu_s: f64,
    pub(super) rss_bytes: u64,
    /// CPU time by thread: its id and name.
    pub(super) threads: BTreeMap<(u32, String), f64>,
}

impl Usage {
    /// Reads process `pid`.
    pub(super) fn of(pid: u32) -> Self {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some((name, cpu_s)) = fs::read_to_string(entry.path().join("stat"))
                .ok()
                .and_then(|s| times(&s))
            {
                threads.insert((id, name), cpu_s);
            }
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let rss_kib = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        });
        Self {
            cpu_s: times(&stat).map_or(0.0, |(_, cpu_s)| cpu_s),
            rss_bytes: rss_kib.unwrap_or(0) * 1024,
            threads,
        }
    }
}

/// Name, user and system time of a `stat` file.
fn times(stat: &str) -> Option<(String, f64)> {
    // The name may hold anything, also brackets and blanks.
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    // SAFETY: sysconf has no preconditions.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    Some((name.to_owned(), ticks / ticks_per_second))
}

/// Datagrams that the sockets of this machine had no room for since it started.
pub(super) fn socket_drops() -> u64 {
    let snmp = fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut lines = snmp.lines().filter(|line| line.starts_with("Udp:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return 0;
    };
    let mut fields = names.split_whitespace().zip(values.split_whitespace());
    fields
        .find(|(name, _)| *name == "RcvbufErrors")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

/// Datagrams that `socket` had no room for since it was made.
pub(super) fn drops_of(socket: &UdpSocket) -> u64 {
    // SK_MEMINFO_VARS and SK_MEMINFO_DROPS of linux/sock_diag.h.
    const VARIABLES: usize = 9;
    const DROPS: usize = 8;
    let mut values = [0u32; VARIABLES];
    let mut length = size_of_val(&values) as libc::socklen_t;
    // SAFETY: `values` has room for as many bytes as are said; the descriptor is open.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status == 0 { u64::from(values[DROPS]) } else { 0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_socket_that_nobody_reads_says_what_it_dropped() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let before = socket_drops();
        while drops_of(&socket) == 0 {
            sender.send_to(&[0; 1200], address).unwrap();
        }
        assert!(socket_drops() > before);
        assert_eq!(drops_of(&sender), 0);
    }

    #[test]
    fn names_with_brackets_do_not_shift_the_times() {
        let stat = format!("7 (a (b) c) S {} 150 50 0", ["0"; 10].join(" "));
        let (name, cpu_s) = times(&stat).unwrap();
        assert_eq!(name, "a (b) c");
        assert!(cpu_s > 0.0);
        assert_eq!(times("7 (cut"), None);
    }

    #[test]
    fn this_process_is_found() {
        let usage = Usage::of(std::process::id());
        assert!(usage.rss_bytes > 0 && !usage.threads.is_empty());
        assert_eq!(Usage::of(0).rss_bytes, 0);
    }
}
