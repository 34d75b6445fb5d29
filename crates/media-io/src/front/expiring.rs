//! A map of bounded size whose entries go when their time has come.

use aws_lc_rs::digest;
use std::collections::{BTreeSet, HashMap};

/// SHA-256 of a credential: a fixed size, and no credential in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of several parts, each with its length, so that no two lists have one fingerprint.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut print = [0; 32];
        print.copy_from_slice(context.finish().as_ref());
        Self(print)
    }
}

/// Entries by fingerprint, each until a time; the unit of time is the caller's.
pub(super) struct ExpiringMap<V> {
    capacity: usize,
    entries: HashMap<Fingerprint, (i64, V)>,
    by_expiry: BTreeSet<(i64, Fingerprint)>,
}

impl<V> ExpiringMap<V> {
    /// Holds at most `capacity` entries; over that, those that expire first go first.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: HashMap::new(),
            by_expiry: BTreeSet::new(),
        }
    }

    /// The entry, unless its time has come.
    pub(super) fn get(&self, key: &Fingerprint, now: i64) -> Option<&V> {
        self.entries
            .get(key)
            .filter(|(until, _)| now < *until)
            .map(|(_, value)| value)
    }

    /// Adds or replaces an entry that counts before `until`.
    pub(super) fn insert(&mut self, key: Fingerprint, value: V, until: i64, now: i64) {
        if let Some((old, _)) = self.entries.remove(&key) {
            self.by_expiry.remove(&(old, key));
        }
        while let Some(&(first, old)) = self.by_expiry.first() {
            if first > now && self.by_expiry.len() < self.capacity {
                break;
            }
            self.by_expiry.remove(&(first, old));
            self.entries.remove(&old);
        }
        self.entries.insert(key, (until, value));
        self.by_expiry.insert((until, key));
    }

    /// Entries held, expired ones that nobody met included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
