//! One worker process: units to its standard input, Opus packets from its standard output. All numbers little-endian.
//!
//! To it: a line of JSON (`codec`, `configuration` in hexadecimal digits, `clock_rate`, `channels`), then per unit i64
//! presentation time, u32 length, bytes. From it: u8 kind, i64, u32 length, bytes; kind 0 is an Opus packet and its time
//! in ticks of 48 kHz, kind 1 says how many units were skipped as malformed, kind 2 that it is ready.

use super::{Stream, opus};
use crate::whep::stats::{Counters, count};
use bytes::Bytes;
use media_core::{AccessUnit, TrackParameters};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a worker may take to start, on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// A worker that does not take a unit for so long hangs.
const TAKEN_WITHIN: Duration = if cfg!(test) {
    Duration::from_millis(500)
} else {
    Duration::from_secs(5)
};
const RECORD_BYTES: usize = 13;
const PACKET: u8 = 0;
const SKIPPED: u8 = 1;
const READY: u8 = 2;
/// The largest Opus packet of one frame (RFC 6716 §3.4).
const LARGEST_PACKET_BYTES: u32 = 1275;
const OPUS_RATE: i128 = 48_000;

/// Why a worker is not needed or not there any more.
pub(super) enum End {
    /// The camera sends other sound now.
    Changed,
    Failed(String),
}

impl End {
    fn failed(error: &std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What is known of the units on their way through a worker.
struct Passage {
    ready: Notify,
    /// Server time less presentation time of the newest unit, µs.
    utc_less_pts_us: AtomicI64,
    received_us: AtomicU64,
}

/// Counts a worker that runs for as long as it lives.
struct Running<'a>(&'a AtomicU64);

impl<'a> Running<'a> {
    fn begin(running: &'a AtomicU64) -> Self {
        running.fetch_add(1, Ordering::Relaxed);
        Self(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts a worker for sound of `parameters` and passes units through it until it fails or the parameters change.
/// The process is left in `child` for the caller to end.
pub(super) async fn serve(
    command: &[String],
    parameters: &Arc<TrackParameters>,
    stream: &Stream,
    counters: &Counters,
    child: &mut Option<Child>,
) -> End {
    let Some((program, arguments)) = command.split_first() else {
        return End::Failed("no program".to_owned());
    };
    // A group of its own: Ctrl-C in a terminal is for the server, which ends its workers.
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut spawned = match spawned {
        Ok(spawned) => spawned,
        Err(error) => return End::Failed(format!("{program}: {error}")),
    };
    let (stdin, stdout) = (spawned.stdin.take(), spawned.stdout.take());
    *child = Some(spawned);
    let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
        return End::Failed("no pipes".to_owned());
    };
    let _running = Running::begin(&counters.transcoders_running);
    let passage = Passage {
        ready: Notify::new(),
        utc_less_pts_us: AtomicI64::new(0),
        received_us: AtomicU64::new(0),
    };
    tokio::select! {
        end = hand_over(stdin, parameters, stream, &passage) => end,
        end = take_back(stdout, stream, &passage, counters) => end,
    }
}

/// Ticks of a clock of `rate` Hz in µs.
fn ticks_us(ticks: i64, rate: i128) -> i64 {
    (i128::from(ticks) * 1_000_000 / rate.max(1)) as i64
}

async fn hand_over(
    mut stdin: ChildStdin,
    parameters: &Arc<TrackParameters>,
    stream: &Stream,
    passage: &Passage,
) -> End {
    let configuration: String = parameters
        .configuration
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let header = serde_json::json!({
        "codec": parameters.codec.as_str(),
        "configuration": configuration,
        "clock_rate": parameters.clock_rate,
        "channels": parameters.channels,
    });
    if let Err(error) = stdin.write_all(format!("{header}\n").as_bytes()).await {
        return End::failed(&error);
    }
    if timeout(READY_WITHIN, passage.ready.notified()).await.is_err() {
        return End::Failed(format!("not ready within {} s", READY_WITHIN.as_secs()));
    }
    stream.intake.keep_newest();
    let mut record = Vec::new();
    while let Some(unit) = stream.intake.next(parameters).await {
        passage.note(&unit);
        record.clear();
        record.extend_from_slice(&unit.pts.to_le_bytes());
        record.extend_from_slice(&(unit.data.len() as u32).to_le_bytes());
        record.extend_from_slice(&unit.data);
        match timeout(TAKEN_WITHIN, stdin.write_all(&record)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return End::failed(&error),
            Err(_) => return End::Failed(format!("takes nothing for {} s", TAKEN_WITHIN.as_secs())),
        }
    }
    End::Changed
}

impl Passage {
    fn note(&self, unit: &AccessUnit) {
        let pts_us = ticks_us(unit.pts, i128::from(unit.parameters.clock_rate));
        self.utc_less_pts_us
            .store(unit.utc_us.wrapping_sub(pts_us), Ordering::Relaxed);
        self.received_us.store(unit.received_us, Ordering::Relaxed);
    }
}

async fn take_back(stdout: ChildStdout, stream: &Stream, passage: &Passage, counters: &Counters) -> End {
    let mut stdout = BufReader::new(stdout);
    let parameters = Arc::new(opus());
    let mut head = [0; RECORD_BYTES];
    loop {
        if let Err(error) = stdout.read_exact(&mut head).await {
            return End::failed(&error);
        }
        let [kind, rest @ ..] = head;
        let (value, size) = rest.split_at(8);
        let value = i64::from_le_bytes(value.try_into().unwrap_or_default());
        let size = u32::from_le_bytes(size.try_into().unwrap_or_default());
        match (kind, size) {
            (READY, 0) => passage.ready.notify_one(),
            (SKIPPED, 0) => count(&counters.transcoder_units_malformed, value.max(0) as u64),
            (PACKET, 1..=LARGEST_PACKET_BYTES) => {
                let mut data = vec![0; size as usize];
                if let Err(error) = stdout.read_exact(&mut data).await {
                    return End::failed(&error);
                }
                let utc_less_pts_us = passage.utc_less_pts_us.load(Ordering::Relaxed);
                count(&counters.transcoded_packets, 1);
                stream.output.publish(&Arc::new(AccessUnit {
                    track: 1,
                    pts: value,
                    dts: value,
                    utc_us: ticks_us(value, OPUS_RATE).wrapping_add(utc_less_pts_us),
                    received_us: passage.received_us.load(Ordering::Relaxed),
                    key: true,
                    discontinuity: false,
                    lost_packets: 0,
                    data: Bytes::from(data),
                    parameters: parameters.clone(),
                }));
            }
            _ => return End::Failed(format!("a record of kind {kind} with {size} bytes")),
        }
    }
}
