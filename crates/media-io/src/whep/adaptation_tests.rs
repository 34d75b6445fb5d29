//! What is decided for a viewer whose path and tile change.

use super::*;
use proptest::prelude::*;

const KNOWN: Known = Known {
    can_show: [true, true],
    main_bps: 4_000_000,
    main_calm_bps: 3_600_000,
    sub_height_px: 360,
};
const START_US: u64 = 1_000 * SECOND_US;

/// A viewer that is asked once a second and whose streams change over at once.
struct Bench {
    adaptation: Adaptation,
    known: Known,
    now_us: u64,
    switches: Vec<(u64, Rung)>,
}

impl Bench {
    fn new(tile_height_px: Option<u32>) -> Self {
        Self {
            adaptation: Adaptation::new(tile_height_px, &KNOWN, START_US),
            known: KNOWN,
            now_us: START_US,
            switches: Vec::new(),
        }
    }

    fn decide(&mut self) -> Decision {
        let before = self.adaptation.shows();
        let decision = self.adaptation.decide(&self.known, self.now_us);
        if decision.show != before {
            self.switches.push((self.now_us - START_US, decision.show));
            self.adaptation.runs(decision.show, self.now_us);
        }
        decision
    }

    /// Lets seconds pass, with what the viewer says in each.
    fn pass(&mut self, seconds: u64, says: impl Fn(&mut Adaptation, u64)) {
        for _ in 0..seconds {
            self.now_us += SECOND_US;
            says(&mut self.adaptation, self.now_us);
            self.decide();
        }
    }

    fn seconds(&self) -> Vec<(u64, Rung)> {
        self.switches.iter().map(|(at, rung)| (at / SECOND_US, *rung)).collect()
    }
}

fn quiet(_: &mut Adaptation, _: u64) {}

#[test]
fn the_tile_chooses_where_nothing_is_in_the_way() {
    for (tile, rung) in [
        (Some(360), Rung::Sub),
        (Some(361), Rung::Main),
        (Some(0), Rung::Sub),
        (None, Rung::Main),
    ] {
        assert_eq!(Bench::new(tile).adaptation.shows(), rung, "{tile:?}");
    }
    let unknown = Known {
        sub_height_px: 0,
        ..KNOWN
    };
    assert_eq!(Adaptation::new(Some(480), &unknown, 0).shows(), Rung::Sub);
    assert_eq!(Adaptation::new(Some(481), &unknown, 0).shows(), Rung::Main);

    let mut bench = Bench::new(Some(300));
    bench.pass(60, quiet);
    bench.adaptation.resize(1080);
    assert_eq!(
        bench.decide(),
        Decision {
            show: Rung::Main,
            soon: true
        },
        "an enlarged tile waits for nothing"
    );
    bench.adaptation.resize(300);
    assert_eq!(bench.decide().show, Rung::Main, "nor does it flicker");
    bench.pass(3, quiet);
    assert_eq!(bench.seconds(), [(60, Rung::Main), (63, Rung::Sub)]);
}

#[test]
fn a_stream_that_is_not_there_is_not_chosen() {
    for (can_show, rung) in [([true, false], Rung::Main), ([false, true], Rung::Sub)] {
        for tile in [Some(100), Some(2000)] {
            let known = Known { can_show, ..KNOWN };
            assert_eq!(Adaptation::new(tile, &known, 0).shows(), rung);
            let mut bench = Bench::new(tile);
            bench.known = known;
            assert_eq!(bench.decide().show, rung, "at once, whatever was decided when");
        }
    }
}

#[test]
fn a_low_estimate_that_does_not_rise_brings_the_sub_stream() {
    let mut bench = Bench::new(None);
    bench.pass(5, |viewer, now_us| viewer.estimate(6_000_000, now_us));
    bench.pass(5, |viewer, now_us| viewer.estimate(2_000_000, now_us));
    assert_eq!(bench.seconds(), [(8, Rung::Sub)], "two seconds after it was first low");
}

#[test]
fn a_low_estimate_and_losses_together_tell_sooner_and_a_try_that_fails_ends_at_once() {
    let bad = |viewer: &mut Adaptation, now_us: u64| {
        viewer.estimate(1_000_000, now_us);
        viewer.loss(100, now_us);
    };
    let mut bench = Bench::new(None);
    bench.pass(2, bad);
    bench.pass(10, |viewer, now_us| viewer.loss(0, now_us));
    bench.pass(2, bad);
    assert_eq!(bench.seconds(), [(2, Rung::Sub), (12, Rung::Main), (14, Rung::Sub)]);
}

#[test]
fn a_low_estimate_that_rises_is_a_browser_that_has_just_begun() {
    let mut bench = Bench::new(None);
    bench.pass(40, |viewer, now_us| {
        let seconds = (now_us - START_US) / SECOND_US;
        let bps = 600_000.0 * 1.08f64.powi(seconds as i32);
        viewer.estimate((bps as u64).min(6_000_000), now_us);
    });
    assert_eq!(bench.seconds(), []);
    // And one that the calm between two key frames holds back is not low.
    bench.pass(40, |viewer, now_us| viewer.estimate(4_000_000, now_us));
    assert_eq!(bench.seconds(), []);
}

