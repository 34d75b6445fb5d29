//! One loop that sends the frames of all clients, each at its instant.

use super::super::connection::Connection;
use super::super::player::Outbox;
use super::{Camera, Client, Server};
use media_core::rtsp::message::INTERLEAVED_HEADER_BYTES;
use media_core::rtsp::server::Delivery;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A frame sent so much after it was due counts as late.
const LATE_US: u64 = 10_000;
const EXPIRY_CHECK_US: u64 = 1_000_000;

/// Instants in µs and the clients whose next frame is due then, earliest first.
pub(super) type DueQueue = BinaryHeap<Reverse<(u64, u64)>>;

impl Client {
    /// Puts the client into the queue with its next frame; an older entry of its counts no more.
    pub(super) fn schedule(&mut self, id: u64, queue: &mut DueQueue) {
        self.scheduled_us = u64::MAX;
        if let Some(due) = self.player.due() {
            self.scheduled_us = due.at_us;
            queue.push(Reverse((due.at_us, id)));
        }
    }
}

impl Server {
    /// Sends every frame at its instant.
    pub(super) async fn pace(self: Rc<Self>) {
        let origin = tokio::time::Instant::now() - Duration::from_micros(self.clock.monotonic_us());
        loop {
            let next_us = self.send_due();
            tokio::select! {
                () = tokio::time::sleep_until(origin + Duration::from_micros(next_us)) => {}
                () = self.paced.notified() => {}
            }
        }
    }

    /// Sends what is due and returns the instant of what comes next.
    fn send_due(&self) -> u64 {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let mut now_us = self.clock.monotonic_us();
        while let Some(&Reverse((due_us, id))) = state.due.peek()
            && due_us <= now_us
        {
            state.due.pop();
            let Some(client) = state
                .clients
                .get_mut(&id)
                .filter(|client| client.scheduled_us == due_us)
            else {
                continue;
            };
            let camera = &state.cameras[client.camera];
            self.send_frames(client, camera, &mut state.outbox, now_us);
            client.schedule(id, &mut state.due);
            now_us = self.clock.monotonic_us();
        }
        if now_us >= state.next_expiry_check_us {
            state.next_expiry_check_us = now_us + EXPIRY_CHECK_US;
            let expired = state
                .connections
                .values()
                .filter(|c| c.session.borrow().is_expired(now_us));
            expired.for_each(|connection| connection.close());
        }
        let next_us = state.due.peek().map_or(u64::MAX, |Reverse((due_us, _))| *due_us);
        next_us.min(state.next_expiry_check_us)
    }

    fn send_frames(&self, client: &mut Client, camera: &Camera, outbox: &mut Outbox, now_us: u64) {
        let stalled = now_us < camera.stalled_until_us;
        if !stalled {
            self.send_reports(client, outbox, now_us);
        }
        while let Some(due) = client.player.due().filter(|due| due.at_us <= now_us) {
            if stalled {
                client.player.skip(due);
                continue;
            }
            let delivery = client.player.delivery_of(due);
            let stamp_us = self.settings.stamp.then(|| self.clock.utc_us().max(0) as u64);
            outbox.clear();
            client.player.write_frame(due, &camera.fault, stamp_us, outbox);
            let counters = &self.counters;
            if self.send(&client.connection, delivery, outbox) {
                counters.frames_sent.fetch_add(1, Relaxed);
                let late = now_us.saturating_sub(due.at_us) > LATE_US;
                counters.frames_late.fetch_add(u64::from(late), Relaxed);
            } else {
                counters.frames_dropped.fetch_add(1, Relaxed);
            }
        }
    }

    pub(super) fn send_reports(&self, client: &mut Client, outbox: &mut Outbox, now_us: u64) {
        for track in 0..client.player.track_count() {
            outbox.clear();
            let utc_us = self.clock.utc_us();
            if let Some(delivery) = client.player.write_report(track, now_us, utc_us, outbox) {
                self.send(&client.connection, delivery, outbox);
            }
        }
    }

    /// False when the client has no room for it.
    fn send(&self, connection: &Connection, delivery: Delivery, outbox: &Outbox) -> bool {
        match delivery {
            Delivery::Interleaved { .. } => {
                if !connection.has_room(outbox.bytes.len()) {
                    return false;
                }
                if self.settings.packet_writes {
                    outbox
                        .packets
                        .iter()
                        .for_each(|packet| connection.write(&outbox.bytes[packet.range.clone()]));
                } else {
                    connection.write(&outbox.bytes);
                }
            }
            Delivery::Udp { .. } => {
                for packet in &outbox.packets {
                    let bytes = &outbox.bytes[packet.range.start + INTERLEAVED_HEADER_BYTES..packet.range.end];
                    self.udp.send(bytes, packet.control, connection.peer.ip(), delivery);
                }
            }
        }
        self.counters.bytes_sent.fetch_add(outbox.bytes.len() as u64, Relaxed);
        true
    }
}
