#![allow(clippy::unwrap_used)]

use super::*;
use media_core::AccessUnit;
use std::time::Instant;

/// A worker that does what the units say: sends them back, dies, hangs, tells its process id, and so on.
const OBEDIENT: &str = "
import json, os, struct, sys, time
head = json.loads(sys.stdin.buffer.readline())
answer = lambda *record: (sys.stdout.buffer.write(b''.join(record)), sys.stdout.buffer.flush())
answer(struct.pack('<BqI', 2, 0, 0))
while unit := sys.stdin.buffer.read(12):
    pts, size = struct.unpack('<qI', unit)
    word = sys.stdin.buffer.read(size)
    if word == b'die':
        os._exit(1)
    if word == b'hang':
        time.sleep(1000)
    if word == b'nonsense':
        answer(b'x' * 13)
    if word == b'malformed':
        answer(struct.pack('<BqI', 1, 2, 0))
        continue
    if word == b'large':
        answer(struct.pack('<BqI', 0, 0, 1 << 31))
    told = {b'pid': str(os.getpid()).encode(), b'header': head['configuration'].encode()}.get(word, word)
    answer(struct.pack('<BqI', 0, pts * 48000 // head['clock_rate'], len(told)), told)
";

/// What listeners were handed, all together; each is a sink of its own.
#[derive(Default)]
struct Heard(Arc<Mutex<Vec<Arc<AccessUnit>>>>);

impl Sink for Heard {
    fn push(&self, unit: &Arc<AccessUnit>) -> bool {
        self.0.lock().push(unit.clone());
        true
    }

    fn interrupt(&self, _cause: media_core::index::GapCause) {}
}

struct Bench {
    transcoders: Arc<Transcoders>,
    counters: Arc<Counters>,
    hub: Arc<Hub>,
    heard: Arc<Heard>,
    parameters: Arc<TrackParameters>,
    published: Mutex<i64>,
}

fn aac(configuration: &'static [u8]) -> Arc<TrackParameters> {
    Arc::new(TrackParameters {
        codec: Codec::Aac,
        clock_rate: 16_000,
        channels: 1,
        configuration: Bytes::from_static(configuration),
        ..opus()
    })
}

impl Bench {
    fn new(command: &[&str]) -> Self {
        let counters = Arc::new(Counters::default());
        let transcoders = Transcoders::new(Handle::current(), counters.clone());
        transcoders.use_command(command.iter().map(|word| (*word).to_owned()).collect());
        Self {
            transcoders,
            counters,
            hub: Hub::new("door/main", 0),
            heard: Arc::default(),
            parameters: aac(&[0x14, 0x08]),
            published: Mutex::new(0),
        }
    }

    fn obedient() -> Self {
        Self::new(&["python3", "-c", OBEDIENT])
    }

    fn listen(&self) -> Listening {
        let sink: Arc<dyn Sink> = Arc::new(Heard(self.heard.0.clone()));
        self.transcoders.listen(&self.hub, &sink).unwrap()
    }

    fn say(&self, word: &[u8]) {
        let mut published = self.published.lock();
        *published += 1;
        let pts = 16_000 * 1_700_000_000 + *published * 1024;
        self.hub.publish(&Arc::new(AccessUnit {
            track: 1,
            pts,
            dts: pts,
            utc_us: 5_000_000 + *published * 64_000,
            received_us: 7,
            key: true,
            discontinuity: false,
            lost_packets: 0,
            data: Bytes::copy_from_slice(word),
            parameters: self.parameters.clone(),
        }));
    }

    fn words(&self) -> Vec<String> {
        let heard = self.heard.0.lock();
        heard
            .iter()
            .map(|unit| String::from_utf8_lossy(&unit.data).into_owned())
            .collect()
    }

    /// Says `word` until it comes back: a worker that starts is not ready for the first.
    async fn say_until_heard(&self, word: &str) {
        let before = self.words().len();
        self.until(|| {
            self.say(word.as_bytes());
            self.words()[before..].iter().any(|heard| heard == word)
        })
        .await;
    }

    async fn until(&self, is: impl Fn() -> bool) {
        let started = Instant::now();
        while !is() {
            assert!(started.elapsed() < Duration::from_secs(20), "{:?}", self.counters);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn running(&self) -> u64 {
        self.counters.read(0).transcoders_running
    }

    fn restarts(&self) -> u64 {
        self.counters.read(0).transcoder_restarts
    }

    /// The process id of the worker that runs.
    async fn pid(&self) -> String {
        let pid = || self.words().into_iter().find(|word| word.parse::<u32>().is_ok());
        self.until(|| {
            self.say(b"pid");
            pid().is_some()
        })
        .await;
        pid().unwrap()
    }
}

/// Whether a process is there, be it as a zombie.
fn exists(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid).exists()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_serves_all_listeners_of_a_stream_and_ends_after_the_last() {
    let bench = Bench::obedient();
    let holders = Arc::strong_count(&bench.hub);
    let (first, second) = (bench.listen(), bench.listen());
    let pid = bench.pid().await;
    assert_eq!(bench.running(), 1);
    drop(first);
    // Longer than a worker goes on without listeners.
    tokio::time::sleep(2 * GRACE).await;
    bench.say_until_heard("still").await;
    drop(second);
    let third = bench.listen();
    tokio::time::sleep(2 * GRACE).await;
    bench.say_until_heard("again").await;
    assert!(exists(&pid) && bench.restarts() == 0, "the same worker all the time");
    drop(third);
    bench.until(|| bench.running() == 0 && !exists(&pid)).await;
    bench.until(|| Arc::strong_count(&bench.hub) == holders).await;
    let told = bench.words().len();
    bench.say(b"nobody");
    assert_eq!(bench.words().len(), told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_keep_the_times_of_the_units_they_are_made_of() {
    let bench = Bench::obedient();
    let _listening = bench.listen();
    bench.say_until_heard("now").await;
    let unit = bench.heard.0.lock().last().unwrap().clone();
    assert_eq!(
        (unit.track, unit.parameters.codec, unit.parameters.clock_rate),
        (1, Codec::Opus, 48_000)
    );
    let number = (unit.pts - 48_000 * 1_700_000_000) / 3072;
    assert_eq!(unit.pts, 48_000 * 1_700_000_000 + number * 3072);
    // The camera's clock and the server's differ; the packet's server time is that of its own instant.
    assert_eq!(unit.utc_us, 5_000_000 + number * 64_000);
    bench.say(b"malformed");
    bench
        .until(|| bench.counters.read(0).transcoder_units_malformed == 2)
        .await;
    let units = bench.words().len();
    bench.say(&[b'x'; 9000]);
    bench.say_until_heard("then").await;
    assert_eq!(
        bench.counters.read(0).transcoder_units_malformed,
        3,
        "too large for AAC"
    );
    assert!(bench.words()[units..].iter().all(|word| word == "then"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_or_talks_nonsense_is_started_anew() {
    for deed in ["die", "nonsense", "large"] {
        let bench = Bench::obedient();
        let _listening = bench.listen();
        let pid = bench.pid().await;
        bench.say(deed.as_bytes());
        bench.until(|| bench.restarts() == 1).await;
        bench.until(|| !exists(&pid)).await;
        bench.say_until_heard("alive").await;
        assert_eq!((bench.running(), bench.restarts()), (1, 1), "{deed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_holds_nobody_up_and_is_replaced() {
    let bench = Bench::obedient();
    let _listening = bench.listen();
    let pid = bench.pid().await;
    bench.say(b"hang");
    let started = Instant::now();
    for _ in 0..200 {
        bench.say(&[b'.'; 4000]);
    }
    assert!(
        started.elapsed() < Duration::from_millis(200),
        "{:?}",
        started.elapsed()
    );
    assert!(
        bench.counters.read(0).transcoder_units_dropped > 50,
        "{:?}",
        bench.counters
    );
    bench.until(|| bench.restarts() == 1 && !exists(&pid)).await;
    bench.say_until_heard("alive").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_sound_gets_another_worker_at_once() {
    let mut bench = Bench::obedient();
    let _listening = bench.listen();
    let header = |bench: &Bench, configuration: &str| bench.words().iter().any(|word| word == configuration);
    bench
        .until(|| {
            bench.say(b"header");
            header(&bench, "1408")
        })
        .await;
    bench.parameters = aac(&[0x12, 0x10]);
    bench
        .until(|| {
            bench.say(b"header");
            header(&bench, "1210")
        })
        .await;
    assert_eq!((bench.running(), bench.restarts()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_cannot_run_is_tried_less_and_less_often() {
    for program in ["/nonexistent/worker", "false"] {
        let bench = Bench::new(&[program]);
        let _listening = bench.listen();
        let started = Instant::now();
        bench
            .until(|| {
                bench.say(b"x");
                bench.restarts() == 3
            })
            .await;
        assert!(started.elapsed() >= FIRST_PAUSE * 3, "{:?}", started.elapsed());
        assert_eq!(bench.running(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_that_needs_no_worker_starts_none() {
    let mut bench = Bench::obedient();
    let _listening = bench.listen();
    bench.parameters = Arc::new(opus());
    for _ in 0..10 {
        bench.say(b"opus");
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((bench.running(), bench.words().len()), (0, 0));
    assert!(Arc::ptr_eq(
        &bench.transcoders.heard_as(&bench.parameters),
        &bench.parameters
    ));
    let without = Bench::new(&[]);
    let sink: Arc<dyn Sink> = without.heard.clone();
    assert!(without.transcoders.listen(&without.hub, &sink).is_none());
    assert_eq!(without.transcoders.heard_as(&without.parameters).codec, Codec::Aac);
}

#[test]
fn pictures_wait_for_sound_as_long_as_it_is_known_to_take() {
    let waits = |codec, clock_rate| {
        shown_after_ms(&TrackParameters {
            codec,
            clock_rate,
            ..opus()
        })
    };
    assert_eq!(waits(Codec::Aac, 16_000), (111, 500));
    assert_eq!(waits(Codec::Aac, 48_000), (68, 500));
    assert_eq!(waits(Codec::PcmA, 8000), (0, 500));
    for strange in [0, 1] {
        assert_eq!(waits(Codec::Aac, strange), (500, 500));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_ends_with_the_output() {
    let bench = Bench::obedient();
    let _listening = bench.listen();
    let pid = bench.pid().await;
    bench.transcoders.stop();
    tokio::time::timeout(Duration::from_secs(5), bench.transcoders.stopped())
        .await
        .unwrap();
    assert!(!exists(&pid));
    assert_eq!(bench.running(), 0);
    let sink: Arc<dyn Sink> = bench.heard.clone();
    assert!(bench.transcoders.listen(&bench.hub, &sink).is_none());
}
