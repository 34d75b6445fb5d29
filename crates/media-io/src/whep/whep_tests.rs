//! The output as a viewer sees it, over loopback.

#![allow(clippy::unwrap_used)]

#[path = "whep_tests/adaptive.rs"]
mod adaptive;
#[path = "whep_tests/profile.rs"]
mod profile;
#[path = "whep_tests/tcp.rs"]
mod tcp;
#[path = "whep_tests/viewer.rs"]
mod viewer;

use super::*;
use crate::clock::SystemClock;
use profile::{forced, forced_for_viewer};
use std::time::Instant;
use str0m::crypto::dtls::SrtpProfile;
use viewer::{Camera, Viewer, clip, output, output_with};

const SECOND: Duration = Duration::from_secs(1);
const NONE: [[u64; 2]; 0] = [];

/// The numbers of video packets between which packets are missing.
fn gaps(viewer: &Viewer) -> Vec<[u64; 2]> {
    let numbers: Vec<u64> = viewer.video().iter().map(|got| got.sequence).collect();
    let pairs = numbers.windows(2).map(|pair| [pair[0], pair[1]]);
    pairs.filter(|[before, after]| *after != before + 1).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_who_joins_late_sees_the_whole_gop_at_once_and_then_follows() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let mut camera = Camera::new(&clock, true);
    for _ in 0..45 {
        camera.show();
    }
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    let opened = Instant::now();
    let mut viewer = Viewer::open(&whep, &hub).await;
    // 45 pictures of the past and 30 of the present.
    assert!(
        viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() >= 80).await,
        "{}",
        viewer.pictures().len()
    );

    let first = viewer.got.iter().find(|got| got.video).unwrap();
    let to_first = first.at - opened;
    assert!(to_first < Duration::from_millis(300), "{to_first:?}");
    // STAP-A with the parameter sets: the key frame opens the stream.
    assert_eq!(first.payload[0] & 0x1f, 24);
    assert_eq!(h264_types_of_aggregate(&first.payload), [7, 8]);
    assert_eq!(gaps(&viewer), NONE);
    let markers = viewer.video().iter().filter(|got| got.marker).count();
    assert!(markers.abs_diff(viewer.pictures().len()) <= 1, "one marker per picture");
    let sound: Vec<_> = viewer.got.iter().filter(|got| !got.video).collect();
    assert!(
        sound.len() >= 20
            && sound
                .windows(2)
                .all(|pair| pair[1].timestamp - pair[0].timestamp == 264)
    );

    let steps: Vec<u32> = viewer
        .pictures()
        .windows(2)
        .map(|pair| pair[1].wrapping_sub(pair[0]))
        .collect();
    let burst: u32 = steps[..44].iter().sum();
    assert!(
        burst < 90 * 300,
        "1.5 s of pictures within {} ms of the stream's clock",
        burst / 90
    );
    assert!(
        steps[60..].iter().all(|step| *step == 3000),
        "then as the camera made them: {steps:?}"
    );

    let stats = whep.stats();
    assert_eq!((stats.viewers, stats.connected, stats.opened), (1, 1, 1));
    assert!(
        stats.burst_units >= 45 && stats.live_units >= 20 && stats.delay.count > 0,
        "{stats:?}"
    );
    running.abort();
}

