//! Viewers by TCP (RFC 6544), and others who connect.

use super::viewer::Connection;
use super::*;
use str0m::ice::{StunMessage, TransId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An output with UDP and TCP on free ports of 127.0.0.1.
fn output_with_tcp() -> Arc<Whep> {
    let listen = Listen {
        udp: vec!["127.0.0.1:0".parse().unwrap()],
        tcp: vec!["127.0.0.1:0".parse().unwrap()],
        ..Listen::default()
    };
    let limits = Limits { max_viewers: 100 };
    let runtime = Handle::current();
    Whep::start_with(&runtime, &listen, limits, SystemClock::new(), SendPath::default()).unwrap()
}

/// A camera that shows pictures already.
async fn running_camera() -> (Arc<Hub>, JoinHandle<()>) {
    let camera = Camera::new(&SystemClock::new(), true);
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    tokio::time::sleep(Duration::from_millis(100)).await;
    (hub, running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_by_tcp_sees_everything_and_is_told_the_end() {
    let whep = output_with_tcp();
    let (hub, running) = running_camera().await;
    let mut viewer = Viewer::open_tcp(&whep, &hub).await;
    let played = viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > 60).await;
    assert!(played, "{} {:?}", viewer.pictures().len(), whep.stats());
    assert_eq!(gaps(&viewer), NONE);
    assert!(viewer.got.iter().any(|got| !got.video), "sound");
    let stats = whep.stats();
    assert_eq!((stats.connected, stats.tcp_connections, stats.tcp_refused), (1, 1, 0));
    let nothing_wrong = stats.send_errors + stats.units_dropped + stats.datagrams_malformed + stats.datagrams_unknown;
    assert_eq!(nothing_wrong, 0, "{stats:?}");
    viewer.ask_for_key();
    let asked = viewer.watch(3 * SECOND, |_| whep.stats().key_requests == 1).await;
    assert!(asked, "what it says is heard: {:?}", whep.stats());
    whep.close(&viewer.session).unwrap();
    assert!(viewer.watch(SECOND, |viewer| viewer.closed).await, "told");
    let ended = |viewer: &Viewer| viewer.connection.as_ref().unwrap().ended;
    assert!(viewer.watch(2 * SECOND, ended).await, "and closed");
    assert_eq!((whep.viewers(), whep.stats().tcp_connections), (0, 0));
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_who_reads_slowly_loses_whole_pictures_and_delays_nobody() {
    let whep = output_with_tcp();
    let (hub, running) = running_camera().await;
    let mut slow = Viewer::open_tcp(&whep, &hub).await;
    assert!(slow.watch(5 * SECOND, |slow| slow.pictures().len() > 10).await);
    // Its kernel takes no more than some pictures.
    let connection = slow.connection.as_mut().unwrap();
    socket2::SockRef::from(&connection.stream)
        .set_recv_buffer_size(32 << 10)
        .unwrap();
    let mut quick = Viewer::open(&whep, &hub).await;
    assert!(quick.watch(5 * SECOND, |quick| quick.pictures().len() > 10).await);
    let before = quick.pictures().len();
    // Nobody reads the connection.
    let stalled = quick.watch(9 * SECOND, |_| whep.stats().units_dropped > 60).await;
    assert!(stalled, "{:?}", whep.stats());
    let stats = whep.stats();
    assert_eq!(gaps(&quick), NONE);
    assert!(quick.pictures().len() - before > 60);
    assert!(stats.delay.p95_us < 50_000 && stats.send_errors == 0, "{stats:?}");

    // It reads again: whole pictures of the past second, then from a key frame on what is now.
    let read = slow.pictures().len();
    let resumed = slow.watch(6 * SECOND, |slow| slow.pictures().len() > read + 60).await;
    assert!(resumed, "{} after {read}: {:?}", slow.pictures().len(), whep.stats());
    assert_eq!(gaps(&slow), NONE, "no packet of what was sent is missing");
    let mut markers: Vec<u32> = slow
        .video()
        .iter()
        .filter(|got| got.marker)
        .map(|got| got.timestamp)
        .collect();
    markers.dedup();
    let pictures = slow.pictures();
    // The newest may be under way.
    assert!(markers.len() + 1 >= pictures.len(), "every picture has its end");
    running.abort();
}

/// Whether the output closes `stream` within `limit`.
async fn is_closed(stream: &mut TcpStream, limit: Duration) -> bool {
    let mut buffer = [0; 1000];
    let reads_end = async {
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    tokio::time::timeout(limit, reads_end).await.is_ok()
}

fn frame(datagram: &[u8]) -> Vec<u8> {
    let mut framed = (datagram.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(datagram);
    framed
}

/// A binding request for session `ufrag` that is not signed.
fn unsigned(ufrag: &str) -> Vec<u8> {
    let name = format!("{ufrag}:efgh");
    let mut request = vec![
        0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6,
    ];
    request.extend_from_slice(&(name.len() as u16).to_be_bytes());
    request.extend_from_slice(name.as_bytes());
    request.resize(request.len().next_multiple_of(4), 0);
    request[3] = (request.len() - 20) as u8;
    request
}

/// A binding request for session `ufrag` that is signed with its password.
fn signed(ufrag: &str, password: &str) -> Vec<u8> {
    let hmac = str0m::crypto::from_feature_flags().sha1_hmac_provider;
    let name = format!("{ufrag}:efgh");
    let request = StunMessage::binding_request(&name, TransId::new(), true, 7, 9, false);
    let mut bytes = vec![0; 256];
    let sha1 = |key: &[u8], parts: &[&[u8]]| hmac.sha1_hmac(key, parts);
    let length = request.to_bytes(Some(password.as_bytes()), &mut bytes, sha1).unwrap();
    bytes.truncate(length);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_closed_and_disturb_nobody() {
    let whep = output_with_tcp();
    let (hub, running) = running_camera().await;
    let mut viewer = Viewer::open_tcp(&whep, &hub).await;
    assert!(viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > 10).await);
    let address = whep.bound_tcp()[0];
    let session = unsigned(&viewer.ufrag);
    let garbage: [Vec<u8>; 7] = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        frame(b""),
        frame(&[22; 100]),
        frame(&[0x80, 201, 0, 1]),
        frame(&unsigned("nobody")),
        frame(&session),
        // A length that no datagram has.
        [&[0x08, 0x01][..], &[0; 100]].concat(),
    ];
    for bytes in &garbage {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let closed = is_closed(&mut stream, 2 * SECOND).await;
        assert!(closed, "at once: {bytes:?}");
    }
    viewer.watch(SECOND, |_| whep.stats().tcp_connections == 1).await;
    assert_eq!(whep.stats().tcp_refused, garbage.len() as u64, "{:?}", whep.stats());

    // Half open, and one byte at a time: their time runs out.
    let opened = Instant::now();
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut drip = TcpStream::connect(address).await.unwrap();
    let dripping = tokio::spawn(async move {
        for byte in frame(&session) {
            if drip.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!(is_closed(&mut drip, SECOND).await);
    });
    let (watched, closed) = tokio::join!(
        viewer.watch(7 * SECOND, |_| opened.elapsed() > 6 * SECOND),
        is_closed(&mut silent, 7 * SECOND)
    );
    assert!(watched && closed);
    dripping.abort();
    assert_eq!(whep.stats().tcp_connections, 1, "the viewer's");
    assert_eq!(gaps(&viewer), NONE);
    assert!(!viewer.closed && whep.stats().failed == 0);
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connections_is_bounded() {
    let whep = output_with_tcp();
    let (hub, running) = running_camera().await;
    let mut viewer = Viewer::open_tcp(&whep, &hub).await;
    assert!(viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > 5).await);
    let mut flood = Vec::new();
    for _ in 0..300 {
        flood.push(TcpStream::connect(whep.bound_tcp()[0]).await.unwrap());
    }
    viewer.watch(SECOND, |_| whep.stats().tcp_refused >= 172).await;
    let stats = whep.stats();
    assert_eq!((stats.tcp_connections, stats.tcp_refused), (129, 172), "{stats:?}");
    let more = viewer.pictures().len() + 20;
    assert!(viewer.watch(3 * SECOND, |viewer| viewer.pictures().len() > more).await);
    drop(flood);
    assert!(viewer.watch(2 * SECOND, |_| whep.stats().tcp_connections == 1).await);
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_known_viewer_sends_amiss_ends_its_connection_or_nothing() {
    let whep = output_with_tcp();
    let (hub, running) = running_camera().await;
    let mut viewer = Viewer::open_tcp(&whep, &hub).await;
    let mut other = Viewer::open(&whep, &hub).await;
    assert!(viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > 5).await);
    assert!(other.watch(5 * SECOND, |other| other.pictures().len() > 5).await);
    let connection = viewer.connection.as_mut().unwrap();
    for datagram in [&[][..], &[64; 50], &[0x80, 201, 0, 1], &[22; 60]] {
        connection.send(datagram).await;
    }
    let more = viewer.pictures().len() + 20;
    assert!(viewer.watch(3 * SECOND, |viewer| viewer.pictures().len() > more).await);
    assert!(whep.stats().datagrams_malformed >= 3, "{:?}", whep.stats());
    // In the name of another session: its connection is no way into that one.
    let connection = viewer.connection.as_mut().unwrap();
    connection.send(&signed(&other.ufrag, &other.password)).await;
    let ended = |viewer: &Viewer| viewer.connection.as_ref().unwrap().ended;
    assert!(viewer.watch(2 * SECOND, ended).await);
    assert!(other.watch(SECOND, |other| other.got.len() > 100).await);
    // Without a way to it the session falls silent.
    let forgotten = other.watch(13 * SECOND, |_| whep.viewers() == 1).await;
    assert!(forgotten && gaps(&other) == NONE, "{:?}", whep.stats());
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutting_down_ends_connections_and_frees_the_port() {
    let whep = output_with_tcp();
    let (hub, running) = running_camera().await;
    let mut viewer = Viewer::open_tcp(&whep, &hub).await;
    assert!(viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > 5).await);
    let address = whep.bound_tcp()[0];
    let mut stranger = Connection::to(address).await;
    let (_, told) = tokio::join!(whep.shutdown(), viewer.watch(2 * SECOND, |viewer| viewer.closed));
    assert!(told);
    assert!(is_closed(&mut stranger.stream, SECOND).await);
    assert_eq!(whep.stats().tcp_connections, 0);
    Listener::bind(address).unwrap();
    running.abort();
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let first = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = Listener::bind(first.local()).map(|_| ()).unwrap_err();
    let message = format!("WebRTC TCP port {}: another process has it", first.local());
    assert_eq!((error.kind(), error.message()), (ErrorKind::Conflict, message.as_str()));
}
