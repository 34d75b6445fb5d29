//! Whom the reception keeps and where it sends them, without a network.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::clock::SystemClock;
use crate::hub::GOP_CACHE_BYTES;
use crate::whep::batch::Path;
use crate::whep::handshake::Handshake;
use crate::whep::negotiation::Identity;
use crate::whep::outgoing::Outgoing;
use crate::whep::session::SILENT_AFTER;
use crate::whep::viewer::Streams;
use media_core::{Codec, TrackParameters};
use std::sync::mpsc::{Receiver, channel};
use tokio::sync::mpsc::unbounded_channel;

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    reception: Reception,
    hub: Arc<Hub>,
    told: Vec<Receiver<shard::Command>>,
    now: Instant,
}

/// A reception with one session that nobody has connected to.
fn bench(shards: usize) -> Bench {
    let parameters = TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: vec![1, 0x4d, 0x40, 0x1f, 0xff, 0xe0, 0].into(),
        width: 0,
        height: 0,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 0,
    };
    let now = Instant::now();
    let offer = include_str!("offers/chromium_video.sdp");
    let identity = Identity::new().unwrap();
    let agreed = identity.agree("a", offer, &parameters, None, &[], false, now).unwrap();
    let hub = Hub::new("a", GOP_CACHE_BYTES);
    let streams = Streams {
        video: Outgoing::new(agreed.video, 0, 0, 0),
        audio: None,
        cname: agreed.cname,
        ladder: None,
    };
    let handshake = Handshake::new(agreed.rtc, agreed.dtls, now);
    let session = Session::new("id".to_owned(), hub.clone(), None, handshake, streams, now);
    let outside = Arc::new(Outside::new(Vec::new(), Arc::default(), SystemClock::new()));
    let (senders, told) = (0..shards).map(|_| channel()).unzip();
    let (_, commands) = unbounded_channel();
    let mut reception = Reception::new(
        outside,
        identity.sha1_hmac(),
        commands,
        OpenSessions::default(),
        senders,
    );
    reception.open(session);
    Bench {
        reception,
        hub,
        told,
        now,
    }
}

fn path() -> Path {
    Path {
        socket: 0,
        source: "127.0.0.1".parse().unwrap(),
        destination: "127.0.0.1:9".parse().unwrap(),
    }
}

/// A viewer whose media goes by `path` since `now`.
pub(crate) fn connected(path: Path, now: Instant) -> Connected {
    let mut bench = bench(1);
    let State::Connecting(connecting) = std::mem::replace(&mut bench.session().state, State::Over) else {
        panic!("connected before");
    };
    Connected::new(connecting.0.into_dtls(), 0, path, now, Arc::default())
}

impl Bench {
    fn session(&mut self) -> &mut Session {
        self.reception.sessions.get_mut(&0).unwrap()
    }

    /// As after a handshake, the viewer on the first shard.
    fn connect(&mut self) -> Arc<AtomicU64> {
        let heard_us = Arc::new(AtomicU64::new(0));
        let State::Connecting(connecting) = std::mem::replace(&mut self.session().state, State::Over) else {
            panic!("connected before");
        };
        let dtls = connecting.0.into_dtls();
        let state = Connected::new(dtls, 0, path(), self.now, heard_us.clone());
        self.session().state = State::Connected(state);
        self.reception.loads[0] = 1;
        let id = feed_of(&self.hub);
        let viewers = vec![1; self.told.len()];
        self.reception.shows.insert(id, viewers);
        count(&self.reception.outside.counters.connected, 1);
        heard_us
    }

    fn is_known(&self) -> bool {
        self.reception.sessions.contains_key(&0)
    }

    fn timed_out(&self) -> u64 {
        self.reception.outside.counters.read(0).timed_out
    }
}

