//! Where viewers send from: what they sign with their session's password proves it.

use super::Reception;
use crate::whep::batch::Carrier;
use crate::whep::consent;
use crate::whep::handshake::Origin;
use crate::whep::session::State;
use crate::whep::shard;
use crate::whep::stats::count;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Reception {
    /// The session that is known to send from there.
    pub(super) fn known(&self, origin: &Origin) -> Option<u64> {
        match origin.carrier {
            Carrier::Socket(_) => self.by_address.get(&origin.viewer).copied(),
            Carrier::Connection(number) => self.by_connection.get(&number).copied(),
        }
    }

    /// Notes that session `key` sends from there, where it has proven to be.
    pub(super) fn learn(&mut self, key: u64, origin: &Origin) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        match origin.carrier {
            Carrier::Socket(_) => {
                if let Some(forgotten) = session.learn(origin.viewer)
                    && self.by_address.get(&forgotten) == Some(&key)
                {
                    self.by_address.remove(&forgotten);
                }
                self.by_address.insert(origin.viewer, key);
            }
            Carrier::Connection(number) => {
                if let Some(spare) = session.take_connection(number) {
                    self.outside.connections.refuse(spare);
                }
                self.by_connection.insert(number, key);
                self.outside.connections.prove(number);
            }
        }
    }

    /// A STUN message that names session `key`; false when it is not signed by its viewer.
    pub(super) fn stun(&mut self, key: u64, datagram: &[u8], origin: &Origin, now: Instant) -> bool {
        let known = self.known(origin);
        // A connection is one session's: there is nobody behind it but the viewer that opened it.
        if matches!(origin.carrier, Carrier::Connection(_)) && known.is_some_and(|known| known != key) {
            return false;
        }
        let Some(session) = self.sessions.get_mut(&key) else {
            return false;
        };
        if let State::Connected(connected) = &mut session.state
            && !connected.takes_request(now)
        {
            count(&self.outside.counters.feedback_refused, 1);
            return true;
        }
        // A new address, or one that another session of the same machine had: only the password proves whose it is.
        let Some(consent) = consent::answer(datagram, origin.viewer, &session.password, self.hmac) else {
            if known == Some(key) {
                count(&self.outside.counters.datagrams_malformed, 1);
            }
            return known == Some(key);
        };
        let fresh = session.is_fresh(consent.transaction);
        if fresh && known != Some(key) {
            self.learn(key, origin);
        }
        let Some(session) = self.sessions.get_mut(&key) else {
            return false;
        };
        match &mut session.state {
            State::Connecting(connecting) => {
                let taken = connecting.0.receive(&self.outside, datagram, origin, now);
                self.after_handshake(key, taken.is_ok());
            }
            State::Connected(connected) => {
                let path = origin.path();
                self.outside.send(&consent.reply, Some(path));
                if !fresh {
                    return true;
                }
                if connected.moves_to(path, consent.nominates, now) {
                    count(&self.outside.counters.moves, 1);
                    let _ = self.shards[connected.shard].send(shard::Command::Move(key, path));
                }
                // Consent (RFC 7675) is for the path in use: from elsewhere anyone on the way may send it.
                if connected.path == path {
                    connected.heard_us.store(self.outside.us(now), Ordering::Relaxed);
                }
            }
            State::Over => {}
        }
        true
    }
}
