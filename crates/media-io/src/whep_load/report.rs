//! What a run measured, as JSON.

use serde::Serialize;
use std::collections::BTreeMap;

/// Percentiles by nearest rank.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// Values measured; the rest is 0 when there are none.
    pub count: usize,
    /// Half lie at or below.
    pub p50: f64,
    /// 95 % lie at or below.
    pub p95: f64,
    /// 99 % lie at or below.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Distribution {
    /// Of values in µs, in ms.
    pub(super) fn of_us(mut values: Vec<u32>) -> Self {
        values.sort_unstable();
        let at = |share: f64| {
            let rank = (share * values.len() as f64).ceil() as usize;
            let value = values.get(rank.clamp(1, values.len().max(1)) - 1);
            value.map_or(0.0, |us| f64::from(*us) / 1000.0)
        };
        Self {
            count: values.len(),
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

/// What a run measured. Counts of packets are those of the window, of viewers that watch.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Viewers that were to watch.
    pub viewers: usize,
    /// Of these, connected when the window began.
    pub connected: usize,
    /// Connected when it ended.
    pub connected_at_end: usize,
    /// Why the others did not connect, and how many.
    pub failures: BTreeMap<String, usize>,
    /// SRTP profiles agreed on, and how many viewers have them.
    pub profiles: BTreeMap<String, usize>,
    /// From the offer's POST to the first video packet.
    pub time_to_first_packet_ms: Distribution,
    /// Length of the window.
    pub window_s: f64,
    /// RTP packets received, video and audio, without repairs.
    pub packets: u64,
    /// Their bytes, UDP payload.
    pub bytes: u64,
    /// Packets of repair received.
    pub retransmitted: u64,
    /// Packets of the window that never came, also not by repair until half a second after it.
    pub lost: u64,
    /// Packets that came by repair alone.
    pub repaired: u64,
    /// Packets thrown away on purpose (`lose_percent`).
    pub thrown_away: u64,
    /// From the camera's send time to the viewer's socket, of pictures in the window, by a sample of viewers.
    pub delay_ms: Distribution,
    /// The same of pictures sent after a viewer's connection and before the window.
    pub joining_delay_ms: Distribution,
    /// CPU time of this process in the window, as a share of one core.
    pub client_cores: f64,
    /// Datagrams that full sockets of this machine dropped in the window, whoever's but those of stalled viewers: loss
    /// that is not the server's.
    pub socket_drops: u64,
    /// Datagrams sent by hostile viewers in the window.
    pub hostile_datagrams: u64,
    /// The server, when its process is known.
    pub server: Option<ServerReport>,
}

/// CPU and memory of the server.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServerReport {
    /// CPU time in the window, user and system, as a share of one core.
    pub cores: f64,
    /// The same, per packet that viewers received (repairs included).
    pub cpu_us_per_packet: f64,
    /// Before the first viewer.
    pub rss_before_bytes: u64,
    /// At the end of the window.
    pub rss_bytes: u64,
    /// [`LoadOptions::afterwards`](super::LoadOptions::afterwards) after the last viewer has left.
    pub rss_afterwards_bytes: u64,
    /// CPU time of its busiest threads in the window, as a share of one core, by name.
    pub threads: BTreeMap<String, f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let all = Distribution::of_us((1..=100).rev().map(|n| n * 1000).collect());
        assert_eq!(
            (all.count, all.p50, all.p95, all.p99, all.max),
            (100, 50.0, 95.0, 99.0, 100.0)
        );
        let one = Distribution::of_us(vec![7000]);
        assert_eq!((one.p50, one.p99, one.max), (7.0, 7.0, 7.0));
        assert_eq!(Distribution::of_us(Vec::new()), Distribution::default());
    }
}
