//! What follows from a handshake: a shard gets the viewer.

use super::Reception;
use crate::whep::feed::feed_of;
use crate::whep::load::{choose_shard, note};
use crate::whep::session::{Connected, End, State};
use crate::whep::shard;
use crate::whep::stats::count;
use crate::whep::viewer::Viewer;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

impl Reception {
    /// What follows from a step of a handshake: the viewer is connected, or gone, or there is a next timer.
    pub(super) fn after_handshake(&mut self, key: u64, alive: bool) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let connected = matches!(&session.state, State::Connecting(connecting) if connecting.0.is_connected());
        if !alive {
            return self.remove(key, End::Failed);
        }
        if !connected {
            return self.schedule(key);
        }
        if self.hand_over(key).is_none() {
            return self.remove(key, End::Failed);
        }
        self.schedule(key);
    }

    /// Gives a session that has just connected to a shard.
    fn hand_over(&mut self, key: u64) -> Option<()> {
        let session = self.sessions.get_mut(&key)?;
        let now = Instant::now();
        let State::Connecting(connecting) = std::mem::replace(&mut session.state, State::Over) else {
            return None;
        };
        let (handshake, mut streams) = *connecting;
        let ladder = streams.ladder.as_mut();
        let first = ladder.and_then(|ladder| ladder.begin(self.outside.us(now)));
        let first = first.unwrap_or_else(|| session.hub.clone());
        let (dtls, path) = handshake.finish().ok()?;
        let contexts = dtls.srtp().ok()?;
        let heard_us = Arc::new(AtomicU64::new(self.outside.us(now)));
        let viewer = Viewer::new(key, path, contexts, streams, heard_us.clone());
        let shard = choose_shard(&self.loads, self.shows.get(&feed_of(&session.hub)));
        self.shards[shard]
            .send(shard::Command::Join(first, Box::new(viewer)))
            .ok()?;
        self.loads[shard] += 1;
        note(&mut self.shows, feed_of(&session.hub), shard, self.shards.len());
        session.state = State::Connected(Connected::new(dtls, shard, path, now, heard_us));
        count(&self.outside.counters.connected, 1);
        Some(())
    }
}
