//! What recording costs: feeds hubs in real time as ingest does, once without and once with recorders, and prints the
//! difference in CPU per camera. `cargo run --release -p media-io --example recorder_cpu [cameras] [seconds] [dir]`

use bytes::Bytes;
use media_core::{AccessUnit, Codec, TrackParameters};
use media_io::archive::{Archive, ArchiveOptions};
use media_io::clock::{Clock, SystemClock};
use media_io::hub::{GOP_CACHE_BYTES, Hub};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FPS: i64 = 30;
const UNIT_BYTES: usize = 16 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let cameras: usize = arguments.next().map_or(Ok(50), |a| a.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(10), |a| a.parse())?;
    let directory = arguments
        .next()
        .map_or_else(|| std::env::temp_dir().join("recorder-cpu"), Into::into);
    let clock = SystemClock::new();
    let hubs: Vec<_> = (0..cameras)
        .map(|c| Hub::new(format!("{c}/main"), GOP_CACHE_BYTES))
        .collect();
    let parameters = Arc::new(TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: Bytes::from_static(&[1, 0x42, 0, 30, 0xff, 0xe0, 0]),
        width: 1920,
        height: 1080,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 30_000,
    });
    let without = feed(&hubs, &parameters, &*clock, seconds);
    let (archive, _) = Archive::open(&directory, ArchiveOptions::default(), clock.clone())?;
    for (camera, hub) in hubs.iter().enumerate() {
        hub.attach_at_key(archive.recorder(&format!("camera-{camera}"), "main")?);
    }
    let with = feed(&hubs, &parameters, &*clock, seconds);
    let closing = Instant::now();
    archive.close();
    let counters = archive.write_counters();
    let share = |cpu: Duration| cpu.as_secs_f64() / seconds as f64 / cameras as f64 * 100.0;
    println!(
        "{cameras} cameras of {FPS} pictures of {UNIT_BYTES} bytes a second, {seconds} s\n\
         feeding alone     {:.4} % of a core per camera\n\
         with recording    {:.4} %\n\
         recording         {:.4} %\n\
         fragments {} bytes {} syncs {} errors {}; closed in {:?}",
        share(without),
        share(with),
        share(with.saturating_sub(without)),
        counters.fragments_written,
        counters.bytes_written,
        counters.syncs,
        counters.write_errors,
        closing.elapsed(),
    );
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

/// Publishes to all hubs in turn at their frame times; the CPU that the process used.
fn feed(hubs: &[Arc<Hub>], parameters: &Arc<TrackParameters>, clock: &dyn Clock, seconds: u64) -> Duration {
    // As a depacketizer hands them over: each camera's picture is a piece of a buffer of its own.
    let buffers: Vec<Bytes> = hubs.iter().map(|_| Bytes::from(vec![0x5a; UNIT_BYTES])).collect();
    let began = Instant::now();
    let (utc_us, cpu) = (clock.utc_us(), cpu_time());
    for frame in 0..seconds as i64 * FPS {
        let due_us = frame * 1_000_000 / FPS;
        for (number, hub) in hubs.iter().enumerate() {
            // Spread over the frame's time as independent cameras are.
            let at_us = due_us + (number as i64 * 1_000_000 / FPS) / hubs.len() as i64;
            let due = Duration::from_micros(at_us as u64);
            if number % 5 == 0
                && let Some(wait) = due.checked_sub(began.elapsed())
            {
                std::thread::sleep(wait);
            }
            let dts = (utc_us + due_us) * 9 / 100;
            hub.publish(&Arc::new(AccessUnit {
                track: 0,
                pts: dts,
                dts,
                utc_us: utc_us + due_us,
                received_us: 0,
                key: frame % (2 * FPS) == 0,
                discontinuity: false,
                lost_packets: 0,
                data: buffers[number].clone(),
                parameters: parameters.clone(),
            }));
        }
    }
    cpu_time().saturating_sub(cpu)
}

/// User and system time of this process, kernel write-back not included.
fn cpu_time() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` has room for the answer; a zeroed rusage is a valid one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let of = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    of(usage.ru_utime) + of(usage.ru_stime)
}
