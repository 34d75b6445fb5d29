#![allow(clippy::unwrap_used)]

use super::*;
use media_core::Codec;
use media_core::index::GapCause;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

fn parameters(codec: Codec) -> Arc<TrackParameters> {
    Arc::new(TrackParameters {
        codec,
        clock_rate: 90_000,
        configuration: Bytes::from_static(&[1, 0xab]),
        width: 640,
        height: 360,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 0,
    })
}

fn unit(track: u8, pts: i64, key: bool, data: Vec<u8>, parameters: &Arc<TrackParameters>) -> Arc<AccessUnit> {
    Arc::new(AccessUnit {
        track,
        pts,
        dts: pts,
        utc_us: pts * 1000,
        received_us: 0,
        key,
        discontinuity: false,
        lost_packets: 0,
        data: data.into(),
        parameters: parameters.clone(),
    })
}

struct Bench {
    taps: Taps,
    hub: Arc<Hub>,
    video: Arc<TrackParameters>,
}

impl Bench {
    fn new() -> Self {
        Self {
            taps: Taps::new(Handle::current()),
            hub: Hub::new("door/sub", 1 << 20),
            video: parameters(Codec::H264),
        }
    }

    fn tap(&self, options: TapOptions) -> (u64, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (self.taps.open(&self.hub, ours.into(), options).unwrap(), theirs)
    }

    fn show(&self, pts: i64, key: bool, size: usize) {
        self.hub.publish(&unit(0, pts, key, vec![pts as u8; size], &self.video));
    }
}

/// (kind, track, flags, pts, dropped, bytes behind)
type Read1 = (u8, u8, u16, i64, u32, Vec<u8>);

/// Off the runtime's threads: this blocks.
fn records(mut reader: UnixStream) -> Vec<Read1> {
    let mut found = Vec::new();
    let mut head = [0; HEADER_BYTES];
    while reader.read_exact(&mut head).is_ok() {
        assert_eq!(&head[..4], MAGIC);
        let bytes = u32::from_le_bytes(head[28..32].try_into().unwrap());
        let mut behind = vec![0; bytes as usize];
        reader.read_exact(&mut behind).unwrap();
        found.push((
            head[4],
            head[5],
            u16::from_le_bytes(head[6..8].try_into().unwrap()),
            i64::from_le_bytes(head[8..16].try_into().unwrap()),
            u32::from_le_bytes(head[24..28].try_into().unwrap()),
            behind,
        ));
    }
    found
}

async fn read(reader: UnixStream) -> Vec<Read1> {
    tokio::task::spawn_blocking(move || records(reader)).await.unwrap()
}

