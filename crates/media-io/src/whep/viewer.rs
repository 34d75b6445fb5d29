//! One connected viewer on its shard: what is on its way to it, and what it says about what it got.

mod feedback;

use super::adaptation::{Decision, Rung};
use super::batch::{Batch, Path};
use super::instants::Instants;
use super::ladder::Ladder;
use super::outgoing::{Outgoing, Underway};
use super::outside::Outside;
use super::pacing::Pacer;
use super::packets::CutUnit;
use super::stats::count;
use crate::hub::GOP_CACHE_BYTES;
use media_core::rtp::rtcp;
use media_core::srtp::{SrtpReceiver, SrtpSender};
use media_core::{Codec, TrackKind};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests for a key frame are answered at most this often; the pause doubles with every answer that did not help.
const RESEND_PAUSE_US: u64 = 1_000_000;
const MAX_RESEND_PAUSE_US: u64 = 32_000_000;
/// What a viewer says of its path is thought about at most this often.
const RECONSIDER_US: u64 = 250_000;
/// A viewer that has not asked for so long could show what it got: what it asks for now it has lost since. One whose
/// decoder cannot use the GOP asks again within a second.
const CONTENT_US: u64 = 2_500_000;
/// A viewer whose queue holds more than this starts again at a key frame.
const MAX_QUEUED_BYTES: usize = 8 << 20;
/// So does one whose TCP connection is full, when a unit has waited for so long: it sees less rather than the past.
const MAX_BEHIND_US: u64 = 1_000_000;
/// Before each datagram on a TCP connection, RTP's header, its extensions and SRTP's tag: what a payload takes more.
const OVERHEAD_BYTES: usize = 64;

/// A viewer that has moved proves within this time that it is there. Browsers report once a second or so.
const PROVEN_WITHIN_US: u64 = 5_000_000;
/// Sender reports remembered for that: those of the same time.
const MAX_TOLD: usize = 8;

/// A viewer that has asked for more than its share comes last for so long.
const LAST_FOR_US: u64 = 10_000_000;
/// So does one that has said nothing for so long. Browsers report once a second or so.
const SILENT_US: u64 = 3_000_000;

/// What a viewer's shard works with while it serves it.
pub(super) struct Turn<'a> {
    pub(super) outside: &'a Outside,
    pub(super) batch: &'a mut Batch,
    /// µs since the start.
    pub(super) now_us: u64,
}

enum Phase {
    WaitingForKey,
    /// Units up to the live edge that are still to be sent.
    Bursting(VecDeque<Arc<CutUnit>>),
    Live,
}

/// What a viewer wants of its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// The GOP once more.
    Resend,
    /// The camera's other stream.
    Change(Decision),
    /// To be forgotten: the viewer has said goodbye, or the camera sends another codec now.
    Leave(Leave),
}

/// Why a shard gives a viewer up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// The camera sends another codec now: the viewer has to negotiate anew.
    CodecChanged,
    /// What can be protected with one set of keys is used up.
    Failed,
    /// No report came from where it is said to have moved.
    Unproven,
}

/// A connected viewer.
pub(super) struct Viewer {
    /// Its number, the same on every shard and at the reception.
    pub(super) key: u64,
    pub(super) path: Path,
    /// When the viewer last sent something that only it can have sent, in µs since the start.
    heard_us: Arc<AtomicU64>,
    /// The streams that it may be sent, when more than one.
    pub(super) ladder: Option<Ladder>,
    instants: Arc<Instants>,
    /// Since when the media goes where nothing that only the viewer can protect has come from.
    unproven_since_us: Option<u64>,
    /// The instants of the sender reports that went there, as a receiver report names them.
    told_there: VecDeque<u32>,
    srtp_out: SrtpSender,
    srtp_in: SrtpReceiver,
    cname: String,
    video: Outgoing,
    audio: Option<Outgoing>,
    phase: Phase,
    queue: VecDeque<Underway>,
    queued_bytes: usize,
    pacer: Pacer,
    /// When the GOP was last started, and when the viewer last needed it.
    started_us: u64,
    needed_us: u64,
    /// How long after a start the next one may follow.
    resend_pause_us: u64,
    reconsider_at_us: u64,
    report_at_us: u64,
    /// Until when it comes last, for what it has asked for.
    last_until_us: u64,
    wish: Option<Wish>,
}

/// What was agreed on with a viewer, before its first packet.
pub(super) struct Streams {
    pub(super) video: Outgoing,
    pub(super) audio: Option<Outgoing>,
    /// Names the source of all streams in reports, so that they are shown in step.
    pub(super) cname: String,
    /// The streams that the video may come from, when more than one.
    pub(super) ladder: Option<Ladder>,
    /// Where it is told which timestamps its live pictures have.
    pub(super) instants: Arc<Instants>,
}

