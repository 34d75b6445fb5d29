//! One connected viewer on its shard: what is on its way to it, and what it says about what it got.

use super::adaptation::{Decision, Rung};
use super::batch::{Batch, Path};
use super::ladder::Ladder;
use super::outgoing::{Outgoing, Underway};
use super::outside::Outside;
use super::pacing::Pacer;
use super::packets::CutUnit;
use super::stats::count;
use media_core::TrackKind;
use media_core::rtp::feedback::{Feedback, parse_feedback};
use media_core::rtp::rtcp;
use media_core::srtp::{SrtpReceiver, SrtpSender};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests for a key frame are answered at most this often; the pause doubles with every answer that did not help.
const RESEND_PAUSE_US: u64 = 1_000_000;
const MAX_RESEND_PAUSE_US: u64 = 32_000_000;
/// What a viewer says of its path is thought about at most this often.
const RECONSIDER_US: u64 = 250_000;
/// A viewer whose queue holds more than this starts again at the next key frame.
const MAX_QUEUED_BYTES: usize = 8 << 20;

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
    srtp_out: SrtpSender,
    srtp_in: SrtpReceiver,
    cname: String,
    video: Outgoing,
    audio: Option<Outgoing>,
    phase: Phase,
    queue: VecDeque<Underway>,
    queued_bytes: usize,
    pacer: Pacer,
    resend_after_us: u64,
    resend_pause_us: u64,
    reconsider_at_us: u64,
    report_at_us: u64,
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
        } = streams;
        Self {
            key,
            path,
            heard_us,
            ladder,
            srtp_out,
            srtp_in,
            cname,
            video,
            audio,
            phase: Phase::WaitingForKey,
            queue: VecDeque::new(),
            queued_bytes: 0,
            pacer: Pacer::new(0),
            resend_after_us: 0,
            resend_pause_us: RESEND_PAUSE_US / 2,
            reconsider_at_us: 0,
            report_at_us: 0,
            wish: None,
        }
    }

    /// What the viewer wants, once.
    pub(super) fn take_wish(&mut self) -> Option<Wish> {
        self.wish.take()
    }

    /// Whether packets wait for their turn.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty() || matches!(&self.phase, Phase::Bursting(units) if !units.is_empty())
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
        // A viewer that asks again right after the pause cannot use what it gets.
        let helped = now_us.saturating_sub(self.resend_after_us) > 2 * self.resend_pause_us;
        self.resend_pause_us = if helped {
            RESEND_PAUSE_US
        } else {
            (2 * self.resend_pause_us).min(MAX_RESEND_PAUSE_US)
        };
        self.resend_after_us = now_us + self.resend_pause_us;
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
                if cut.key {
                    // What is older is of no use any more.
                    count(&turn.outside.counters.units_dropped, units.len() as u64);
                    units.clear();
                }
                units.push_back(cut.clone());
                return self.flush(turn);
            }
            Phase::Live => {}
        }
        if self.queued_bytes > MAX_QUEUED_BYTES {
            count(&turn.outside.counters.units_dropped, 1);
            self.queue.clear();
            self.queued_bytes = 0;
            self.phase = Phase::WaitingForKey;
            return;
        }
        self.phase = Phase::Live;
        let timestamp = self
            .video
            .timeline
            .live(cut.pts, cut.discontinuity || restarts, turn.now_us);
        count(&turn.outside.counters.live_units, 1);
        let mut underway = Underway::new(cut, timestamp, seen_us, true);
        // Most pictures leave at once and never see the queue.
        if !self.queue.is_empty() || !self.send(&mut underway, turn) {
            self.queued_bytes += cut.size_bytes();
            self.queue.push_back(underway);
        }
    }

    fn push_audio(&mut self, cut: &Arc<CutUnit>, seen_us: u64, turn: &mut Turn<'_>) {
        let Some(audio) = self.audio.as_mut().filter(|audio| audio.agreed.codec == cut.codec) else {
            return;
        };
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
        while let Some(payload) = underway.cut.payload(underway.next) {
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

    /// Reads one SRTCP datagram of the viewer. `plain` is room for what is in it.
    pub(super) fn receive(&mut self, datagram: &[u8], plain: &mut Vec<u8>, turn: &mut Turn<'_>) {
        plain.clear();
        let read = self.srtp_in.unprotect_rtcp(datagram, plain);
        // Authentic and not a replay: the viewer is there.
        if read.is_ok() {
            self.heard_us.store(turn.now_us, Ordering::Relaxed);
        }
        match read.and_then(|()| parse_feedback(plain)) {
            Ok(feedback) => {
                feedback.iter().for_each(|statement| self.heed(statement, turn));
                if turn.now_us >= self.reconsider_at_us {
                    self.reconsider(turn.now_us);
                }
            }
            // Anyone can forge such a datagram: it must not end a session.
            Err(_) => count(&turn.outside.counters.datagrams_malformed, 1),
        }
    }

    fn heed(&mut self, statement: &Feedback, turn: &mut Turn<'_>) {
        let counters = &turn.outside.counters;
        match statement {
            Feedback::Nack { media_ssrc, sequences } => {
                count(&counters.nacked_packets, sequences.len() as u64);
                self.repeat(*media_ssrc, sequences, turn);
            }
            Feedback::PictureLoss { media_ssrc } | Feedback::FullIntraRequest { media_ssrc, .. } => {
                count(&counters.key_requests, 1);
                let asked = *media_ssrc == self.video.agreed.ssrc;
                if asked && matches!(self.phase, Phase::Live) && turn.now_us >= self.resend_after_us {
                    self.wish.get_or_insert(Wish::Resend);
                }
            }
            Feedback::ReceiverReport { blocks, .. } => {
                count(&counters.receiver_reports, 1);
                for block in blocks {
                    if let Some(ladder) = self.ladder.as_mut().filter(|_| block.ssrc == self.video.agreed.ssrc) {
                        ladder.loss(block.fraction_lost, turn.now_us);
                    }
                    if let Some(stream) = self.stream(block.ssrc) {
                        stream.acknowledge();
                    }
                }
            }
            Feedback::Remb { bitrate_bps, .. } => {
                if let Some(ladder) = &mut self.ladder {
                    ladder.estimate(*bitrate_bps, turn.now_us);
                }
            }
            // Not asked for, but understood. A viewer that stops sending has no stream here that could end.
            Feedback::TransportFeedback(_) | Feedback::Bye { .. } => {}
        }
    }

    fn stream(&mut self, ssrc: u32) -> Option<&mut Outgoing> {
        let audio = self.audio.as_mut();
        std::iter::once(&mut self.video)
            .chain(audio)
            .find(|stream| stream.agreed.ssrc == ssrc)
    }

    fn repeat(&mut self, ssrc: u32, sequences: &[u16], turn: &mut Turn<'_>) {
        let audio = self.audio.as_mut();
        let stream = std::iter::once(&mut self.video)
            .chain(audio)
            .find(|stream| stream.agreed.ssrc == ssrc);
        let Some(stream) = stream else {
            return;
        };
        for (index, sequence) in sequences.iter().enumerate() {
            if stream.is_spent() {
                let rest = sequences.len() - index;
                return count(&turn.outside.counters.retransmissions_refused, rest as u64);
            }
            let repeated = stream.repeat(*sequence, &mut self.srtp_out, turn.batch, &self.path, turn.now_us);
            match repeated {
                Ok(true) => count(&turn.outside.counters.retransmissions, 1),
                Ok(false) => count(&turn.outside.counters.retransmissions_refused, 1),
                Err(_) => {
                    self.wish = Some(Wish::Leave(Leave::Failed));
                    return;
                }
            }
        }
    }

    /// Says which instant every stream's timestamps mean, so that sound and picture are shown in step.
    pub(super) fn report(&mut self, every_us: u64, turn: &mut Turn<'_>) {
        self.report_at_us = turn.now_us + every_us;
        self.reconsider(turn.now_us);
        let mut compound = Vec::with_capacity(160);
        self.write_reports(&mut compound, turn);
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
mod tests;