async fn until(is: impl Fn() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_are_those_of_the_format() {
    let bench = Bench::new();
    let (number, mut reader) = bench.tap(TapOptions::default());
    bench.hub.publish(&unit(0, 0x0102, true, vec![7, 8, 9], &bench.video));
    bench.hub.interrupt(GapCause::Network);
    bench.taps.close(number);
    let mut all = Vec::new();
    tokio::task::spawn_blocking(move || {
        reader.read_to_end(&mut all).unwrap();
        let json =
            br#"{"codec":"h264","clock_rate":90000,"configuration":"01ab","width":640,"height":360,"channels":0}"#;
        let mut golden = b"TAP1\x01\0\0\0".to_vec();
        golden.extend([0; 20]);
        golden.extend([json.len() as u8, 0, 0, 0]);
        golden.extend(json);
        golden.extend(b"TAP1\x02\0\x01\0\x02\x01\0\0\0\0\0\0\xd0\xef\x03\0\0\0\0\0\0\0\0\0\x03\0\0\0\x07\x08\x09");
        golden.extend(b"TAP1\x03\0\0\0");
        golden.extend([0; 24]);
        assert_eq!(all, golden);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tap_begins_at_the_key_frame_that_is_kept_and_tells_changed_parameters() {
    let mut bench = Bench::new();
    bench.show(1, true, 10);
    bench.show(2, false, 10);
    let (number, reader) = bench.tap(TapOptions::default());
    bench.hub.publish(&unit(1, 5, true, vec![1], &parameters(Codec::Aac)));
    bench.show(3, false, 10);
    bench.video = parameters(Codec::H265);
    bench.show(4, true, 10);
    bench.taps.close(number);
    let found = read(reader).await;
    let told: Vec<(u8, i64)> = found.iter().map(|r| (r.0, r.3)).collect();
    assert_eq!(told, [(1, 0), (2, 1), (2, 2), (2, 3), (1, 0), (2, 4)]);
    assert!(String::from_utf8_lossy(&found[4].5).contains("h265"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_choose_tracks_and_key_frames() {
    let bench = Bench::new();
    let everything = TapOptions {
        all_tracks: true,
        key_frames_only: true,
    };
    let (number, reader) = bench.tap(everything);
    bench.show(1, true, 10);
    bench.show(2, false, 10);
    bench.hub.publish(&unit(1, 5, true, vec![1], &parameters(Codec::Aac)));
    bench.show(3, true, 10);
    bench.taps.close(number);
    let units: Vec<(u8, i64)> = read(reader)
        .await
        .iter()
        .filter(|r| r.0 == UNIT)
        .map(|r| (r.1, r.3))
        .collect();
    assert_eq!(units, [(0, 1), (1, 5), (0, 3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_costs_whole_gops_and_no_time() {
    let bench = Bench::new();
    let (number, reader) = bench.tap(TapOptions::default());
    let started = Instant::now();
    for gop in 0..20 {
        bench.show(gop * 10, true, 400_000);
        for picture in 1..4 {
            bench.show(gop * 10 + picture, false, 100_000);
        }
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let dropped = bench.taps.counters().units_dropped;
    assert!((20..75).contains(&dropped), "{dropped}");
    let reading = tokio::spawn(read(reader));
    until(|| bench.hub_is_taken(&bench.taps)).await;
    bench.show(1000, false, 10);
    bench.show(1001, true, 10);
    bench.taps.close(number);
    let units: Vec<Read1> = reading.await.unwrap().into_iter().filter(|r| r.0 == UNIT).collect();
    for (before, after) in units.iter().zip(&units[1..]) {
        assert!(
            after.2 & KEY != 0 || after.3 == before.3 + 1,
            "{} follows {}: no decoder can use it",
            after.3,
            before.3
        );
    }
    let told: u32 = units.iter().map(|r| r.4).sum();
    assert_eq!(u64::from(told), bench.taps.counters().units_dropped);
    assert_eq!(units.last().unwrap().3, 1001);
}

impl Bench {
    /// Whether nothing waits any more.
    fn hub_is_taken(&self, taps: &Taps) -> bool {
        let state = taps.state.lock();
        state
            .1
            .values()
            .filter_map(|known| known.tap.upgrade())
            .all(|tap| tap.inner.state.lock().queue.is_empty())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_frame_larger_than_the_queue_still_passes() {
    let bench = Bench::new();
    let (number, reader) = bench.tap(TapOptions::default());
    bench.show(1, true, QUEUE_BYTES + 5);
    bench.taps.close(number);
    let found = read(reader).await;
    assert_eq!(found.last().unwrap().5.len(), QUEUE_BYTES + 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_ends_the_tap() {
    let bench = Bench::new();
    let (_number, reader) = bench.tap(TapOptions::default());
    drop(reader);
    until(|| {
        bench.show(1, true, 10);
        bench.taps.counters().open == 0
    })
    .await;
    let held = Arc::strong_count(&bench.hub);
    assert_eq!(held, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_goes_away_ends_the_tap_and_its_reader_sees_the_end() {
    let mut bench = Bench::new();
    let (_number, reader) = bench.tap(TapOptions::default());
    bench.show(1, true, 10);
    bench.hub = Hub::new("other", 0);
    assert_eq!(read(reader).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_waited_for_is_refused() {
    let bench = Bench::new();
    let file = tempfile::tempfile().unwrap();
    let refused = bench.taps.open(&bench.hub, file.into(), TapOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(bench.taps.counters(), TapCounters::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tap_that_is_closed_does_not_wait_for_its_reader_for_ever() {
    let bench = Bench::new();
    let (number, reader) = bench.tap(TapOptions::default());
    bench.show(1, true, 1 << 20);
    let tap = bench.taps.state.lock().1.values().next().unwrap().tap.clone();
    bench.taps.close(number);
    until(|| tap.strong_count() == 0).await;
    tokio::time::sleep(LINGER + Duration::from_millis(200)).await;
    // The writing end is closed although nothing was read: what the socket holds, then the end.
    let mut held = Vec::new();
    tokio::task::spawn_blocking(move || {
        let mut reader = reader;
        reader.read_to_end(&mut held).unwrap();
        assert!(held.len() < 1 << 20);
    })
    .await
    .unwrap();
}
