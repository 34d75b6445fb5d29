//! Counters of the WebRTC output and the delay that it adds.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the WebRTC output has done since its start.
#[derive(Debug, Clone, Copy, Serialize, Default, PartialEq, Eq)]
pub struct WhepStats {
    /// Sessions open now, connected or not yet.
    pub viewers: u64,
    /// Sessions connected (ICE and DTLS) now.
    pub connected: u64,
    /// Sessions ever opened.
    pub opened: u64,
    /// Offers refused: malformed, no common codec, too many viewers, nothing to show.
    pub refused: u64,
    /// Sessions that ended because the viewer fell silent or never connected.
    pub timed_out: u64,
    /// Sessions ended by an error of the protocol stack.
    pub failed: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Datagrams that belong to no session.
    pub datagrams_unknown: u64,
    /// Datagrams of a session that are no STUN, DTLS, SRTP or SRTCP.
    pub datagrams_malformed: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Bytes sent, as UDP payload.
    pub bytes_sent: u64,
    /// Datagrams that the operating system refused to send.
    pub send_errors: u64,
    /// Video units handed to viewers at the live edge (one per viewer and picture).
    pub live_units: u64,
    /// Video units handed to viewers out of the GOP cache.
    pub burst_units: u64,
    /// B pictures left out because WebRTC cannot put pictures in order.
    pub reordered_units_dropped: u64,
    /// Units dropped because a queue was full.
    pub units_dropped: u64,
    /// Units that could not be packetized.
    pub units_malformed: u64,
    /// Requests for a key frame (PLI, FIR).
    pub key_requests: u64,
    /// Requests answered by sending the GOP again.
    pub key_resends: u64,
    /// Packets that viewers asked for again.
    pub nacked_packets: u64,
    /// Packets sent again.
    pub retransmissions: u64,
    /// Packets asked for that were too old, just sent again, or more than a viewer may have.
    pub retransmissions_refused: u64,
    /// Receiver reports of viewers.
    pub receiver_reports: u64,
    /// RTCP, STUN and DTLS datagrams of connected viewers that sent too many.
    pub feedback_refused: u64,
    /// Viewers that were followed to another address.
    pub moves: u64,
    /// Changes of a viewer from the sub to the main stream of its camera.
    pub switches_up: u64,
    /// Changes of a viewer from the main to the sub stream.
    pub switches_down: u64,
    /// Viewers now that are sent the sub stream but would be sent the main stream in a larger tile or on a wider path.
    pub viewers_on_sub: u64,
    /// Worker processes that make Opus of AAC now.
    pub transcoders_running: u64,
    /// Workers that died or hung, each followed by a new one.
    pub transcoder_restarts: u64,
    /// Opus packets that workers made.
    pub transcoded_packets: u64,
    /// AAC units dropped because a worker was too slow.
    pub transcoder_units_dropped: u64,
    /// AAC units that cannot be decoded.
    pub transcoder_units_malformed: u64,
    /// TCP connections open now, those included that nobody knows yet.
    pub tcp_connections: u64,
    /// TCP connections closed because there were too many, or because they did not prove in time to be a viewer's.
    pub tcp_refused: u64,
    /// Threads that serve viewers.
    pub shards: u64,
    /// How datagrams are handed to the kernel: `segmented`, `batched`, `single`.
    pub send_method: &'static str,
    /// From the last byte read from the camera to the last packet of the unit handed to the network, live units only.
    pub delay: DelayStats,
}

/// Quantiles of a delay in µs, with 6 % resolution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DelayStats {
    /// Number of measurements.
    pub count: u64,
    /// Median.
    pub p50_us: u64,
    /// 95th percentile.
    pub p95_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Greatest.
    pub max_us: u64,
}

/// The counters behind [`WhepStats`], shared between those who serve viewers and those who ask.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connected: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) datagrams_received: AtomicU64,
    pub(super) datagrams_unknown: AtomicU64,
    pub(super) datagrams_malformed: AtomicU64,
    pub(super) datagrams_sent: AtomicU64,
    pub(super) bytes_sent: AtomicU64,
    pub(super) send_errors: AtomicU64,
    pub(super) live_units: AtomicU64,
    pub(super) burst_units: AtomicU64,
    pub(super) reordered_units_dropped: AtomicU64,
    pub(super) units_dropped: AtomicU64,
    pub(super) units_malformed: AtomicU64,
    pub(super) key_requests: AtomicU64,
    pub(super) key_resends: AtomicU64,
    pub(super) nacked_packets: AtomicU64,
    pub(super) retransmissions: AtomicU64,
    pub(super) retransmissions_refused: AtomicU64,
    pub(super) receiver_reports: AtomicU64,
    pub(super) feedback_refused: AtomicU64,
    pub(super) moves: AtomicU64,
    pub(super) switches_up: AtomicU64,
    pub(super) switches_down: AtomicU64,
    pub(super) viewers_on_sub: AtomicU64,
    pub(super) transcoders_running: AtomicU64,
    pub(super) transcoder_restarts: AtomicU64,
    pub(super) transcoded_packets: AtomicU64,
    pub(super) transcoder_units_dropped: AtomicU64,
    pub(super) transcoder_units_malformed: AtomicU64,
    pub(super) tcp_refused: AtomicU64,
    pub(super) delay: DelayHistogram,
}

