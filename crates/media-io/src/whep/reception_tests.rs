//! Whom the reception keeps and where it sends them, without a network.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::clock::SystemClock;
use crate::hub::GOP_CACHE_BYTES;
use crate::whep::batch::Path;
use crate::whep::datagram::DatagramSocket;
use crate::whep::handshake::Handshake;
use crate::whep::keys::Dtls;
use crate::whep::negotiation::Identity;
use crate::whep::outgoing::Outgoing;
use crate::whep::session::{Connected, SILENT_AFTER};
use crate::whep::viewer::Streams;
use media_core::{Codec, TrackParameters};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, channel};
use str0m::ice::{StunMessage, TransId};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    reception: Reception,
    hub: Arc<Hub>,
    told: Vec<Receiver<shard::Command>>,
    orders: UnboundedSender<Command>,
    now: Instant,
}

/// A reception with one session that nobody has connected to.
fn bench(shards: usize) -> Bench {
    bench_at(shards, Vec::new())
}

/// The same with sockets.
fn bench_at(shards: usize, sockets: Vec<DatagramSocket>) -> Bench {
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
        instants: Arc::default(),
    };
    let handshake = Handshake::new(agreed.rtc, agreed.dtls, now);
    let session = Session::new("id".to_owned(), hub.clone(), None, handshake, streams, now);
    let outside = Arc::new(Outside::new(sockets, Arc::default(), SystemClock::new()));
    let (senders, told): (Vec<_>, _) = (0..shards).map(|_| channel()).unzip();
    let senders = senders.into_iter().map(ShardHandle::new).collect();
    let (orders, commands) = unbounded_channel();
    let (_, arrived) = mpsc::channel(1);
    let mut reception = Reception::new(
        outside,
        identity.sha1_hmac(),
        commands,
        arrived,
        OpenSessions::default(),
        senders,
    );
    reception.open(session);
    Bench {
        reception,
        hub,
        told,
        orders,
        now,
    }
}

