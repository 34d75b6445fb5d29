//! What a viewer says about what it got, and what follows from it.

use super::{LAST_FOR_US, Leave, Phase, Turn, Viewer, Wish};
use crate::whep::outgoing::Outgoing;
use crate::whep::stats::count;
use media_core::rtp::feedback::{Feedback, parse_feedback};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

impl Viewer {
    /// Reads one SRTCP datagram of the viewer, from `source`. `plain` is room for what is in it.
    pub(in crate::whep) fn receive(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        plain: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) {
        plain.clear();
        let read = self.srtp_in.unprotect_rtcp(datagram, plain);
        // Authentic and not a replay: the viewer is there.
        if read.is_ok() {
            self.heard_us.store(turn.now_us, Ordering::Relaxed);
        }
        match read.and_then(|()| parse_feedback(plain)) {
            Ok(feedback) => {
                if source == self.path.destination && feedback.iter().any(|statement| self.proves(statement)) {
                    self.unproven_since_us = None;
                }
                feedback.iter().for_each(|statement| self.heed(statement, turn));
                if turn.now_us >= self.reconsider_at_us {
                    self.reconsider(turn.now_us);
                }
            }
            // Anyone can forge such a datagram: it must not end a session.
            Err(_) => count(&turn.outside.counters.datagrams_malformed, 1),
        }
    }

    /// Whether a viewer that says this got what was sent to where it is said to have moved.
    fn proves(&self, statement: &Feedback) -> bool {
        let Feedback::ReceiverReport { blocks, .. } = statement else {
            return false;
        };
        blocks
            .iter()
            .any(|block| self.told_there.contains(&block.last_sender_report))
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
                let asked = *media_ssrc == self.video.agreed.ssrc && self.may_resend(turn.now_us);
                // A burst that is under way is the answer.
                if asked && !matches!(self.phase, Phase::Bursting(_)) {
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
                self.last_until_us = turn.now_us + LAST_FOR_US;
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
}