/// Adds to a counter.
pub(super) fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Counters {
    /// The counters now; `viewers`, shards, the send method and TCP connections are known to the caller.
    pub(super) fn read(&self, viewers: u64) -> WhepStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WhepStats {
            viewers,
            connected: of(&self.connected),
            opened: of(&self.opened),
            refused: of(&self.refused),
            timed_out: of(&self.timed_out),
            failed: of(&self.failed),
            datagrams_received: of(&self.datagrams_received),
            datagrams_unknown: of(&self.datagrams_unknown),
            datagrams_malformed: of(&self.datagrams_malformed),
            datagrams_sent: of(&self.datagrams_sent),
            bytes_sent: of(&self.bytes_sent),
            send_errors: of(&self.send_errors),
            live_units: of(&self.live_units),
            burst_units: of(&self.burst_units),
            reordered_units_dropped: of(&self.reordered_units_dropped),
            units_dropped: of(&self.units_dropped),
            units_malformed: of(&self.units_malformed),
            key_requests: of(&self.key_requests),
            key_resends: of(&self.key_resends),
            nacked_packets: of(&self.nacked_packets),
            retransmissions: of(&self.retransmissions),
            retransmissions_refused: of(&self.retransmissions_refused),
            receiver_reports: of(&self.receiver_reports),
            feedback_refused: of(&self.feedback_refused),
            moves: of(&self.moves),
            switches_up: of(&self.switches_up),
            switches_down: of(&self.switches_down),
            viewers_on_sub: of(&self.viewers_on_sub),
            transcoders_running: of(&self.transcoders_running),
            transcoder_restarts: of(&self.transcoder_restarts),
            transcoded_packets: of(&self.transcoded_packets),
            transcoder_units_dropped: of(&self.transcoder_units_dropped),
            transcoder_units_malformed: of(&self.transcoder_units_malformed),
            tcp_connections: 0,
            tcp_refused: of(&self.tcp_refused),
            shards: 0,
            send_method: "",
            delay: self.delay.read(),
        }
    }
}

/// Sixteen buckets per power of two, up to 2^32 µs.
const BUCKETS: usize = 16 * 29;

/// A histogram of delays in µs that many threads may add to and read.
pub(super) struct DelayHistogram {
    buckets: Box<[AtomicU64; BUCKETS]>,
    max_us: AtomicU64,
}

impl Default for DelayHistogram {
    fn default() -> Self {
        Self {
            buckets: Box::new([const { AtomicU64::new(0) }; BUCKETS]),
            max_us: AtomicU64::new(0),
        }
    }
}

impl std::fmt::Debug for DelayHistogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read().fmt(f)
    }
}

impl DelayHistogram {
    pub(super) fn record(&self, us: u64) {
        self.buckets[bucket_of(us)].fetch_add(1, Ordering::Relaxed);
        self.max_us.fetch_max(us, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> DelayStats {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let max_us = self.max_us.load(Ordering::Relaxed);
        let quantile = |hundredths: u64| {
            let rank = (count * hundredths).div_ceil(100);
            let mut seen = 0;
            let bucket = counts.iter().position(|n| {
                seen += n;
                seen >= rank && *n > 0
            });
            bucket.map_or(0, |b| greatest_of(b).min(max_us))
        };
        DelayStats {
            count,
            p50_us: quantile(50),
            p95_us: quantile(95),
            p99_us: quantile(99),
            max_us,
        }
    }
}

fn bucket_of(us: u64) -> usize {
    let us = us.min(u64::from(u32::MAX));
    if us < 16 {
        return us as usize;
    }
    let power = us.ilog2() as usize;
    (power - 3) * 16 + (us >> (power - 4) & 15) as usize
}

fn greatest_of(bucket: usize) -> u64 {
    if bucket < 16 {
        return bucket as u64;
    }
    let power = bucket / 16 + 3;
    let width = 1u64 << (power - 4);
    (16 + bucket as u64 % 16) * width + width - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_every_delay_within_a_sixteenth() {
        let mut us = 0u64;
        while us < 1 << 33 {
            let greatest = greatest_of(bucket_of(us));
            let capped = us.min(u64::from(u32::MAX));
            assert!(
                greatest >= capped && greatest <= capped + capped / 16,
                "{us}: {greatest}"
            );
            us = us * 9 / 8 + 1;
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles() {
        let histogram = DelayHistogram::default();
        assert_eq!(histogram.read(), DelayStats::default());
        for us in 1..=1000 {
            histogram.record(us);
        }
        let read = histogram.read();
        assert_eq!((read.count, read.max_us), (1000, 1000));
        for (got, exact) in [(read.p50_us, 500), (read.p95_us, 950), (read.p99_us, 990)] {
            assert!(got >= exact && got <= exact * 17 / 16, "{got} for {exact}");
        }
    }
}
