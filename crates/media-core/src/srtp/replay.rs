//! Which packets were seen already (RFC 3711 §3.3.2).

/// Packets that may come late: twice what the standard asks for, so that a burst of repairs is not taken for a replay.
const WINDOW: u64 = 128;

/// The highest index received and which of the `WINDOW` before it.
#[derive(Debug, Clone, Default)]
pub(super) struct ReplayWindow {
    /// None before the first packet.
    highest: Option<u64>,
    /// Bit n: `highest - n` was received.
    received: u128,
}

impl ReplayWindow {
    /// Whether `index` was received before, or is too old to tell.
    pub(super) fn is_replay(&self, index: u64) -> bool {
        match self.highest {
            Some(highest) if index <= highest => {
                let age = highest - index;
                age >= WINDOW || self.received >> age & 1 == 1
            }
            _ => false,
        }
    }

    /// Notes that `index` was received; its packet must have been authenticated before.
    pub(super) fn note(&mut self, index: u64) {
        match self.highest {
            Some(highest) if index <= highest => {
                let age = highest - index;
                if age < WINDOW {
                    self.received |= 1 << age;
                }
            }
            Some(highest) => {
                let step = u32::try_from(index - highest).unwrap_or(u32::MAX);
                self.received = self.received.checked_shl(step).unwrap_or(0) | 1;
                self.highest = Some(index);
            }
            None => {
                self.received = 1;
                self.highest = Some(index);
            }
        }
    }

    /// The index whose low 16 bits are `sequence` that is closest to the highest received (RFC 3711 §3.3.1); before
    /// the first packet, the one with roll-over counter 0.
    pub(super) fn closest_index(&self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else {
            return u64::from(sequence);
        };
        let step = i64::from(sequence.wrapping_sub(highest as u16) as i16);
        // Before the counter's start there is nothing: a sequence number from there is one ahead.
        highest
            .checked_add_signed(step)
            .unwrap_or(highest + u64::from(sequence.wrapping_sub(highest as u16)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(indices: &[u64]) -> ReplayWindow {
        let mut window = ReplayWindow::default();
        for index in indices {
            assert!(!window.is_replay(*index), "{index}");
            window.note(*index);
        }
        window
    }

    #[test]
    fn each_index_passes_once_in_any_order_within_the_window() {
        let window = after(&[1000, 1002, 1001, 900, 1003, 1127]);
        for seen in [1000, 1001, 1002, 1003, 1127] {
            assert!(window.is_replay(seen), "{seen}");
        }
        assert!(!window.is_replay(1004));
        assert!(window.is_replay(999), "128 before the highest");
        assert!(!window.is_replay(1128));
    }

    #[test]
    fn a_jump_forgets_what_was_before() {
        let window = after(&[5, 200_000]);
        assert!(window.is_replay(5));
        assert!(!window.is_replay(199_999));
        let window = after(&[0, 1 << 40]);
        assert!(!window.is_replay((1 << 40) - 1));
    }

    #[test]
    fn the_index_follows_the_sequence_number_across_its_wraps() {
        let mut window = ReplayWindow::default();
        assert_eq!(window.closest_index(65_535), 65_535);
        window.note(65_530);
        assert_eq!(window.closest_index(2), 65_538);
        window.note(65_538);
        assert_eq!(window.closest_index(65_531), 65_531, "late, from before the wrap");
        assert_eq!(window.closest_index(40), 65_576);
        let early = after(&[10]);
        assert_eq!(early.closest_index(65_000), 65_000, "no roll-over counter below 0");
    }
}
