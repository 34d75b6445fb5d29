//! A volume's second thread: makes what was written durable, and sees whether the volume is there and works.

use super::writing::fail;
use super::{Desk, Writer};
use crate::archive::Presence;
use crate::archive::lane::Lane;
use crate::archive::open_file::{OpenFile, Synced};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Writer {
    pub(super) fn run_sync(&self, number: usize, presence: &Presence) {
        let desk = &self.desks[number];
        let mut next = Instant::now() + self.sync_period;
        loop {
            let wanted = {
                let mut rounds = desk.rounds.lock();
                loop {
                    if self.ending.load(Ordering::Acquire) {
                        return;
                    }
                    if rounds.wanted > rounds.done || Instant::now() >= next {
                        break rounds.wanted;
                    }
                    desk.round_called.wait_until(&mut rounds, next);
                }
            };
            let now_us = self.clock.monotonic_us();
            desk.syncing_since_us.store(now_us.max(1), Ordering::Release);
            self.look_after(desk, presence);
            desk.syncing_since_us.store(0, Ordering::Release);
            let is_waited_for = wanted > desk.rounds.lock().done;
            self.sync_round(desk, is_waited_for);
            let mut rounds = desk.rounds.lock();
            rounds.done = wanted;
            desk.round_ended.notify_all();
            drop(rounds);
            // A slow disk makes the rounds follow each other at once, never pile up.
            if Instant::now() >= next {
                next = (next + self.sync_period).max(Instant::now());
            }
        }
    }

    fn look_after(&self, desk: &Desk, presence: &Presence) {
        let volume = &desk.volume;
        if volume.is_present() {
            if let Some(error) = volume.is_gone() {
                let lost = std::mem::take(&mut *desk.open_files.lock());
                for (file, lane) in lost {
                    file.abandon();
                    lane.lost_after(file.durable_end_us());
                    volume.ended_file();
                }
                presence.gone(volume, error.message());
            } else {
                volume.look_after();
            }
        } else if volume.is_due() {
            presence.look_for(volume);
        }
    }

    /// One round over every file of a volume that has something to be made durable. Then those that are closing are
    /// sealed, as many as half a period has room for: at the full hour all are, and a seal takes several syncs, for which
    /// what comes from the cameras does not wait. All of them where `is_waited_for`.
    fn sync_round(&self, desk: &Desk, is_waited_for: bool) {
        let files = desk.open_files.lock().clone();
        self.sync_files(desk, files.iter(), false);
        let until = Instant::now() + self.sync_period / 2;
        let mut closing: Vec<_> = files.iter().filter(|(file, _)| file.is_closing()).collect();
        // Not always from the same on: one that cannot be sealed, and takes its time, must not keep the others open.
        let periods = self.clock.monotonic_us() / self.sync_period.as_micros().max(1) as u64;
        let first = periods as usize % closing.len().max(1);
        closing.rotate_left(first);
        for file in closing {
            self.sync_files(desk, std::iter::once(file), true);
            if Instant::now() >= until && !is_waited_for {
                return;
            }
        }
    }

    fn sync_files<'a>(&self, desk: &Desk, files: impl Iterator<Item = &'a (Arc<OpenFile>, Arc<Lane>)>, seals: bool) {
        let mut worked = false;
        let mut done: Vec<Arc<OpenFile>> = Vec::new();
        for (file, lane) in files {
            let now_us = self.clock.monotonic_us();
            desk.syncing_since_us.store(now_us.max(1), Ordering::Release);
            let synced = file.sync(now_us, seals);
            desk.syncing_since_us.store(0, Ordering::Release);
            match synced {
                Ok(Synced::Idle) => {}
                Ok(Synced::Data) => worked = true,
                Ok(Synced::Done) => {
                    worked = true;
                    done.push(file.clone());
                }
                Err(e) => {
                    if file.is_damaged() {
                        lane.lost_after(file.durable_end_us());
                    }
                    fail(lane, &e);
                }
            }
        }
        if worked {
            self.syncs.fetch_add(1, Ordering::Relaxed);
        }
        if !done.is_empty() {
            done.iter().for_each(|_| desk.volume.ended_file());
            desk.open_files
                .lock()
                .retain(|(file, _)| !done.iter().any(|d| Arc::ptr_eq(d, file)));
        }
    }
}