fn h264_types_of_aggregate(payload: &[u8]) -> Vec<u8> {
    let (mut types, mut rest) = (Vec::new(), &payload[1..]);
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        types.push(after[0] & 0x1f);
        rest = &after[usize::from(u16::from_be_bytes(*length))..];
    }
    types
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_of_one_camera_do_not_disturb_each_other() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let camera = Camera::new(&clock, false);
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut first = Viewer::open(&whep, &hub).await;
    assert!(first.watch(3 * SECOND, |viewer| viewer.pictures().len() > 20).await);
    let mut second = Viewer::open(&whep, &hub).await;
    let more = first.pictures().len() + 20;
    let (first_saw, second_saw) = tokio::join!(
        first.watch(3 * SECOND, |viewer| viewer.pictures().len() > more),
        second.watch(3 * SECOND, |viewer| viewer.pictures().len() > 20)
    );
    assert!(first_saw && second_saw);
    assert_eq!((gaps(&first), gaps(&second)), (NONE.to_vec(), NONE.to_vec()));
    whep.close(&first.session).unwrap();
    assert!(first.watch(SECOND, |viewer| viewer.closed).await, "told");
    let more = second.pictures().len() + 20;
    assert!(second.watch(3 * SECOND, |viewer| viewer.pictures().len() > more).await);
    assert_eq!((whep.viewers(), whep.stats().connected), (1, 1));
    assert_eq!(whep.close(&first.session).unwrap_err().kind(), ErrorKind::NotFound);
    whep.close_hub(&hub);
    assert!(
        second.watch(SECOND, |viewer| viewer.closed).await,
        "the camera was removed"
    );
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_for_a_key_frame_brings_the_gop_again_but_not_without_end() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let mut camera = Camera::new(&clock, false);
    for _ in 0..clip().len() {
        camera.show();
    }
    let mut viewer = Viewer::open(&whep, &camera.hub).await;
    assert!(
        viewer
            .watch(3 * SECOND, |viewer| viewer.pictures().len() == clip().len())
            .await
    );
    // Within a second of the start the request is an echo of what was under way.
    viewer.ask_for_key();
    viewer.watch(SECOND, |_| whep.stats().key_requests == 1).await;
    assert_eq!((whep.stats().key_requests, whep.stats().key_resends), (1, 0));
    viewer.watch(SECOND, |_| false).await;
    for _ in 0..5 {
        viewer.ask_for_key();
        viewer.watch(Duration::from_millis(30), |_| false).await;
    }
    assert!(
        viewer
            .watch(3 * SECOND, |viewer| viewer.pictures().len() == 2 * clip().len())
            .await
    );
    assert_eq!(whep.stats().key_resends, 1, "{:?}", whep.stats());
    assert_eq!(gaps(&viewer), NONE);
    let stamps = viewer.pictures();
    assert!(
        stamps.windows(2).all(|pair| (pair[1].wrapping_sub(pair[0]) as i32) > 0),
        "never back"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_packets_come_again() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let camera = Camera::new(&clock, false);
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    let mut viewer = loop {
        if hub.parameters(0).is_some() {
            break Viewer::open(&whep, &hub).await;
        }
        tokio::task::yield_now().await;
    };
    viewer.loses = |arrived| (arrived > 30 && arrived < 36) || (arrived > 50 && arrived % 25 == 0);
    assert!(viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > 60).await);
    viewer.loses = |_| false;
    viewer.watch(SECOND / 2, |_| false).await;
    assert_eq!(gaps(&viewer), NONE);
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_counted_and_disturbs_nobody() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let camera = Camera::new(&clock, false);
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut viewer = Viewer::open(&whep, &hub).await;
    assert!(viewer.watch(3 * SECOND, |viewer| viewer.pictures().len() > 10).await);
    let port = whep.bound()[0];
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // STUN requests with a user name of nobody, and everything that looks like DTLS, RTP, RTCP or nothing.
    let mut stun = vec![
        0, 1, 0, 16, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, 9,
    ];
    stun.extend_from_slice(b"abcd:efgh\0\0\0");
    // And one that names the session but does not know its password: taken for the viewer's, everything else from the
    // same address would reach the session.
    let name = format!("{}:efgh", viewer.ufrag);
    let mut forged = stun[..22].to_vec();
    forged.extend_from_slice(&(name.len() as u16).to_be_bytes());
    forged.extend_from_slice(name.as_bytes());
    forged.resize(forged.len().next_multiple_of(4), 0);
    forged[3] = (forged.len() - 20) as u8;
    stranger.send_to(&forged, port).await.unwrap();
    let mut sent = 1u64;
    for seed in 0..200u8 {
        let mut datagram: Vec<u8> = (0..=seed).map(|i| i.wrapping_mul(31) ^ seed).collect();
        datagram[0] = [0, 1, 20, 22, 23, 63, 64, 128, 144, 191, 255][usize::from(seed % 11)];
        for bytes in [&datagram[..], &stun[..stun.len() - usize::from(seed) % 30], &[]] {
            stranger.send_to(bytes, port).await.unwrap();
            // From the viewer's own address too: forged, or a viewer gone mad.
            viewer.socket.send_to(bytes, port).await.unwrap();
            sent += 1;
        }
        if seed % 20 == 0 {
            viewer.watch(Duration::from_millis(2), |_| false).await;
        }
    }
    let more = viewer.pictures().len() + 30;
    assert!(
        viewer.watch(4 * SECOND, |viewer| viewer.pictures().len() > more).await,
        "{:?}",
        whep.stats()
    );
    let stats = whep.stats();
    assert!(!viewer.closed);
    assert_eq!(gaps(&viewer), NONE);
    assert!(stats.datagrams_unknown >= sent, "{stats:?}");
    assert!(
        stats.datagrams_malformed > 0 && stats.failed == 0 && stats.viewers == 1,
        "{stats:?}"
    );
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_codec_ends_the_session_so_that_the_viewer_negotiates_anew() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let mut camera = Camera::new(&clock, false);
    camera.show();
    let mut viewer = Viewer::open(&whep, &camera.hub).await;
    assert!(viewer.watch(3 * SECOND, |viewer| !viewer.got.is_empty()).await);
    camera.change_codec();
    assert!(
        viewer
            .watch(SECOND, |viewer| viewer.closed && whep.viewers() == 0)
            .await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutting_down_tells_the_viewers_and_frees_the_port() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let mut camera = Camera::new(&clock, false);
    camera.show();
    let mut viewer = Viewer::open(&whep, &camera.hub).await;
    assert!(viewer.watch(3 * SECOND, |viewer| !viewer.got.is_empty()).await);
    whep.shutdown().await;
    assert!(viewer.watch(SECOND, |viewer| viewer.closed).await);
    assert_eq!(whep.viewers(), 0);
    std::net::UdpSocket::bind(whep.bound()[0]).unwrap();
    let offer = include_str!("offers/chromium_video.sdp");
    assert_eq!(
        whep.open(camera.hub.clone(), offer).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert_eq!(whep.viewers(), 0);
}

#[tokio::test]
async fn limits_and_states_are_told_apart() {
    let clock = SystemClock::new();
    let whep = output(&clock, 2);
    let offer = include_str!("offers/chromium_audio_video.sdp");
    let mut camera = Camera::new(&clock, false);
    let refused = |hub: &Arc<Hub>, offer: &str| whep.open(hub.clone(), offer).unwrap_err();
    let nothing_yet = refused(&camera.hub, offer);
    assert_eq!(
        (nothing_yet.kind(), nothing_yet.message()),
        (ErrorKind::Conflict, "door/main has shown nothing yet")
    );
    camera.show();
    assert_eq!(refused(&camera.hub, "v=0").kind(), ErrorKind::Malformed);
    let (first, _) = whep.open(camera.hub.clone(), offer).unwrap();
    let (second, _) = whep.open(camera.hub.clone(), offer).unwrap();
    assert!(first.len() == 32 && first != second && first.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(refused(&camera.hub, offer).kind(), ErrorKind::Exhausted);
    assert_eq!((whep.viewers(), whep.stats().refused), (2, 3));

    let trickle = "a=ice-ufrag:vMY8\r\na=mid:0\r\na=candidate:1 1 udp 2 x.local 9 typ host\r\na=end-of-candidates\r\n";
    whep.patch(&first, trickle).unwrap();
    assert_eq!(whep.patch(&first, "hello").unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(
        whep.patch(&first, &"a=x\n".repeat(5000)).unwrap_err().kind(),
        ErrorKind::Malformed
    );
    let restart = trickle.replace("vMY8", "wNZ9");
    let refused = whep.patch(&first, &restart).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.message()),
        (
            ErrorKind::Unsupported,
            "ICE restart (ufrag wNZ9): close this session and open a new one instead"
        )
    );
    assert_eq!(whep.patch("nobody", trickle).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(whep.close("nobody").unwrap_err().kind(), ErrorKind::NotFound);

    whep.close(&first).unwrap();
    while whep.viewers() == 2 {
        tokio::task::yield_now().await;
    }
    whep.open(camera.hub.clone(), offer).unwrap();
}

/// One viewer sees a GOP and what follows, loses packets and gets them again, asks for a key frame, and is told the end.
async fn plays(profile: SrtpProfile, send_path: SendPath) {
    let clock = SystemClock::new();
    let whep = output_with(&clock, forced(profile), send_path);
    let mut camera = Camera::new(&clock, true);
    for _ in 0..30 {
        camera.show();
    }
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    let mut viewer = Viewer::open_with(&whep, &hub, forced_for_viewer(profile)).await;
    // str0m asks for no more than the last hundred packets, less than a burst: losses come after it.
    let played = viewer.watch(8 * SECOND, |viewer| viewer.pictures().len() > 45).await;
    assert!(played, "{profile} {send_path:?}: {:?}", whep.stats());
    viewer.loses = |arrived| arrived % 20 == 0;
    let played = viewer.watch(8 * SECOND, |viewer| viewer.pictures().len() > 75).await;
    assert!(played, "{profile} {send_path:?}: {:?}", whep.stats());
    viewer.loses = |_| false;
    viewer.watch(SECOND / 2, |viewer| gaps(viewer) == NONE).await;
    viewer.ask_for_key();
    let asked = viewer.watch(3 * SECOND, |_| whep.stats().key_resends == 1).await;
    assert!(asked, "{profile} {send_path:?}: {:?}", whep.stats());
    let stats = whep.stats();
    assert_eq!(gaps(&viewer), NONE, "{profile} {send_path:?} {stats:?}");
    assert!(viewer.got.iter().any(|got| !got.video), "sound");
    assert!(stats.retransmissions > 0 && stats.receiver_reports > 0, "{stats:?}");
    assert_eq!((stats.datagrams_malformed, stats.send_errors), (0, 0), "{stats:?}");
    whep.close(&viewer.session).unwrap();
    assert!(viewer.watch(SECOND, |viewer| viewer.closed).await, "told");
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_srtp_profile_plays() {
    for profile in SrtpProfile::ALL {
        plays(*profile, SendPath::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_send_method_plays() {
    for method in [SendMethod::Segmented, SendMethod::Batched, SendMethod::Single] {
        let send_path = SendPath {
            shards: Some(2),
            method: Some(method),
        };
        plays(SrtpProfile::AEAD_AES_128_GCM, send_path).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_whose_address_changes_is_followed() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let camera = Camera::new(&clock, false);
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut viewer = Viewer::open(&whep, &hub).await;
    assert!(viewer.watch(3 * SECOND, |viewer| viewer.pictures().len() > 10).await);
    viewer.change_address().await;
    // Within the next consent check and the time that its old address may be silent.
    assert!(
        viewer.watch(8 * SECOND, |_| whep.stats().moves == 1).await,
        "{:?}",
        whep.stats()
    );
    let more = viewer.pictures().len() + 30;
    assert!(viewer.watch(3 * SECOND, |viewer| viewer.pictures().len() > more).await);
    // It reports from there: nobody doubts it.
    viewer.watch(7 * SECOND, |_| false).await;
    assert_eq!((whep.stats().viewers, viewer.closed), (1, false));
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_on_several_shards_see_the_same() {
    let clock = SystemClock::new();
    let send_path = SendPath {
        shards: Some(3),
        method: None,
    };
    let whep = output_with(&clock, str0m::crypto::from_feature_flags(), send_path);
    let camera = Camera::new(&clock, false);
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut watching = tokio::task::JoinSet::new();
    // More than one shard takes before the next one helps.
    for _ in 0..40 {
        let mut viewer = Viewer::open(&whep, &hub).await;
        watching.spawn(async move {
            let played = viewer.watch(15 * SECOND, |viewer| viewer.pictures().len() > 20).await;
            // Open until everyone has seen enough.
            viewer.watch(3 * SECOND, |_| false).await;
            (played, gaps(&viewer))
        });
    }
    while let Some(result) = watching.join_next().await {
        assert_eq!(result.unwrap(), (true, NONE.to_vec()));
    }
    assert_eq!(whep.stats().shards, 3);
    running.abort();
}

/// A worker that keeps the times, and the bytes too, but not up: it takes 20 ms for each unit.
const SLOW_WORKER: &str = "
import json, struct, sys, time
rate = json.loads(sys.stdin.buffer.readline())['clock_rate']
answer = lambda *record: (sys.stdout.buffer.write(b''.join(record)), sys.stdout.buffer.flush())
answer(struct.pack('<BqI', 2, 0, 0))
while unit := sys.stdin.buffer.read(12):
    pts, size = struct.unpack('<qI', unit)
    sound = sys.stdin.buffer.read(size)
    time.sleep(0.02)
    answer(struct.pack('<BqI', 0, pts * 48000 // rate, size), sound)
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aac_of_a_camera_comes_as_opus_in_step_with_its_pictures() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    whep.transcode_with(["python3", "-c", SLOW_WORKER].map(str::to_owned).to_vec());
    let mut camera = Camera::with_aac(&clock);
    camera.show();
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    let mut viewer = Viewer::open(&whep, &hub).await;
    // Three key frames, the first of them from the cache, and the reports after them.
    let beeps = |viewer: &Viewer| viewer.got.iter().filter(|got| got.payload == b"beep").count();
    assert!(
        viewer.watch(12 * SECOND, |viewer| beeps(viewer) >= 2).await,
        "{:?}",
        whep.stats()
    );
    viewer.watch(SECOND * 3 / 2, |_| false).await;
    let begins_gop = |got: &&viewer::Got| got.video && got.payload[0] & 0x1f == 24;
    let seen: Vec<f64> = viewer
        .got
        .iter()
        .filter(begins_gop)
        .map(|got| viewer.instant_s(true, got.timestamp).unwrap())
        .collect();
    for beep in viewer.got.iter().filter(|got| got.payload == b"beep") {
        let heard = viewer.instant_s(false, beep.timestamp).unwrap();
        let apart = seen.iter().map(|seen| (seen - heard).abs()).fold(f64::MAX, f64::min);
        assert!(apart < 0.005, "{:.1} ms apart", apart * 1000.0);
    }
    let sound: Vec<_> = viewer.got.iter().filter(|got| !got.video).collect();
    assert!(
        sound.iter().all(|got| !got.marker),
        "no talk spurt begins: nothing was left out"
    );
    assert!(
        sound
            .windows(2)
            .all(|pair| pair[1].timestamp - pair[0].timestamp <= 1602),
        "nothing dropped"
    );
    let stats = whep.stats();
    assert_eq!((stats.transcoders_running, stats.transcoder_restarts), (1, 0));
    whep.close(&viewer.session).unwrap();
    let ended = viewer
        .watch(5 * SECOND, |_| whep.stats().transcoders_running == 0)
        .await;
    assert!(ended, "{:?}", whep.stats());
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_worker_the_pictures_of_an_aac_camera_come_alone() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let mut camera = Camera::with_aac(&clock);
    camera.show();
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    let mut viewer = Viewer::open(&whep, &hub).await;
    assert!(viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > 20).await);
    assert!(viewer.got.iter().all(|got| got.video));
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_that_fall_silent_disturb_nobody_and_are_forgotten() {
    let clock = SystemClock::new();
    let whep = output(&clock, 40);
    let camera = Camera::new(&clock, false);
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let holders = Arc::strong_count(&hub);
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut silent = Viewer::open(&whep, &hub).await;
        assert!(silent.watch(5 * SECOND, |silent| !silent.got.is_empty()).await);
        stalled.push(silent);
    }
    let mut viewer = Viewer::open(&whep, &hub).await;
    assert!(viewer.watch(5 * SECOND, |viewer| !viewer.got.is_empty()).await);
    // Nobody reads their sockets any more, and nobody answers for them.
    let gone = viewer.watch(14 * SECOND, |_| whep.stats().viewers == 1).await;
    assert!(gone, "{:?}", whep.stats());
    assert_eq!((whep.stats().timed_out, whep.stats().connected), (20, 1));
    assert_eq!(gaps(&viewer), NONE);
    drop(stalled);
    whep.close(&viewer.session).unwrap();
    viewer.watch(SECOND, |viewer| viewer.closed).await;
    viewer.watch(SECOND, |_| Arc::strong_count(&hub) == holders).await;
    assert_eq!(Arc::strong_count(&hub), holders, "nothing holds on to the camera");
    running.abort();
}

/// An output on a free port of `ip` that routers forward to from `public`.
fn output_at(ip: &str, public: &[&str]) -> Arc<Whep> {
    let listen = Listen {
        udp: vec![SocketAddr::new(ip.parse().unwrap(), 0)],
        public: public.iter().map(|text| text.parse().unwrap()).collect(),
        ..Listen::default()
    };
    let limits = Limits { max_viewers: 10 };
    let runtime = Handle::current();
    Whep::start_with(&runtime, &listen, limits, SystemClock::new(), SendPath::default()).unwrap()
}

#[tokio::test]
async fn viewers_are_told_of_public_addresses() {
    let whep = output_at("127.0.0.1", &["203.0.113.7:18189", "198.51.100.1", "2001:db8::7"]);
    let mut camera = Camera::new(&SystemClock::new(), false);
    camera.show();
    let offer = include_str!("offers/chromium_audio_video.sdp");
    let (_, answer) = whep.open(camera.hub.clone(), offer).unwrap();
    let port = whep.bound()[0].port();
    let candidates: Vec<Vec<&str>> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .map(|line| line.split(' ').collect())
        .collect();
    let own = port.to_string();
    // Nothing listens by IPv6.
    let mut told: Vec<_> = candidates.iter().map(|c| (c[2], c[4], c[5])).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("udp", "127.0.0.1", own.as_str()),
            ("udp", "198.51.100.1", own.as_str()),
            ("udp", "203.0.113.7", "18189"),
        ],
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_by_ipv6_sees_the_same() {
    if let Err(error) = std::net::UdpSocket::bind("[::1]:0") {
        eprintln!("skipped: this kernel has no IPv6 loopback: {error}");
        return;
    }
    let whep = output_at("::1", &[]);
    let camera = Camera::new(&SystemClock::new(), false);
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut viewer = Viewer::open_at(&whep, &hub, "::1").await;
    let played = viewer.watch(4 * SECOND, |viewer| viewer.pictures().len() > 20).await;
    assert!(played, "{:?}", whep.stats());
    assert_eq!(gaps(&viewer), NONE);
    running.abort();
}

#[test]
fn every_address_of_the_machine_is_listened_on() {
    let Listen { udp, tcp, .. } = Listen::everywhere(8189, 0);
    assert_eq!((tcp, Listen::everywhere(1, 8189).tcp), (Vec::new(), udp.clone()));
    assert_eq!(udp[0], "0.0.0.0:8189".parse().unwrap());
    let has_ipv6 = std::net::UdpSocket::bind("[::]:0").is_ok();
    assert_eq!(udp.get(1), has_ipv6.then(|| "[::]:8189".parse().unwrap()).as_ref());
}

/// A clock that breaks the thread of the first shard when told to.
struct BrokenClock {
    inner: Arc<SystemClock>,
    breaks: std::sync::atomic::AtomicBool,
}

impl Clock for BrokenClock {
    fn utc_us(&self) -> i64 {
        let breaks = self.breaks.load(std::sync::atomic::Ordering::Relaxed);
        assert!(!breaks || std::thread::current().name() != Some("vms-webrtc-0"));
        self.inner.utc_us()
    }

    fn monotonic_us(&self) -> u64 {
        self.inner.monotonic_us()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_dies_ends_its_viewers_and_gets_no_more() {
    let clock = SystemClock::new();
    let broken = Arc::new(BrokenClock {
        inner: clock.clone(),
        breaks: false.into(),
    });
    let listen = Listen {
        udp: vec!["127.0.0.1:0".parse().unwrap()],
        ..Listen::default()
    };
    let send_path = SendPath {
        shards: Some(2),
        ..SendPath::default()
    };
    let limits = Limits { max_viewers: 10 };
    let whep = Whep::start_with(&Handle::current(), &listen, limits, broken.clone(), send_path).unwrap();
    let camera = Camera::new(&clock, false);
    let hub = camera.hub.clone();
    let running = tokio::spawn(camera.run());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut first = Viewer::open(&whep, &hub).await;
    assert!(first.watch(3 * SECOND, |viewer| !viewer.got.is_empty()).await);
    broken.breaks.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(
        first.watch(3 * SECOND, |viewer| viewer.closed).await,
        "told to come again"
    );
    // The goodbye leaves before the session is counted out.
    let since = Instant::now();
    while whep.viewers() > 0 && since.elapsed() < SECOND {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let stats = whep.stats();
    assert_eq!((stats.viewers, stats.connected, stats.failed), (0, 0, 1));
    let mut again = Viewer::open(&whep, &hub).await;
    assert!(again.watch(3 * SECOND, |viewer| viewer.pictures().len() > 20).await);
    running.abort();
    whep.shutdown().await;
}
