//! What a session does with units and with time, without a network.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::clock::SystemClock;
use crate::hub::GOP_CACHE_BYTES;
use crate::whep::negotiation::Identity;
use media_core::{Codec, TrackParameters};
use std::sync::atomic::Ordering;

const SECOND: Duration = Duration::from_secs(1);

struct Lone {
    session: Session,
    outside: Outside,
    cutter: Cutter,
    parameters: Arc<TrackParameters>,
    now: Instant,
}

/// A session that nobody has connected to, outside of any driver.
fn lone() -> Lone {
    let parameters = TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: vec![1, 0x4d, 0x40, 0x1f, 0xff, 0xe0, 0].into(),
        width: 0,
        height: 0,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 0,
    };
    let now = Instant::now();
    let offer = include_str!("offers/chromium_video.sdp");
    let agreed = Identity::new()
        .unwrap()
        .agree("a", offer, &parameters, None, &[], now)
        .unwrap();
    let origins = Origins {
        timestamps: [0; 2],
        sequences: [u16::MAX; 2],
    };
    let session = Session::new("id".to_owned(), Hub::new("a", GOP_CACHE_BYTES), agreed, origins, now);
    let outside = Outside::new(Vec::new(), Arc::default(), SystemClock::new());
    Lone {
        session,
        outside,
        cutter: Cutter::default(),
        parameters: Arc::new(parameters),
        now,
    }
}

impl Lone {
    fn unit(&self, index: i64, key: bool, size: usize) -> Arc<AccessUnit> {
        let mut data = (size as u32).to_be_bytes().to_vec();
        data.push(if key { 0x65 } else { 0x41 });
        data.resize(4 + size, 0xff);
        Arc::new(AccessUnit {
            track: 0,
            pts: index * 3000,
            dts: index * 3000,
            utc_us: 0,
            received_us: 0,
            key,
            discontinuity: false,
            lost_packets: 0,
            data: data.into(),
            parameters: self.parameters.clone(),
        })
    }

    fn push(&mut self, unit: &Arc<AccessUnit>) {
        let cutter = &mut self.cutter;
        let mut payloads = || cutter.cut(unit).ok().map(Arc::from);
        self.session.push_video(unit, &mut payloads, &self.outside, self.now);
    }

    fn dropped(&self) -> u64 {
        self.outside.counters.units_dropped.load(Ordering::Relaxed)
    }

    /// Whether a request for a key frame after `seconds` is granted; the GOP is sent again if so.
    fn asks_after(&mut self, seconds: u32) -> bool {
        self.now += seconds * SECOND;
        let mid = self.session.video.agreed.mid;
        let kind = str0m::media::KeyframeRequestKind::Pli;
        let request = str0m::media::KeyframeRequest { mid, rid: None, kind };
        self.session
            .handle(Event::KeyframeRequest(request), &self.outside, self.now);
        let granted = self.session.take_wish() == Some(Wish::Resend);
        if granted {
            self.session.start(&[], &self.outside, self.now);
            self.session.phase = Phase::Live;
        }
        granted
    }
}

#[test]
fn who_never_connects_or_falls_silent_is_given_up() {
    for (connected, limit) in [(false, CONNECT_WITHIN), (true, SILENT_AFTER)] {
        let Lone {
            mut session,
            outside,
            mut cutter,
            now,
            ..
        } = lone();
        session.connected = connected;
        session.tick(&outside, &mut cutter, now + limit - SECOND);
        assert_eq!(session.ended(), None);
        assert!(session.wake_at(now + limit - SECOND) <= now + limit);
        session.tick(&outside, &mut cutter, now + limit);
        assert_eq!(session.ended(), Some(End::TimedOut));
    }
}

#[test]
fn sequence_numbers_start_far_from_their_rollover() {
    assert_eq!(lone().session.video.sequence, 0x7fff);
}

#[test]
fn nothing_is_kept_for_a_viewer_that_has_not_joined_or_cannot_start() {
    let mut lone = lone();
    lone.push(&lone.unit(0, true, 100));
    assert!(lone.session.video.queue.is_empty(), "not connected");
    lone.session.start(&[], &lone.outside, lone.now);
    lone.push(&lone.unit(1, false, 100));
    assert!(lone.session.video.queue.is_empty(), "no key frame yet");
    lone.push(&lone.unit(2, true, 100));
    lone.push(&lone.unit(3, false, 100));
    assert_eq!(lone.session.video.queue.len(), 2);
}

#[test]
fn a_viewer_that_cannot_keep_up_starts_again_at_a_key_frame() {
    let mut lone = lone();
    lone.session.start(&[], &lone.outside, lone.now);
    lone.push(&lone.unit(0, true, 1 << 20));
    for index in 1..20 {
        lone.push(&lone.unit(index, false, 1 << 20));
        assert!(lone.session.queued_bytes <= MAX_QUEUED_BYTES + (2 << 20));
    }
    assert!(lone.session.video.queue.is_empty() && lone.dropped() == 1);
    lone.push(&lone.unit(20, true, 100));
    assert_eq!(lone.session.video.queue.len(), 1);
}

#[test]
fn a_key_frame_overtakes_the_rest_of_a_burst() {
    let mut lone = lone();
    let gop = [
        lone.unit(0, true, 1000),
        lone.unit(1, false, 100),
        lone.unit(2, false, 100),
    ];
    lone.session.start(&gop, &lone.outside, lone.now);
    lone.push(&lone.unit(3, false, 100));
    lone.push(&lone.unit(4, true, 1000));
    assert_eq!(lone.dropped(), 4);
    assert!(matches!(&lone.session.phase, Phase::Bursting(units) if units.len() == 1));
}

#[test]
fn units_that_break_their_form_are_skipped() {
    let mut lone = lone();
    let mut torn = AccessUnit::clone(&lone.unit(0, false, 100));
    torn.data = torn.data.slice(..50);
    lone.session.start(
        &[
            lone.unit(0, true, 100),
            Arc::new(torn.clone()),
            lone.unit(1, false, 100),
        ],
        &lone.outside,
        lone.now,
    );
    while lone.session.refill(&lone.outside, &mut lone.cutter, lone.now) {}
    assert_eq!(lone.session.video.queue.len(), 2);
    assert_eq!(lone.outside.counters.units_malformed.load(Ordering::Relaxed), 1);
    lone.push(&Arc::new(torn));
    assert_eq!(lone.session.video.queue.len(), 2);
    assert_eq!(lone.session.ended(), None);
}

#[test]
fn a_viewer_that_no_key_frame_helps_is_sent_fewer_and_fewer() {
    let mut lone = lone();
    lone.session.start(&[], &lone.outside, lone.now);
    lone.session.phase = Phase::Live;
    let granted = (0..130).filter(|_| lone.asks_after(1)).count();
    // After 1, 2, 4, 8, 16, 32, 32, 32 seconds.
    assert!((7..=9).contains(&granted), "{granted} of 130");
    assert!(
        lone.asks_after(120),
        "and the pauses are short again for who has been content for long"
    );
    assert!(!lone.asks_after(0) && lone.asks_after(1) && !lone.asks_after(1));
}