fn path() -> Path {
    Path {
        carrier: Carrier::Socket(0),
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

    /// A signed binding request of the viewer.
    fn request(&mut self, nominates: bool) -> Vec<u8> {
        let session = &self.reception.sessions[&0];
        let name = format!("{}:viewer", session.ufrag);
        let message = StunMessage::binding_request(&name, TransId::new(), true, 7, 9, nominates);
        let mut bytes = vec![0; 256];
        let sha1 = |key: &[u8], parts: &[&[u8]]| self.reception.hmac.sha1_hmac(key, parts);
        let length = message
            .to_bytes(Some(session.password.as_bytes()), &mut bytes, sha1)
            .unwrap();
        bytes.truncate(length);
        bytes
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
    bench.reception.by_address.insert(viewer, 0);
    for datagram in [
        &[0x80u8, 201, 0, 1][..],
        &[0x80, 96, 0, 1],
        &[64, 0],
        &[20, 0],
        &[0x80],
        &[],
    ] {
        assert!(bench.reception.dispatch(datagram, &by_udp(viewer)));
    }
    assert!(
        !bench
            .reception
            .dispatch(&[0x80, 201, 0, 1], &by_udp("127.0.0.1:8".parse().unwrap())),
        "a stranger"
    );
    bench.reception.pass_feedback_on();
    match bench.told[0].try_recv() {
        Ok(shard::Command::Feedback(datagrams)) => {
            assert_eq!(datagrams, [(0, viewer, Box::from([0x80u8, 201, 0, 1]))]);
        }
        _ => panic!("no feedback"),
    }
    assert!(bench.told[1].try_recv().is_err());
    assert_eq!(bench.reception.outside.counters.read(0).datagrams_malformed, 4);
}

#[tokio::test]
async fn the_end_waits_for_nothing_when_it_was_told_behind_other_commands() {
    let mut bench = bench(1);
    bench.orders.send(Command::Close("id".to_owned())).unwrap();
    bench.orders.send(Command::Shutdown).unwrap();
    // No timer of the session either: without it nothing would happen for an hour.
    bench.reception.timers.clear();
    tokio::time::timeout(SECOND, bench.reception.run(Doorbell::hang(&[]).unwrap()))
        .await
        .unwrap();
    assert!(matches!(bench.told[0].try_recv(), Ok(shard::Command::Stop)));
}

#[tokio::test]
async fn a_reception_that_dies_leaves_no_session_open() {
    for panics in [true, false] {
        let mut bench = bench(1);
        bench.connect();
        let open = bench.reception.open.clone();
        let outside = bench.reception.outside.clone();
        open.lock().insert("id".to_owned(), OpenSession::default());
        if panics {
            // A viewer of a shard that there is not.
            let State::Connected(connected) = &mut bench.session().state else {
                panic!("not connected");
            };
            connected.shard = 7;
            bench.orders.send(Command::Resize("id".to_owned(), 1)).unwrap();
        }
        let running = tokio::spawn(bench.reception.run(Doorbell::hang(&[]).unwrap()));
        tokio::task::yield_now().await;
        running.abort();
        assert_eq!(running.await.unwrap_err().is_panic(), panics);
        assert!(open.lock().is_empty());
        assert_eq!(outside.counters.read(0).connected, 0);
        assert!(outside.connections.is_stopped());
    }
}

#[tokio::test]
async fn shards_end_with_a_reception_that_is_cut_off() {
    let bench = bench(2);
    let running = tokio::spawn(bench.reception.run(Doorbell::hang(&[]).unwrap()));
    tokio::task::yield_now().await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    for told in bench.told {
        assert!(matches!(told.recv_timeout(SECOND), Ok(shard::Command::Stop)));
    }
}

/// A datagram of `viewer` by UDP.
fn by_udp(viewer: SocketAddr) -> Origin {
    Origin {
        local: "127.0.0.1:8".parse().unwrap(),
        viewer,
        carrier: Carrier::Socket(0),
    }
}

#[test]
fn dtls_that_breaks_ends_its_own_session_only() {
    for end in [None, Some(End::Left)] {
        let mut bench = bench(1);
        bench.connect();
        let State::Connected(connected) = &mut bench.session().state else {
            panic!("not connected");
        };
        connected.dtls = Dtls::broken();
        let viewer: SocketAddr = "127.0.0.1:9".parse().unwrap();
        bench.reception.by_address.insert(viewer, 0);
        match end {
            // A DTLS record of nonsense, which anyone can forge.
            None => assert!(bench.reception.dispatch(&[22; 40], &by_udp(viewer))),
            Some(end) => bench.reception.remove(0, end),
        }
        assert!(!bench.is_known());
        assert!(matches!(bench.told[0].try_recv(), Ok(shard::Command::Leave(0))));
        let stats = bench.reception.outside.counters.read(0);
        assert_eq!((stats.failed, stats.connected), (1, 0), "{end:?}");
    }
}

#[test]
fn a_flood_of_requests_and_handshakes_ends_here() {
    for stun in [true, false] {
        let mut bench = bench(1);
        bench.connect();
        let viewer: SocketAddr = "127.0.0.1:9".parse().unwrap();
        bench.reception.by_address.insert(viewer, 0);
        let datagram = if stun { bench.request(false) } else { vec![22; 40] };
        for _ in 0..3000 {
            bench.reception.dispatch(&datagram, &by_udp(viewer));
        }
        let stats = bench.reception.outside.counters.read(0);
        // A slow test may take a second and earn more.
        let refused = stats.feedback_refused;
        assert!((1000..=2900).contains(&refused), "STUN {stun}: {refused}");
        if stun {
            // Nothing here has a socket: every answer is an error.
            assert_eq!(stats.send_errors, 3000 - refused);
        }
        assert!(bench.is_known());
    }
}

#[test]
fn addresses_are_forgotten_but_never_the_one_in_use() {
    let mut bench = bench(1);
    bench.connect();
    let in_use = path().destination;
    for port in 9..=60 {
        let request = bench.request(false);
        let source = SocketAddr::new(in_use.ip(), port);
        assert!(bench.reception.dispatch(&request, &by_udp(source)));
    }
    assert_eq!(bench.session().addresses.len(), 16);
    assert_eq!(bench.reception.by_address.len(), 16);
    assert!(bench.reception.by_address.contains_key(&in_use));
    assert!(
        bench
            .reception
            .by_address
            .contains_key(&SocketAddr::new(in_use.ip(), 60))
    );
}

#[tokio::test]
async fn replayed_requests_move_nothing_and_keep_nobody_alive() {
    let socket = DatagramSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut bench = bench_at(1, vec![socket]);
    let heard_us = bench.connect();
    let in_use = path().destination;
    let elsewhere: SocketAddr = "127.0.0.1:10".parse().unwrap();
    let take = |bench: &mut Bench, request: &[u8], source| {
        heard_us.store(0, Ordering::Relaxed);
        // Later than the start, by the clock of the output.
        while bench.reception.outside.us(Instant::now()) == 0 {}
        assert!(bench.reception.dispatch(request, &by_udp(source)));
        heard_us.load(Ordering::Relaxed) > 0
    };
    let nominating = bench.request(true);
    assert!(take(&mut bench, &nominating, in_use), "consent");
    assert!(!take(&mut bench, &nominating, in_use), "the same once more");
    assert!(!take(&mut bench, &nominating, elsewhere));
    assert_eq!(bench.reception.outside.counters.read(0).moves, 0);
    assert!(!bench.reception.by_address.contains_key(&elsewhere));
    assert!(bench.told[0].try_recv().is_err());
    let plain = bench.request(false);
    assert!(!take(&mut bench, &plain, elsewhere), "consent for another path");
    let nominating = bench.request(true);
    assert!(take(&mut bench, &nominating, elsewhere), "the viewer's own wish");
    assert!(matches!(bench.told[0].try_recv(), Ok(shard::Command::Move(0, path)) if path.destination == elsewhere));
    assert_eq!(bench.reception.outside.counters.read(0).moves, 1);
}
