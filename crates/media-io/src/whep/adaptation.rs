//! Which of a camera's two streams a viewer is sent: decided from the size of its tile and from what it says of its path.
//!
//! Pure: time and everything known are passed in. Two things make the estimates of browsers (REMB) unlike a bandwidth.
//! They never exceed one and a half times what has arrived of late, so on the sub stream they say nothing about the main
//! one: whether that passes is found out by trying. And on a free path they climb by some eight percent a second from
//! wherever they are, so a low one is a sign of trouble only when it does not rise.

/// One of a camera's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rung {
    Main,
    Sub,
}

impl Rung {
    /// The camera's other stream.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Main => Self::Sub,
            Self::Sub => Self::Main,
        }
    }
}

/// What is known of the two streams. Bit rates in bit/s, 0 while unknown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Whether each of main and sub can be shown to the viewer at all.
    pub(super) can_show: [bool; 2],
    /// The main stream's over the last seconds.
    pub(super) main_bps: u64,
    /// The main stream's in its calmest second of them: what the estimates can be expected to have seen.
    pub(super) main_calm_bps: u64,
    /// Height of the sub stream's pictures, 0 while unknown.
    pub(super) sub_height_px: u32,
}

/// What to show, and how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) show: Rung,
    /// At once, out of the GOP cache, where that costs little; else at the next key frame.
    pub(super) soon: bool,
}

/// The stream that suits a tile of this height (None: as large as can be), where nothing else decides.
pub(super) fn suits(tile_height_px: Option<u32>, sub_height_px: u32) -> Rung {
    let enough_px = match sub_height_px {
        0 => LIKELY_SUB_HEIGHT_PX,
        height_px => height_px,
    };
    match tile_height_px {
        Some(tile_px) if tile_px <= enough_px => Rung::Sub,
        _ => Rung::Main,
    }
}

const SECOND_US: u64 = 1_000_000;
/// Nothing changes more often, whatever the cause, but a stream that is too much is given up at any time: that cannot
/// come again before the first pause is over. So there are twenty changes a minute at most.
const DWELL_US: u64 = 3 * SECOND_US;
/// How long there must be trouble before the main stream is given up: one sign of it, or both.
const TROUBLE_US: u64 = 2 * SECOND_US;
const DOUBLE_TROUBLE_US: u64 = SECOND_US;
/// After giving it up, the pause without losses before it is tried again; doubled by every try that fails.
const FIRST_PAUSE_US: u64 = 10 * SECOND_US;
const LONGEST_PAUSE_US: u64 = 120 * SECOND_US;
/// A try that lasted this long has not failed.
const PROVEN_US: u64 = 30 * SECOND_US;
/// Of a viewer that has stopped sending estimates, the last one says nothing any more.
const ESTIMATE_LASTS_US: u64 = 10 * SECOND_US;
/// More than 5 % lost, in the 1/256 of a receiver report.
const LOSSY: u8 = 12;
/// The sub stream's height where it is not known yet.
const LIKELY_SUB_HEIGHT_PX: u32 = 480;

/// An estimate that is too low for the main stream, and since when it has not risen.
#[derive(Debug, Clone, Copy)]
struct Low {
    highest_bps: u64,
    since_us: u64,
}

/// The state of one viewer. Times are µs of one monotonic clock.
#[derive(Debug)]
pub(super) struct Adaptation {
    tile_height_px: Option<u32>,
    show: Decision,
    decided_us: Option<u64>,
    /// The stream under way to the viewer, and since when.
    running: Rung,
    running_since_us: u64,
    estimate: Option<(u64, u64)>,
    low: Option<Low>,
    lossy_since_us: Option<u64>,
    last_lossy_us: u64,
    /// When the path last proved too narrow for the main stream.
    given_up_us: Option<u64>,
    pause_us: u64,
}

impl Adaptation {
    /// A viewer with a tile of this height in device pixels (None: unknown, as large as can be), at the beginning.
    pub(super) fn new(tile_height_px: Option<u32>, known: &Known, now_us: u64) -> Self {
        let mut adaptation = Self {
            tile_height_px,
            show: Decision {
                show: Rung::Main,
                soon: true,
            },
            decided_us: None,
            running: Rung::Main,
            running_since_us: now_us,
            estimate: None,
            low: None,
            lossy_since_us: None,
            last_lossy_us: 0,
            given_up_us: None,
            pause_us: FIRST_PAUSE_US,
        };
        let wanted = suits(tile_height_px, known.sub_height_px);
        let show = match known.can_show {
            [true, false] => Rung::Main,
            [false, true] => Rung::Sub,
            _ => wanted,
        };
        adaptation.show.show = show;
        adaptation.running = show;
        adaptation
    }

    /// The stream decided on last.
    pub(super) fn shows(&self) -> Rung {
        self.show.show
    }