impl Viewer {
    /// A viewer that has just connected.
    pub(super) fn new(
        key: u64,
        path: Path,
        (srtp_out, srtp_in): (SrtpSender, SrtpReceiver),
        streams: Streams,
        heard_us: Arc<AtomicU64>,
    ) -> Self {
        let Streams {
            video,
            audio,
            cname,
            ladder,
            instants,
        } = streams;
        Self {
            key,
            path,
            heard_us,
            ladder,
            instants,
            unproven_since_us: None,
            told_there: VecDeque::new(),
            srtp_out,
            srtp_in,
            cname,
            video,
            audio,
            phase: Phase::WaitingForKey,
            queue: VecDeque::new(),
            queued_bytes: 0,
            pacer: Pacer::new(0),
            started_us: 0,
            needed_us: 0,
            resend_pause_us: 0,
            reconsider_at_us: 0,
            report_at_us: 0,
            last_until_us: 0,
            wish: None,
        }
    }

    /// What the viewer wants, once.
    pub(super) fn take_wish(&mut self) -> Option<Wish> {
        self.wish.take()
    }

    /// Sends by `path` from now on. One signed request, which may be a replay or name somebody else's address, has asked
    /// for it: without a report from there the session ends, however often it moves meanwhile. The report must name a
    /// sender report that went there: the viewer itself may forge where its datagrams come from, not what it has not got.
    pub(super) fn follow(&mut self, path: Path, now_us: u64) {
        if self.path != path {
            self.told_there.clear();
        }
        self.path = path;
        self.unproven_since_us.get_or_insert(now_us);
    }

    /// Whether sound is sent to the viewer as `codec`.
    pub(super) fn hears(&self, codec: Codec) -> bool {
        self.audio.as_ref().is_some_and(|audio| audio.agreed.codec == codec)
    }

