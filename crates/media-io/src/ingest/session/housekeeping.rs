//! What a session does once a second, whatever its sockets do: time-outs, keep-alives, reports, figures.

use super::{Session, cnonce, not_rtsp};
use crate::ingest::{TransportKind, unavailable};
use media_core::rtp::track_receiver::TrackReceiver;
use media_core::rtsp::message::interleaved_header;
use media_core::rtsp::transport::Delivery;
use media_core::{Error, ErrorKind, Result};

/// How often this runs: what is due within half of it is done now.
const TICK_US: u64 = 1_000_000;
/// The camera has so long for each answer.
const ANSWER_TIMEOUT_US: u64 = 5_000_000;
/// No frame for so long means that the camera is lost.
const FRAME_TIMEOUT_US: u64 = 5_000_000;
/// Pictures without parameter sets for so long are an error.
const PARAMETERS_TIMEOUT_US: u64 = 3_000_000;
/// Receiver reports are sent this often.
const REPORT_INTERVAL_US: u64 = 5_000_000;

const CANONICAL_NAME: &str = "vms";

impl Session<'_> {
    /// Housekeeping, once a second.
    pub(super) fn second(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let now = self.now();
        let now_us = now.monotonic_us;
        let Some(playing_since_us) = self.playing_since_us else {
            return match self.client.waiting_for() {
                Some(_) if now_us.saturating_sub(self.last_request_us) < ANSWER_TIMEOUT_US => Ok(()),
                Some(_) if self.heard && !self.speaks_rtsp => Err(not_rtsp("something without an end")),
                Some(method) => {
                    self.silent = true;
                    Err(unavailable(format!("the camera does not answer {method}")))
                }
                None => Ok(()),
            };
        };
        for at in 0..self.tracks.len() {
            if self.tracks[at].receiver.is_waiting() {
                self.tracks[at].receiver.expire(now, &mut self.units);
            }
        }
        self.publish(now);
        self.count();
        self.check_frames(now_us, playing_since_us)?;
        let keep_alive_us = u64::from(self.client.keep_alive_s()) * 1_000_000;
        if now_us.saturating_sub(self.keep_alive_us) + TICK_US / 2 >= keep_alive_us {
            self.keep_alive_us = now_us;
            self.client.keep_alive(&cnonce(), out);
        }
        if now_us.saturating_sub(self.last_report_us) >= REPORT_INTERVAL_US {
            self.last_report_us = now_us;
            self.report(now_us, out);
        }
        Ok(())
    }

    fn check_frames(&mut self, now_us: u64, playing_since_us: u64) -> Result<()> {
        let silent_us = now_us.saturating_sub(self.last_frame_us);
        if let Some(video) = self.tracks.first().filter(|_| self.first_frame_us.is_none()) {
            let starved = video.receiver.figures().units_without_parameters > 0
                && now_us.saturating_sub(playing_since_us) >= PARAMETERS_TIMEOUT_US;
            if starved && silent_us < 2 * FRAME_TIMEOUT_US {
                // Said at once; the camera gets another while before it is asked anew.
                self.status.failed(&starvation(&video.receiver));
                return Ok(());
            }
            if starved {
                return Err(starvation(&video.receiver));
            }
        }
        if silent_us >= FRAME_TIMEOUT_US {
            let nothing = self.tracks.iter().all(|track| track.receiver.figures().packets == 0);
            let filtered = nothing && self.client.transport() == TransportKind::Udp;
            self.silent = !filtered;
            let hint = if filtered {
                "; no UDP packet came at all, which a firewall may be the cause of: TCP may work"
            } else {
                ""
            };
            return Err(unavailable(format!(
                "no frame for {} s{hint}",
                FRAME_TIMEOUT_US / 1_000_000
            )));
        }
        Ok(())
    }

    fn report(&mut self, now_us: u64, out: &mut Vec<u8>) {
        for track in &mut self.tracks {
            let mut report = Vec::new();
            track
                .receiver
                .write_receiver_report(self.ssrc, CANONICAL_NAME, now_us, &mut report);
            if report.is_empty() {
                continue;
            }
            match (track.delivery, &track.datagrams) {
                (Some(Delivery::Interleaved { rtcp_channel, .. }), _) => {
                    out.extend_from_slice(&interleaved_header(rtcp_channel, report.len() as u16));
                    out.extend_from_slice(&report);
                }
                (Some(Delivery::Udp { server_ports, .. }), Some(datagrams)) => {
                    datagrams.send_report(server_ports, &report);
                }
                _ => {}
            }
        }
    }

    /// Brings the shared counters up to date.
    pub(super) fn count(&mut self) {
        for track in &mut self.tracks {
            let (now, before) = (track.receiver.figures(), track.counted);
            self.status.count_rtp(
                now.lost_packets - before.lost_packets,
                now.reordered_packets - before.reordered_packets,
                now.discarded_units - before.discarded_units,
            );
            track.counted = now;
        }
        let offset_us = self
            .tracks
            .first()
            .and_then(|video| video.receiver.clock().camera_offset_us());
        self.status.second(self.clock.monotonic_us(), offset_us);
    }
}

fn starvation(video: &TrackReceiver) -> Error {
    let why = video
        .parameter_error()
        .map_or(String::new(), |error| format!(": {}", error.message()));
    Error::new(
        ErrorKind::Malformed,
        format!("no usable parameter sets (SPS/PPS) seen in 3 s{why}"),
    )
}
