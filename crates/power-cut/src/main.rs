//! `power-cut MOUNTPOINT CAPACITY_BYTES`: mounts a disk in memory and obeys one command per line of its input, each
//! answered by one line. Needs the right to mount (root); ends, and unmounts, with its input.
//!
//! | command | |
//! | --- | --- |
//! | `cut SEED PERCENT` | the power goes and comes back; answers `cut PAGES_LOST PAGES_KEPT NAMES_LOST` |
//! | `refuse ERRNO` | every write and sync fails with that number |
//! | `slow MS` | every write and sync takes so long |
//! | `capacity BYTES` | the disk is so large now |
//! | `heal` | no fault any more |

use fuser::{Config, MountOption};
use parking_lot::Mutex;
use power_cut::disk::Disk;
use power_cut::mount::{Fault, Mounted};
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mountpoint, capacity] = &arguments[..] else {
        return usage();
    };
    let Ok(capacity_bytes) = capacity.parse() else {
        return usage();
    };
    let disk = Arc::new(Mutex::new(Disk::new(capacity_bytes)));
    let fault = Arc::new(Mutex::new(Fault::default()));
    let mounted = Mounted {
        disk: disk.clone(),
        fault: fault.clone(),
    };
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("power-cut".into())];
    config.n_threads = Some(4);
    let session = match fuser::spawn_mount(mounted, mountpoint, &config) {
        Ok(session) => session,
        Err(error) => {
            eprintln!("power-cut: {mountpoint} cannot be mounted: {error}");
            return std::process::ExitCode::FAILURE;
        }
    };
    answer("mounted");
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        answer(&obey(&line, &disk, &fault));
    }
    drop(session);
    std::process::ExitCode::SUCCESS
}

fn usage() -> std::process::ExitCode {
    eprintln!("usage: power-cut MOUNTPOINT CAPACITY_BYTES");
    std::process::ExitCode::from(2)
}

/// Whoever reads the answers may be gone: then the input ends too.
fn answer(line: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

fn obey(line: &str, disk: &Mutex<Disk>, fault: &Mutex<Fault>) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    match (words.first().copied(), number(1), number(2)) {
        (Some("cut"), Some(seed), Some(percent)) => {
            let mut state = seed;
            let loss = disk.lock().cut_power(percent, &mut |of| below(&mut state, of));
            format!("cut {} {} {}", loss.pages, loss.pages_kept, loss.names)
        }
        (Some("refuse"), Some(errno), None) => {
            fault.lock().refusal = i32::try_from(errno).ok();
            "ok".into()
        }
        (Some("slow"), Some(delay_ms), None) => {
            fault.lock().delay = Duration::from_millis(delay_ms);
            "ok".into()
        }
        (Some("capacity"), Some(capacity_bytes), None) => {
            disk.lock().set_capacity(capacity_bytes);
            "ok".into()
        }
        (Some("heal"), None, None) => {
            *fault.lock() = Fault::default();
            "ok".into()
        }
        _ => format!("unknown command: {line}"),
    }
}

/// SplitMix64: the same seed cuts the same way.
fn below(state: &mut u64, of: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % of.max(1)
}
