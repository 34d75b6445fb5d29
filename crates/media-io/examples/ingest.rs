//! Receives camera streams and says what came and what it cost:
//! `cargo run --release -p media-io --example ingest -- --seconds 30 rtsp://127.0.0.1:8654/cam/0 …`
//!
//! Options: `--seconds N` `--udp` `--workers N`. Processor time counts from when every stream is online.
#![allow(clippy::unwrap_used)]

use media_core::AccessUnit;
use media_io::clock::{Clock, SystemClock};
use media_io::hub::{Hub, Sink};
use media_io::ingest::{Ingest, StreamConfig, StreamState, TransportKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts units and looks for gaps in the video's times.
#[derive(Default)]
struct Check {
    bytes: AtomicU64,
    gaps: AtomicU64,
    last_dts: AtomicI64,
}

impl Sink for Check {
    fn push(&self, unit: &Arc<AccessUnit>) -> bool {
        self.bytes.fetch_add(unit.data.len() as u64, Ordering::Relaxed);
        if unit.track == 0 {
            let last = self.last_dts.swap(unit.dts, Ordering::Relaxed);
            let step = unit.dts - last;
            if last != 0 && !(1..=9_000).contains(&step) {
                self.gaps.fetch_add(1, Ordering::Relaxed);
            }
        }
        true
    }

    fn interrupt(&self, _cause: media_core::index::GapCause) {}
}

/// Processor time of this process so far: user, system.
fn processor_time() -> (Duration, Duration) {
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let of = |t: libc::timeval| Duration::from_micros(t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64);
    (of(usage.ru_utime), of(usage.ru_stime))
}

fn switches() -> i64 {
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    usage.ru_nvcsw
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn main() {
    let (mut seconds, mut transport, mut workers) = (20, TransportKind::Tcp, 2);
    let mut urls = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => seconds = arguments.next().unwrap().parse().unwrap(),
            "--workers" => workers = arguments.next().unwrap().parse().unwrap(),
            "--udp" => transport = TransportKind::Udp,
            url => urls.push(url.to_owned()),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap();
    let clock: Arc<dyn Clock> = SystemClock::new();
    let empty_kib = resident_kib();
    let streams: Vec<_> = urls
        .iter()
        .map(|url| {
            let hub = Hub::new(url.as_str(), 16 << 20);
            let check = Arc::new(Check::default());
            hub.attach_at_key(check.clone());
            let config = StreamConfig {
                name: url.clone(),
                url: url.clone(),
                transport,
                credentials: None,
                allow_local: true,
            };
            (
                Ingest::start(runtime.handle(), config, hub.clone(), clock.clone()),
                check,
                hub,
            )
        })
        .collect();
    let started = Instant::now();
    while streams
        .iter()
        .any(|(handle, ..)| handle.status().state != StreamState::Online)
    {
        std::thread::sleep(Duration::from_millis(50));
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "not all streams came online"
        );
    }
    println!("ready");
    std::thread::sleep(Duration::from_secs(2));
    let (user, system) = processor_time();
    let (from, switches_before) = (Instant::now(), switches());
    std::thread::sleep(Duration::from_secs(seconds));
    let elapsed = from.elapsed().as_secs_f64();
    let (user, system) = (processor_time().0 - user, processor_time().1 - system);
    let count = streams.len() as f64;
    let percent = |time: Duration| time.as_secs_f64() / elapsed * 100.0 / count;
    let (mut units, mut gaps, mut lost, mut bytes) = (0, 0, 0, 0);
    for (handle, check, _) in &streams {
        let status = handle.status();
        units += status.units;
        lost += status.rtp_lost;
        gaps += check.gaps.load(Ordering::Relaxed);
        bytes += check.bytes.load(Ordering::Relaxed);
    }
    println!(
        "{count} streams: {:.4} % of a core each (user {:.4}, system {:.4}), {:.0} wakeups/s each, {} KiB each, \
         {units} units, {bytes} bytes, {gaps} gaps, {lost} packets lost",
        percent(user + system),
        percent(user),
        percent(system),
        (switches() - switches_before) as f64 / elapsed / count,
        (resident_kib() - empty_kib) / streams.len() as u64,
    );
    runtime.block_on(async {
        for (handle, ..) in streams {
            handle.stop().await;
        }
    });
}
