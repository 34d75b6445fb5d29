//! What a shard does for its viewers' turns, without a network.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::clock::SystemClock;
use crate::hub::GOP_CACHE_BYTES;
use crate::whep::viewer::tests::{endless_gop, silent_viewer, viewer};

fn shard() -> Shard {
    let (wake, commands) = channel();
    let (reception, _) = tokio::sync::mpsc::unbounded_channel();
    // Transcodes nothing: the runtime may go.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outside = Arc::new(Outside::new(Vec::new(), Arc::default(), SystemClock::new()));
    Shard {
        transcoders: Transcoders::new(runtime.handle().clone(), outside.counters.clone()),
        outside,
        commands,
        wake,
        reception,
        audiences: HashMap::new(),
        places: HashMap::new(),
        crossing: HashMap::new(),
        cutter: Cutter::default(),
        batch: Batch::new(SendMethod::Batched),
        feedback: VecDeque::new(),
        plain: Vec::new(),
        pace_at_us: [0; 2],
        pace_from: [0; 2],
        reports_at_us: 0,
        stopping: false,
    }
}

#[test]
fn bursts_of_several_cameras_get_their_turn_in_time() {
    let mut shard = shard();
    // Each camera's viewers alone are worth three portions at a time.
    let hubs: Vec<_> = (0..3).map(|n| Hub::new(format!("{n}/main"), GOP_CACHE_BYTES)).collect();
    for key in 0..90 {
        shard.join(hubs[key as usize % 3].clone(), viewer(key));
    }
    let gop = endless_gop();
    for key in 0..90 {
        shard.viewer(key).unwrap().start(&gop, 0);
    }
    shard
        .audiences
        .values_mut()
        .for_each(|audience| audience.waiting = true);
    // Time enough between portions for everyone's bucket to fill: there is always more than can be sent.
    for turn in 1..=12 {
        shard.pace(turn * 1_000_000, &mut Vec::new());
        shard.batch.clear();
    }
    let mut began = [0; 3];
    for key in 0..90 {
        began[key as usize % 3] += usize::from(!shard.viewer(key).unwrap().is_untouched());
    }
    assert_eq!(began, [30; 3], "of 30 each");
}

#[test]
fn the_silent_get_what_the_others_leave() {
    let mut shard = shard();
    let hub = Hub::new("a/main", GOP_CACHE_BYTES);
    shard.join(hub.clone(), silent_viewer(0));
    // More than a portion's worth of buckets.
    for key in 1..=20 {
        shard.join(hub.clone(), viewer(key));
    }
    let gop = endless_gop();
    for key in 0..=20 {
        shard.viewer(key).unwrap().start(&gop, 0);
    }
    shard
        .audiences
        .values_mut()
        .for_each(|audience| audience.waiting = true);
    let untouched = |shard: &mut Shard| -> Vec<u64> {
        (0..=20)
            .filter(|key| shard.viewer(*key).unwrap().is_untouched())
            .collect()
    };
    let now_us = 10_000_000;
    assert!(!shard.pace(now_us, &mut Vec::new()), "cut short");
    assert!(untouched(&mut shard).contains(&0));
    while !shard.pace(now_us, &mut Vec::new()) {
        assert!(untouched(&mut shard).contains(&0) || untouched(&mut shard).is_empty());
    }
    assert_eq!(untouched(&mut shard), [0; 0]);
}

#[test]
fn feedback_is_looked_into_in_portions_and_bounded() {
    let mut shard = shard();
    shard.join(Hub::new("a/main", GOP_CACHE_BYTES), viewer(1));
    let from: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let storm = |datagrams: usize| Command::Feedback(vec![(1, from, Box::from([0x80, 201])); datagrams]);
    shard.obey(storm(3000));
    shard.obey(storm(3000));
    let counted = |shard: &Shard| shard.outside.counters.read(0);
    assert_eq!(shard.feedback.len(), MAX_FEEDBACK);
    assert_eq!(counted(&shard).feedback_refused, 6000 - MAX_FEEDBACK as u64);
    shard.heed();
    assert_eq!(counted(&shard).datagrams_malformed, FEEDBACK as u64);
    assert_eq!(shard.until_tick(), Duration::ZERO, "the rest follows");
    while !shard.feedback.is_empty() {
        shard.heed();
    }
    assert_eq!(counted(&shard).datagrams_malformed, MAX_FEEDBACK as u64);
}