#[test]
fn who_never_connects_is_given_up() {
    let mut bench = bench(1);
    let just_before = bench.now + CONNECT_WITHIN - SECOND;
    bench.reception.tick(0, just_before);
    assert!(bench.is_known());
    let wake_at = bench.reception.sessions[&0].wake_at(&bench.reception.outside);
    assert!(wake_at <= bench.now + CONNECT_WITHIN);
    bench.reception.tick(0, bench.now + CONNECT_WITHIN);
    assert!(!bench.is_known());
    assert_eq!(bench.timed_out(), 1);
    assert!(bench.reception.by_ufrag.is_empty() && bench.reception.by_id.is_empty());
    assert!(bench.told[0].try_recv().is_err(), "no shard has heard of it");
}

#[test]
fn who_falls_silent_is_given_up_and_its_shard_is_told() {
    let mut bench = bench(1);
    let heard_us = bench.connect();
    let origin = bench.reception.outside.instant(0);
    bench.reception.tick(0, origin + SILENT_AFTER - SECOND);
    assert!(bench.is_known());
    // Reports of the viewer, which its shard has read, count as much as its consent.
    heard_us.store(5_000_000, Ordering::Relaxed);
    bench.reception.tick(0, origin + SILENT_AFTER);
    assert!(bench.is_known());
    bench.reception.tick(0, origin + SILENT_AFTER + 5 * SECOND);
    assert!(!bench.is_known());
    assert!(matches!(bench.told[0].try_recv(), Ok(shard::Command::Leave(0))));
    let stats = bench.reception.outside.counters.read(0);
    assert_eq!((stats.timed_out, stats.connected), (1, 0));
    assert!(bench.reception.shows.is_empty() && bench.reception.loads == [0]);
    assert_eq!(Arc::strong_count(&bench.hub), 1, "nothing of the session is left");
}

#[test]
fn a_viewer_whose_stream_is_removed_counts_for_the_one_that_is_left() {
    let mut bench = bench(2);
    bench.connect();
    let (main, sub) = (bench.hub.clone(), Hub::new("a/sub", GOP_CACHE_BYTES));
    bench.session().sub = Some(sub.clone());
    bench.reception.shows.insert(feed_of(&main), vec![1, 0]);
    bench.reception.obey(Command::CloseHub(main.clone()));
    assert!(matches!(bench.told[0].try_recv(), Ok(shard::Command::Forsake(0, _))));
    assert_eq!(bench.reception.shows.len(), 1);
    assert_eq!(bench.reception.shows[&feed_of(&sub)], [1, 0]);
    // The other one, or the first once more: nothing is left, or nobody is meant.
    bench.reception.obey(Command::CloseHub(main));
    assert!(bench.is_known());
    bench.reception.obey(Command::CloseHub(sub));
    assert!(!bench.is_known() && bench.reception.shows.is_empty());
}

#[test]
fn one_timer_stands_for_a_session() {
    let mut bench = bench(1);
    bench.connect();
    for _ in 0..100 {
        bench.reception.schedule(0);
    }
    // One for the handshake, one for the silence.
    assert!(bench.reception.timers.len() <= 2);
}

#[test]
fn feedback_goes_to_the_shard_and_the_rest_does_not() {
    let mut bench = bench(2);
    bench.connect();
    let viewer: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let local: SocketAddr = "127.0.0.1:8".parse().unwrap();
    bench.reception.by_address.insert(viewer, 0);
    for datagram in [
        &[0x80u8, 201, 0, 1][..],
        &[0x80, 96, 0, 1],
        &[64, 0],
        &[20, 0],
        &[0x80],
        &[],
    ] {
        assert!(bench.reception.dispatch(datagram, viewer, local));
    }
    assert!(
        !bench.reception.dispatch(&[0x80, 201, 0, 1], local, local),
        "a stranger"
    );
    bench.reception.receive();
    match bench.told[0].try_recv() {
        Ok(shard::Command::Feedback(datagrams)) => {
            assert_eq!(datagrams, [(0, Box::from([0x80u8, 201, 0, 1]))]);
        }
        _ => panic!("no feedback"),
    }
    assert!(bench.told[1].try_recv().is_err());
    assert_eq!(bench.reception.outside.counters.read(0).datagrams_malformed, 4);
}
