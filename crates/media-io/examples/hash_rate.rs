//! What the checksum of a recording costs while it is written: bytes of SHA-256 per second of CPU time, fed as the
//! writer feeds it, and what that makes of a core for a camera of 4 Mbit/s.
//! `cargo run --release -p media-io --example hash_rate`

use aws_lc_rs::digest::{Context, SHA256};
use std::time::Duration;

/// A camera's rate.
const CAMERA_BYTES_PER_S: f64 = 500_000.0;
/// A picture of such a camera at 30 per second.
const PICTURE_BYTES: usize = 16_667;
const PICTURES: usize = 20_000;
/// The best counts: what others do on the machine only slows it down.
const TURNS: usize = 9;

fn main() {
    let picture = vec![0x5a_u8; PICTURE_BYTES];
    let mut rate: f64 = 0.0;
    let mut sum = None;
    for _ in 0..TURNS {
        let mut context = Context::new(&SHA256);
        let before = cpu_time();
        for _ in 0..PICTURES {
            context.update(&picture);
        }
        let took = cpu_time().saturating_sub(before).as_secs_f64();
        sum = Some(context.finish());
        rate = rate.max((PICTURES * PICTURE_BYTES) as f64 / took);
    }
    println!(
        "{{\"bytes_per_s\":{rate:.0},\"percent_of_a_core\":{:.5},\"of\":\"{:02x}\"}}",
        CAMERA_BYTES_PER_S / rate * 100.0,
        sum.as_ref().and_then(|sum| sum.as_ref().first().copied()).unwrap_or(0)
    );
}

/// User and system time of this process.
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
