//! What the front has done so far, for `/metrics`.

use http::StatusCode;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// Kinds of request that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteClass {
    /// Playback and HLS, served here.
    Media,
    /// Files of the web page, served here.
    Static,
    /// `/healthz` and `/readyz`, passed on.
    Health,
    /// Everything else, passed on.
    Api,
    /// WebSockets, passed on.
    Tunnel,
}

/// Every class, in the order of `Snapshot::requests`.
pub const ROUTE_CLASSES: [RouteClass; 5] = [
    RouteClass::Media,
    RouteClass::Static,
    RouteClass::Health,
    RouteClass::Api,
    RouteClass::Tunnel,
];

/// Running totals; relaxed atomics, so a snapshot may be between two of them.
#[derive(Debug, Default)]
pub struct Counters {
    requests: [[AtomicU64; 5]; 5],
    sent_bytes: [AtomicU64; 5],
    connections_total: AtomicU64,
    connections_open: AtomicU64,
    connections_refused: AtomicU64,
    handshakes_failed: AtomicU64,
}

/// Totals of one class of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassTotals {
    /// Which requests.
    pub class: RouteClass,
    /// Answers by hundreds of their status: `[1xx, 2xx, 3xx, 4xx, 5xx]`.
    pub by_status: [u64; 5],
    /// Bytes of bodies handed to connections; of a tunnel, both ways.
    pub sent_bytes: u64,
}

/// `Counters` at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// One entry per class, in the order of `ROUTE_CLASSES`.
    pub requests: Vec<ClassTotals>,
    /// All requests answered.
    pub requests_total: u64,
    /// Connections accepted.
    pub connections_total: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Connections turned away over the limit.
    pub connections_refused: u64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: u64,
}

impl Counters {
    pub(super) fn answered(&self, class: RouteClass, status: StatusCode) {
        let hundreds = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.requests[class as usize][hundreds].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, class: RouteClass, bytes: u64) {
        self.sent_bytes[class as usize].fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn connection_opened(&self) {
        self.connections_total.fetch_add(1, Ordering::Relaxed);
        self.connections_open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connection_closed(&self) {
        self.connections_open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// The totals now.
    pub fn snapshot(&self) -> Snapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let requests: Vec<ClassTotals> = ROUTE_CLASSES
            .iter()
            .map(|&class| ClassTotals {
                class,
                by_status: std::array::from_fn(|i| load(&self.requests[class as usize][i])),
                sent_bytes: load(&self.sent_bytes[class as usize]),
            })
            .collect();
        Snapshot {
            requests_total: requests.iter().flat_map(|totals| totals.by_status).sum(),
            requests,
            connections_total: load(&self.connections_total),
            connections_open: load(&self.connections_open),
            connections_refused: load(&self.connections_refused),
            handshakes_failed: load(&self.handshakes_failed),
        }
    }
}