#[test]
fn loss_brings_the_sub_stream_only_when_it_lasts() {
    let mut bench = Bench::new(None);
    for _ in 0..10 {
        bench.pass(2, |viewer, now_us| viewer.loss(60, now_us));
        bench.pass(1, |viewer, now_us| viewer.loss(12, now_us));
    }
    assert_eq!(bench.seconds(), []);
    bench.pass(3, |viewer, now_us| viewer.loss(13, now_us));
    assert_eq!(bench.seconds(), [(33, Rung::Sub)]);
}

#[test]
fn after_a_pause_the_main_stream_is_tried_and_the_pause_doubles_while_that_fails() {
    let mut bench = Bench::new(None);
    // A path that takes the sub stream alone: on the main stream the estimate stands.
    for _ in 0..400 {
        let narrow = bench.adaptation.shows() == Rung::Main;
        bench.pass(1, |viewer, now_us| {
            viewer.estimate(600_000, now_us);
            viewer.loss(if narrow { 50 } else { 0 }, now_us);
        });
    }
    let seconds = bench.seconds();
    let pauses: Vec<u64> = seconds.chunks_exact(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert_eq!(pauses[..4], [10, 20, 40, 80], "{seconds:?}");
    // It is wide now: one more try, and the next trouble finds short pauses again.
    bench.pass(200, |viewer, now_us| viewer.estimate(8_000_000, now_us));
    assert_eq!(bench.adaptation.shows(), Rung::Main);
    bench.switches.clear();
    let from = (bench.now_us - START_US) / SECOND_US;
    bench.pass(3, |viewer, now_us| viewer.estimate(100_000, now_us));
    bench.pass(11, |viewer, now_us| viewer.estimate(600_000, now_us));
    assert_eq!(bench.seconds(), [(from + 3, Rung::Sub), (from + 13, Rung::Main)]);
}

#[test]
fn an_ample_estimate_shortens_a_long_pause() {
    let mut bench = Bench::new(None);
    bench.adaptation.given_up_us = Some(START_US);
    bench.adaptation.pause_us = LONGEST_PAUSE_US;
    bench.adaptation.show.show = Rung::Sub;
    bench.adaptation.running = Rung::Sub;
    bench.pass(60, |viewer, now_us| viewer.estimate(5_200_000, now_us));
    assert_eq!(bench.seconds(), [(30, Rung::Main)]);
}

#[test]
fn losses_on_the_sub_stream_put_the_next_try_off() {
    let mut bench = Bench::new(None);
    bench.pass(4, |viewer, now_us| viewer.estimate(100_000, now_us));
    bench.pass(20, |viewer, now_us| viewer.loss(30, now_us));
    assert_eq!(bench.seconds(), [(3, Rung::Sub)]);
    bench.pass(10, |viewer, now_us| viewer.loss(0, now_us));
    assert_eq!(bench.seconds()[1..], [(34, Rung::Main)]);
}

#[test]
fn an_old_estimate_is_forgotten() {
    let mut bench = Bench::new(None);
    bench.adaptation.estimate(1, START_US);
    bench.now_us += 11 * SECOND_US;
    bench.pass(60, quiet);
    assert_eq!(bench.seconds(), []);
}

#[test]
fn while_the_main_stream_is_still_awaited_its_estimates_are_none() {
    let mut adaptation = Adaptation::new(Some(100), &KNOWN, START_US);
    adaptation.resize(2000);
    let mut now_us = START_US + 100 * SECOND_US;
    assert_eq!(adaptation.decide(&KNOWN, now_us).show, Rung::Main);
    for _ in 0..20 {
        now_us += SECOND_US;
        adaptation.estimate(600_000, now_us);
        assert_eq!(adaptation.decide(&KNOWN, now_us).show, Rung::Main);
    }
}

/// What a hostile or broken viewer may say between two moments.
fn sayings() -> impl Strategy<Value = Vec<(u64, u8, u64)>> {
    let bps = prop_oneof![Just(0), Just(u64::MAX), 0..10_000_000u64];
    prop::collection::vec((1u64..2_000_000, 0u8..4, bps), 1..800)
}

proptest! {
    #[test]
    fn switches_are_bounded_whatever_is_said(sayings in sayings(), sized in any::<bool>()) {
        let mut bench = Bench::new(None);
        for (pause_us, what, value) in sayings {
            bench.now_us += pause_us;
            let now_us = bench.now_us;
            match what {
                0 => bench.adaptation.estimate(value, now_us),
                1 => bench.adaptation.loss(value as u8, now_us),
                2 if sized => bench.adaptation.resize(value as u32),
                _ => {}
            }
            bench.decide();
        }
        let times: Vec<u64> = bench.switches.iter().map(|(at, _)| *at).collect();
        // Twenty a minute with a tile that changes all the time; what the path is said to be takes ten seconds to climb.
        let most = if sized { 20 } else { 12 };
        for (index, from) in times.iter().enumerate() {
            let within = times[index..].iter().filter(|at| **at < from + 60 * SECOND_US).count();
            prop_assert!(within <= most, "{within} switches within a minute");
        }
    }
}