    /// Whether packets wait for their turn.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty() || matches!(&self.phase, Phase::Bursting(units) if !units.is_empty())
    }

    /// Whether it is served after the others, as those are whom the pace holds back: it asks for more than it may have, or
    /// says nothing. Nobody need ever say anything, so it is served all the same.
    pub(super) fn comes_last(&self, now_us: u64) -> bool {
        now_us < self.last_until_us || now_us.saturating_sub(self.heard_us.load(Ordering::Relaxed)) > SILENT_US
    }

    /// When `report` is due next.
    pub(super) fn report_at_us(&self) -> u64 {
        self.report_at_us
    }

    /// Starts at the key frame of `gop`, or waits for one when there is none.
    pub(super) fn start(&mut self, gop: &[Arc<CutUnit>], now_us: u64) {
        let bytes: usize = gop.iter().map(|unit| unit.size_bytes()).sum();
        if let (Some(first), Some(last)) = (gop.first(), gop.last()) {
            let clock_rate = i64::from(first.clock_rate.max(1));
            let duration_us = last.pts.saturating_sub(first.pts).max(0).saturating_mul(1_000_000) / clock_rate;
            self.pacer = Pacer::new(now_us);
            self.pacer.follow(bytes as u64, duration_us as u64);
        }
        self.started_us = now_us;
        self.resend_pause_us = (2 * self.resend_pause_us).clamp(RESEND_PAUSE_US, MAX_RESEND_PAUSE_US);
        self.phase = match gop {
            [] => Phase::WaitingForKey,
            _ => Phase::Bursting(gop.iter().cloned().collect()),
        };
    }

    /// Whether it is sent the sub stream in place of the main one.
    pub(super) fn runs_sub(&self) -> bool {
        self.ladder.as_ref().is_some_and(|ladder| ladder.running() == Rung::Sub)
    }

    /// Goes on at the next key frame that it is handed.
    pub(super) fn await_key(&mut self) {
        self.phase = Phase::WaitingForKey;
    }

    /// Wishes for the camera's other stream when that is the better one now.
    pub(super) fn reconsider(&mut self, now_us: u64) {
        self.reconsider_at_us = now_us + RECONSIDER_US;
        if let Some(decision) = self.ladder.as_mut().and_then(|ladder| ladder.decide(now_us)) {
            self.wish.get_or_insert(Wish::Change(decision));
        }
    }

    /// Notes that the viewer needs a key frame; whether it may have the GOP again now.
    fn may_resend(&mut self, now_us: u64) -> bool {
        let since_us = now_us.saturating_sub(self.needed_us.max(self.started_us));
        self.needed_us = now_us;
        if since_us >= CONTENT_US {
            self.resend_pause_us = 0;
        }
        now_us >= self.started_us + self.resend_pause_us
    }

    /// Hands over the next unit of video or audio, seen at `seen_us`, and sends what the pace allows.
    pub(super) fn push(&mut self, cut: &Arc<CutUnit>, seen_us: u64, turn: &mut Turn<'_>) {
        match cut.codec.kind() {
            TrackKind::Video => self.push_video(cut, seen_us, turn),
            TrackKind::Audio => self.push_audio(cut, seen_us, turn),
            TrackKind::Metadata => {}
        }
    }

    fn push_video(&mut self, cut: &Arc<CutUnit>, seen_us: u64, turn: &mut Turn<'_>) {
        if cut.codec != self.video.agreed.codec {
            self.wish = Some(Wish::Leave(Leave::CodecChanged));
            return;
        }
        let mut restarts = false;
        match &mut self.phase {
            Phase::WaitingForKey if !cut.key => return,
            Phase::WaitingForKey => restarts = true,
            Phase::Bursting(units) => {
                // No end of a burst that a connection does not take.
                let stuck = turn.outside.room(&self.path) == 0
                    && units.iter().map(|unit| unit.size_bytes()).sum::<usize>()
                        > MAX_QUEUED_BYTES.max(GOP_CACHE_BYTES);
                if cut.key || stuck {
                    // What is older is of no use any more.
                    count(&turn.outside.counters.units_dropped, units.len() as u64);
                    units.clear();
                }
                if stuck && !cut.key {
                    count(&turn.outside.counters.units_dropped, 1);
                    self.phase = Phase::WaitingForKey;
                    return;
                }
                units.push_back(cut.clone());
                if !self.comes_last(turn.now_us) {
                    self.flush(turn);
                }
                return;
            }
            Phase::Live => {}
        }
        if self.queued_bytes > MAX_QUEUED_BYTES {
            count(&turn.outside.counters.units_dropped, self.queue.len() as u64);
            self.queue.clear();
            self.queued_bytes = 0;
            if !cut.key {
                count(&turn.outside.counters.units_dropped, 1);
                self.phase = Phase::WaitingForKey;
                if self.may_resend(turn.now_us) {
                    self.wish.get_or_insert(Wish::Resend);
                }
                return;
            }
            restarts = true;
        }
        if self.is_behind(turn) {
            self.give_up_queue(turn);
            if !cut.key {
                count(&turn.outside.counters.units_dropped, 1);
                self.phase = Phase::WaitingForKey;
                return;
            }
            restarts = true;
        }
        self.phase = Phase::Live;
        let timestamp = self
            .video
            .timeline
            .live(cut.pts, cut.discontinuity || restarts, turn.now_us);
        self.instants.note(timestamp, cut.utc_us);
        count(&turn.outside.counters.live_units, 1);
        let mut underway = Underway::new(cut, timestamp, seen_us, true);
        // Most pictures leave at once and never see the queue.
        let waits = self.comes_last(turn.now_us) || !self.queue.is_empty();
        if waits || !self.send(&mut underway, turn) {
            self.queued_bytes += cut.size_bytes();
            underway.waits_since_us = turn.now_us;
            self.queue.push_back(underway);
        }
    }

    /// Whether a unit waits for too long already for a connection that takes no more.
    fn is_behind(&self, turn: &Turn<'_>) -> bool {
        let first = self.queue.front();
        let waits_us = first.map_or(0, |first| turn.now_us.saturating_sub(first.waits_since_us));
        waits_us > MAX_BEHIND_US && turn.outside.room(&self.path) == 0
    }

    /// Drops what waits, but for the rest of a unit that the viewer has the beginning of.
    fn give_up_queue(&mut self, turn: &Turn<'_>) {
        let kept = self.queue.front().is_some_and(|first| first.next > 0);
        let dropped = self.queue.drain(usize::from(kept)..).count();
        count(&turn.outside.counters.units_dropped, dropped as u64);
        self.queued_bytes = self.queue.front().map_or(0, |first| first.cut.size_bytes());
    }

    fn push_audio(&mut self, cut: &Arc<CutUnit>, seen_us: u64, turn: &mut Turn<'_>) {
        let Some(audio) = self.audio.as_mut().filter(|audio| audio.agreed.codec == cut.codec) else {
            return;
        };
        if turn.outside.room(&self.path) == 0 {
            return count(&turn.outside.counters.units_dropped, 1);
        }
        let timestamp = audio.timeline.live(cut.pts, cut.discontinuity, turn.now_us);
        let mut underway = Underway::new(cut, timestamp, seen_us, false);
        while underway.next < cut.len() {
            let sent = audio.send(&mut underway, &mut self.srtp_out, turn.batch, &self.path, turn.now_us);
            if sent.is_err() {
                self.wish = Some(Wish::Leave(Leave::Failed));
                return;
            }
        }
    }

    /// Sends what the pace allows of a unit; true when all of it is sent.
    fn send(&mut self, underway: &mut Underway, turn: &mut Turn<'_>) -> bool {
        let mut room = turn.outside.room(&self.path);
        while let Some(payload) = underway.cut.payload(underway.next) {
            if room == 0 {
                return false;
            }
            room = room.saturating_sub(payload.bytes.len() + OVERHEAD_BYTES);
            if !self.pacer.take(payload.bytes.len(), turn.now_us) {
                return false;
            }
            let sent = self
                .video
                .send(underway, &mut self.srtp_out, turn.batch, &self.path, turn.now_us);
            if sent.is_err() {
                self.wish = Some(Wish::Leave(Leave::Failed));
                return true;
            }
        }
        if let Some(received_us) = underway.live_since_us {
            turn.batch.end_unit(received_us);
        }
        true
    }

    /// Sends of what waits as much as the pace allows.
    pub(super) fn flush(&mut self, turn: &mut Turn<'_>) {
        loop {
            if self.queue.is_empty() && !self.refill(turn) {
                return;
            }
            let Some(mut underway) = self.queue.pop_front() else {
                return;
            };
            if !self.send(&mut underway, turn) {
                self.queue.push_front(underway);
                return;
            }
            self.queued_bytes = self.queued_bytes.saturating_sub(underway.cut.size_bytes());
        }
    }

    /// Takes the next unit of a burst into the queue; false when there is none.
    fn refill(&mut self, turn: &Turn<'_>) -> bool {
        let Phase::Bursting(units) = &mut self.phase else {
            return false;
        };
        let Some(unit) = units.pop_front() else {
            self.phase = Phase::Live;
            return false;
        };
        let timestamp = self.video.timeline.burst(turn.now_us);
        self.queued_bytes += unit.size_bytes();
        self.queue
            .push_back(Underway::new(&unit, timestamp, turn.now_us, false));
        count(&turn.outside.counters.burst_units, 1);
        true
    }

    /// Says which instant every stream's timestamps mean, so that sound and picture are shown in step.
    pub(super) fn report(&mut self, every_us: u64, turn: &mut Turn<'_>) {
        self.report_at_us = turn.now_us + every_us;
        let mut compound = Vec::with_capacity(160);
        self.write_reports(&mut compound, turn);
        if let Some(since_us) = self.unproven_since_us.filter(|_| !compound.is_empty()) {
            if turn.now_us >= since_us + PROVEN_WITHIN_US {
                self.wish = Some(Wish::Leave(Leave::Unproven));
                return;
            }
            if self.told_there.len() == MAX_TOLD {
                self.told_there.pop_front();
            }
            self.told_there.push_back((turn.outside.ntp(turn.now_us) >> 16) as u32);
        }
        self.reconsider(turn.now_us);
        self.send_rtcp(&compound, turn);
    }

    /// Tells the viewer that nothing more will come.
    pub(super) fn goodbye(&mut self, turn: &mut Turn<'_>) {
        let mut compound = Vec::with_capacity(200);
        self.write_reports(&mut compound, turn);
        if compound.is_empty() {
            // A compound begins with a report (RFC 3550 §6.1).
            rtcp::write_receiver_report(self.video.agreed.ssrc, &[], &mut compound);
            rtcp::write_source_description(self.video.agreed.ssrc, &self.cname, &mut compound);
        }
        for stream in std::iter::once(&self.video).chain(&self.audio) {
            stream.goodbye(&mut compound);
        }
        self.send_rtcp(&compound, turn);
    }

    fn write_reports(&self, out: &mut Vec<u8>, turn: &Turn<'_>) {
        let ntp = turn.outside.ntp(turn.now_us);
        for stream in std::iter::once(&self.video).chain(&self.audio) {
            let before = out.len();
            stream.report(ntp, turn.now_us, out);
            if out.len() > before {
                rtcp::write_source_description(stream.agreed.ssrc, &self.cname, out);
            }
        }
    }

    fn send_rtcp(&mut self, compound: &[u8], turn: &mut Turn<'_>) {
        if compound.is_empty() {
            return;
        }
        let srtp = &mut self.srtp_out;
        let sent = turn.batch.push(&self.path, |out| srtp.protect_rtcp(compound, out));
        if sent.is_err() {
            self.wish = Some(Wish::Leave(Leave::Failed));
        }
    }
}

#[cfg(test)]
#[path = "viewer_tests.rs"]
pub(super) mod tests;
