//! Sound that browsers do not take (AAC) on its way through worker processes that make Opus of it.
//!
//! ```text
//! camera's hub ──AAC──▶ intake ──stdin──▶ worker ──stdout──▶ hub of the Opus packets ──▶ inlets of the feeds
//! ```
//!
//! One worker per stream that someone listens to. It starts with the first listener and ends some seconds after the
//! last; one that dies is started anew, later each time. Nobody waits for a worker: what it does not take in time is
//! dropped, oldest first.

mod intake;
mod worker;

use super::stats::{Counters, count};
use crate::hub::{Hub, Sink};
use bytes::Bytes;
use intake::Intake;
use media_core::{Codec, TrackParameters};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;
use worker::End;

/// How long a worker goes on without listeners: who reloads a page hears at once.
const GRACE: Duration = if cfg!(test) {
    Duration::from_millis(300)
} else {
    Duration::from_secs(5)
};
/// The pause before a worker that died is started anew; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A worker that lived this long was well.
const STEADY: Duration = Duration::from_secs(60);
/// Workers at a time: each holds some 40 MB.
const MOST_STREAMS: usize = 64;

/// The longest that pictures wait for sound. Up to half a second browsers show pictures at once for as long as no sound
/// makes them wait.
const WAITS_AT_MOST_MS: u16 = 500;
/// What a browser keeps of sound, on a network as good as none.
const BROWSER_MS: u32 = 20;
/// An Opus packet and the encoder's look-ahead.
const OPUS_MS: u32 = 27;
/// AAC-LC makes units of 1024 samples.
const AAC_SAMPLES: u32 = 1024;

/// How long after their arrival pictures are shown at least and at most, ms, when sound with `parameters` goes with them.
///
/// A picture comes as soon as it was taken, sound when the unit that it is part of is full. Browsers make the pictures
/// wait for it, as far as they may; but they approach that in small steps, and need a quarter of a minute for a tenth of
/// a second. So pictures wait from the start for as long as transcoded sound is known to take.
pub(super) fn shown_after_ms(parameters: &TrackParameters) -> (u16, u16) {
    let least_ms = match parameters.codec {
        Codec::Aac => AAC_SAMPLES * 1000 / parameters.clock_rate.max(1) + OPUS_MS + BROWSER_MS,
        _ => 0,
    };
    (least_ms.min(u32::from(WAITS_AT_MOST_MS)) as u16, WAITS_AT_MOST_MS)
}

/// What browsers take instead of AAC.
fn opus() -> TrackParameters {
    TrackParameters {
        codec: Codec::Opus,
        clock_rate: 48_000,
        configuration: Bytes::new(),
        width: 0,
        height: 0,
        channels: 2,
        reorder_depth: 0,
        fps_milli: 0,
    }
}

/// The transcoded streams of one output.
pub(super) struct Transcoders {
    /// The worker's program and its arguments.
    command: OnceLock<Vec<String>>,
    runtime: Handle,
    counters: Arc<Counters>,
    streams: Mutex<HashMap<usize, Arc<Stream>>>,
    stopping: watch::Sender<bool>,
}

/// One camera stream whose sound is made Opus.
struct Stream {
    source: Arc<Hub>,
    intake: Arc<Intake>,
    /// Where the Opus packets are published, as track 1.
    output: Arc<Hub>,
    listeners: watch::Sender<usize>,
}

/// Someone listens until this is dropped.
pub(super) struct Listening {
    stream: Arc<Stream>,
    sink: Arc<dyn Sink>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stream.output.detach(&self.sink);
        self.stream.listeners.send_modify(|listeners| *listeners -= 1);
    }
}

