//! A camera's two streams as one viewer has them: where they come from, and which of them runs.

use super::adaptation::{Adaptation, Decision, Known, Rung};
use crate::hub::Hub;
use media_core::Codec;
use std::sync::Arc;

/// The streams that a viewer may be sent in each other's stead. At least one is there.
pub(super) struct Ladder {
    main: Option<Arc<Hub>>,
    sub: Option<Arc<Hub>>,
    /// What was agreed on: a stream of another codec cannot take over.
    codec: Codec,
    adaptation: Adaptation,
    running: Rung,
    /// The stream that runs or is to take over.
    heading: Rung,
}

impl Ladder {
    /// The streams of a viewer who takes `codec` and whose tile is `tile_height_px` high (None: as large as can be).
    pub(super) fn new(main: Arc<Hub>, sub: Arc<Hub>, codec: Codec, tile_height_px: Option<u32>) -> Self {
        let (main, sub) = (Some(main), Some(sub));
        let adaptation = Adaptation::new(tile_height_px, &known(main.as_ref(), sub.as_ref(), codec), 0);
        let first = adaptation.shows();
        Self {
            main,
            sub,
            codec,
            adaptation,
            running: first,
            heading: first,
        }
    }

    /// Where `rung` comes from; None when it was removed.
    pub(super) fn hub(&self, rung: Rung) -> Option<&Arc<Hub>> {
        match rung {
            Rung::Main => self.main.as_ref(),
            Rung::Sub => self.sub.as_ref(),
        }
    }

    /// Begins with the stream that it heads for, or the one that is left; its hub.
    pub(super) fn begin(&mut self, now_us: u64) -> Option<Arc<Hub>> {
        if self.hub(self.heading).is_none() {
            self.heading = self.heading.other();
        }
        self.runs(now_us);
        self.hub(self.heading).cloned()
    }

    /// The stream under way to the viewer.
    pub(super) fn running(&self) -> Rung {
        self.running
    }

    /// `rung` is to take over.
    pub(super) fn head_for(&mut self, rung: Rung) {
        self.heading = rung;
    }

    /// The stream that it headed for has taken over.
    pub(super) fn runs(&mut self, now_us: u64) {
        self.running = self.heading;
        self.adaptation.runs(self.running, now_us);
    }

    /// A stream was removed from the camera.
    pub(super) fn close(&mut self, hub: &Arc<Hub>) {
        for rung in [&mut self.main, &mut self.sub] {
            if rung.as_ref().is_some_and(|known| Arc::ptr_eq(known, hub)) {
                *rung = None;
            }
        }
    }

    /// The viewer's tile is so high now.
    pub(super) fn resize(&mut self, tile_height_px: u32) {
        self.adaptation.resize(tile_height_px);
    }

    /// The viewer believes that its path carries so much (bit/s).
    pub(super) fn estimate(&mut self, bps: u64, now_us: u64) {
        self.adaptation.estimate(bps, now_us);
    }

    /// The viewer has lost so much, in 1/256.
    pub(super) fn loss(&mut self, fraction: u8, now_us: u64) {
        self.adaptation.loss(fraction, now_us);
    }

    /// What is to be done, if anything.
    pub(super) fn decide(&mut self, now_us: u64) -> Option<Decision> {
        let known = known(self.main.as_ref(), self.sub.as_ref(), self.codec);
        let decision = self.adaptation.decide(&known, now_us);
        let possible = self.hub(decision.show).is_some();
        (possible && decision.show != self.heading).then_some(decision)
    }
}

fn known(main: Option<&Arc<Hub>>, sub: Option<&Arc<Hub>>, codec: Codec) -> Known {
    let shown = |hub: Option<&Arc<Hub>>| hub.and_then(|hub| hub.parameters(0)).filter(|p| p.codec == codec);
    let rate = main.map(|hub| hub.bitrate()).unwrap_or_default();
    let sub = shown(sub);
    Known {
        can_show: [shown(main).is_some(), sub.is_some()],
        main_bps: rate.mean_bps,
        main_calm_bps: rate.calm_bps,
        sub_height_px: sub.map_or(0, |parameters| parameters.height),
    }
}