    /// The viewer's tile has another size now.
    pub(super) fn resize(&mut self, tile_height_px: u32) {
        self.tile_height_px = Some(tile_height_px);
    }

    /// The viewer believes that its path carries so much.
    pub(super) fn estimate(&mut self, bps: u64, now_us: u64) {
        self.estimate = Some((bps, now_us));
    }

    /// The viewer has lost so much since its last report, in 1/256.
    pub(super) fn loss(&mut self, fraction: u8, now_us: u64) {
        if fraction > LOSSY {
            self.lossy_since_us.get_or_insert(now_us);
            self.last_lossy_us = now_us;
        } else {
            self.lossy_since_us = None;
        }
    }

    /// `rung` is under way to the viewer from now on.
    pub(super) fn runs(&mut self, rung: Rung, now_us: u64) {
        self.running = rung;
        self.running_since_us = now_us;
        self.low = None;
        self.lossy_since_us = None;
    }

    /// What to show now. To be asked some times a second, and whenever the tile changes.
    pub(super) fn decide(&mut self, known: &Known, now_us: u64) -> Decision {
        let current = self.show.show;
        if let [true, false] | [false, true] = known.can_show {
            let only = if known.can_show[0] { Rung::Main } else { Rung::Sub };
            if current != only {
                self.turn_to(only, true, now_us);
            }
            return self.show;
        }
        let overloaded = self.overloaded(known, now_us);
        let proven = self.running == Rung::Main && now_us.saturating_sub(self.running_since_us) >= PROVEN_US;
        if proven && !overloaded {
            self.given_up_us = None;
        }
        let just_decided = self.decided_us.is_some_and(|at| now_us.saturating_sub(at) < DWELL_US);
        if just_decided && !overloaded {
            return self.show;
        }
        let wanted = suits(self.tile_height_px, known.sub_height_px);
        match current {
            Rung::Main if overloaded => {
                self.pause_us = match self.given_up_us {
                    Some(_) if !proven => (2 * self.pause_us).min(LONGEST_PAUSE_US),
                    _ => FIRST_PAUSE_US,
                };
                self.given_up_us = Some(now_us);
                self.turn_to(Rung::Sub, true, now_us);
            }
            Rung::Main if wanted == Rung::Sub => self.turn_to(Rung::Sub, true, now_us),
            Rung::Sub if wanted == Rung::Main && self.may_climb(known, now_us) => {
                // A large tile waits for nothing; a try does not disturb what is shown.
                self.turn_to(Rung::Main, self.given_up_us.is_none(), now_us);
            }
            Rung::Main | Rung::Sub => {}
        }
        self.show
    }

    fn turn_to(&mut self, show: Rung, soon: bool, now_us: u64) {
        self.show = Decision { show, soon };
        self.decided_us = Some(now_us);
    }

    fn fresh_estimate(&self, now_us: u64) -> Option<u64> {
        let (bps, at_us) = self.estimate?;
        (now_us.saturating_sub(at_us) <= ESTIMATE_LASTS_US).then_some(bps)
    }

    /// Whether the main stream has been too much for the viewer's path for a while.
    fn overloaded(&mut self, known: &Known, now_us: u64) -> bool {
        if self.running != Rung::Main || self.show.show != Rung::Main {
            return false;
        }
        let needed_bps = u128::from(known.main_calm_bps) * 11 / 10;
        match self.fresh_estimate(now_us) {
            Some(bps) if u128::from(bps) < needed_bps => {
                let low = self.low.get_or_insert(Low {
                    highest_bps: bps,
                    since_us: now_us,
                });
                if u128::from(bps) * 100 > u128::from(low.highest_bps) * 101 {
                    *low = Low {
                        highest_bps: bps,
                        since_us: now_us,
                    };
                }
            }
            _ => self.low = None,
        }
        let lasted_us = |since_us: Option<u64>| since_us.map_or(0, |since_us| now_us.saturating_sub(since_us));
        let (low_us, lossy_us) = (
            lasted_us(self.low.map(|low| low.since_us)),
            lasted_us(self.lossy_since_us),
        );
        low_us.max(lossy_us) >= TROUBLE_US || low_us.min(lossy_us) >= DOUBLE_TROUBLE_US
    }

    /// Whether the main stream may be tried (again).
    fn may_climb(&self, known: &Known, now_us: u64) -> bool {
        let Some(given_up_us) = self.given_up_us else {
            return true;
        };
        let clean_us = now_us.saturating_sub(given_up_us.max(self.last_lossy_us));
        let ample = known.main_bps > 0
            && self
                .fresh_estimate(now_us)
                .is_some_and(|bps| u128::from(bps) * 10 >= u128::from(known.main_bps) * 13);
        clean_us >= self.pause_us || (ample && clean_us >= FIRST_PAUSE_US.max(self.pause_us / 4))
    }
}

#[cfg(test)]
#[path = "adaptation_tests.rs"]
mod tests;