impl Transcoders {
    /// Nothing is transcoded until `use_command`.
    pub(super) fn new(runtime: Handle, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            command: OnceLock::new(),
            runtime,
            counters,
            streams: Mutex::default(),
            stopping: watch::Sender::new(false),
        })
    }

    /// The program that workers run, with its arguments; the first one given stays.
    pub(super) fn use_command(&self, command: Vec<String>) {
        if !command.is_empty() {
            let _ = self.command.set(command);
        }
    }

    /// What viewers get of sound with `parameters`.
    pub(super) fn heard_as(&self, parameters: &Arc<TrackParameters>) -> Arc<TrackParameters> {
        if parameters.codec == Codec::Aac && self.command.get().is_some() {
            return Arc::new(opus());
        }
        parameters.clone()
    }

    /// Hands Opus packets made of the AAC of `source` to `sink`, as units of track 1; none while the camera sends no
    /// AAC. None where nothing is transcoded.
    pub(super) fn listen(self: &Arc<Self>, source: &Arc<Hub>, sink: &Arc<dyn Sink>) -> Option<Listening> {
        self.command.get()?;
        let key = Arc::as_ptr(source) as usize;
        let mut streams = self.streams.lock();
        if *self.stopping.borrow() {
            return None;
        }
        if streams.len() >= MOST_STREAMS && !streams.contains_key(&key) {
            tracing::warn!(
                stream = source.name(),
                limit = MOST_STREAMS,
                "too many streams to transcode"
            );
            return None;
        }
        let stream = streams.entry(key).or_insert_with(|| self.start(source, key));
        stream.listeners.send_modify(|listeners| *listeners += 1);
        stream.output.attach(sink.clone());
        Some(Listening {
            stream: stream.clone(),
            sink: sink.clone(),
        })
    }

    fn start(self: &Arc<Self>, source: &Arc<Hub>, key: usize) -> Arc<Stream> {
        let intake = Arc::new(Intake::new(self.counters.clone()));
        source.attach(intake.clone());
        let stream = Arc::new(Stream {
            source: source.clone(),
            intake,
            output: Hub::new(source.name(), 0),
            listeners: watch::Sender::new(0),
        });
        let (transcoders, started) = (self.clone(), stream.clone());
        let stopping = self.stopping.subscribe();
        self.runtime
            .spawn(async move { transcoders.run(&started, key, stopping).await });
        stream
    }

    /// Transcodes until nobody listens or everything ends. `stopping` is dropped when nothing is left to end.
    async fn run(&self, stream: &Stream, key: usize, mut stopping: watch::Receiver<bool>) {
        let mut child = None;
        tokio::select! {
            () = self.transcode(stream, &mut child) => {}
            () = self.unheard(stream, key) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        stream.intake.close();
        let sink: Arc<dyn Sink> = stream.intake.clone();
        stream.source.detach(&sink);
        end(&mut child).await;
        if *stopping.borrow() {
            self.streams.lock().remove(&key);
        }
    }

    /// Returns when nobody has listened for some time; the stream is forgotten then.
    async fn unheard(&self, stream: &Stream, key: usize) {
        let mut listeners = stream.listeners.subscribe();
        loop {
            // The sender lives in the stream.
            let _ = listeners.wait_for(|listeners| *listeners == 0).await;
            let again = listeners.wait_for(|listeners| *listeners > 0);
            if tokio::time::timeout(GRACE, again).await.is_ok() {
                continue;
            }
            let mut streams = self.streams.lock();
            if *stream.listeners.borrow() == 0 {
                streams.remove(&key);
                return;
            }
        }
    }

    /// Keeps a worker alive for as long as there is AAC.
    async fn transcode(&self, stream: &Stream, child: &mut Option<Child>) {
        let mut pause = FIRST_PAUSE;
        let Some(command) = self.command.get() else {
            return;
        };
        loop {
            let parameters = stream.intake.parameters().await;
            let started = Instant::now();
            let ended = worker::serve(command, &parameters, stream, &self.counters, child).await;
            end(child).await;
            let End::Failed(reason) = ended else {
                continue;
            };
            if started.elapsed() > STEADY {
                pause = FIRST_PAUSE;
            }
            count(&self.counters.transcoder_restarts, 1);
            let name = stream.source.name();
            tracing::warn!(
                stream = name,
                reason,
                pause_ms = pause.as_millis(),
                "no sound: the worker failed"
            );
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Ends all workers from now on and for good.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Waits until the last worker has ended.
    pub(super) async fn stopped(&self) {
        self.stopping.closed().await;
    }
}

/// Kills a worker and waits for its end, so that no zombie stays.
async fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill().await;
    }
}

#[cfg(test)]
#[path = "transcoding/tests.rs"]
mod tests;
