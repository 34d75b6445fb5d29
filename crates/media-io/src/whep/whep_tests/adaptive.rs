//! A viewer who is sent one or the other stream of a camera.

use super::viewer::{Camera, Viewer, clip, output, output_with, small_clip};
use super::{NONE, SECOND, gaps};
use crate::clock::SystemClock;
use crate::hub::Hub;
use crate::whep::{SendPath, Whep};
use media_core::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A camera with two streams that shows both for as long as it lives.
struct Pair {
    main: Arc<Hub>,
    sub: Arc<Hub>,
    running: [JoinHandle<()>; 2],
}

impl Pair {
    async fn start(clock: &Arc<SystemClock>) -> Self {
        let (main, sub) = (Camera::new(clock, false), Camera::small(clock));
        let pair = Self {
            main: main.hub.clone(),
            sub: sub.hub.clone(),
            running: [tokio::spawn(main.run()), tokio::spawn(sub.run())],
        };
        while pair.main.parameters(0).is_none() || pair.sub.parameters(0).is_none() {
            tokio::task::yield_now().await;
        }
        pair
    }

    async fn viewer(&self, whep: &Whep, tile_height_px: Option<u32>) -> Viewer {
        Viewer::open_adaptive(whep, (&self.main, &self.sub), tile_height_px).await
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

/// That a viewer got one stream: no number missing, never back in time, key frames at the changes.
fn is_one_stream(viewer: &Viewer) {
    assert_eq!(gaps(viewer), NONE);
    let stamps = viewer.pictures();
    assert!(
        stamps.windows(2).all(|pair| (pair[1].wrapping_sub(pair[0]) as i32) > 0),
        "never back"
    );
    let video = viewer.video();
    for (index, _) in viewer.changes() {
        let before = index.checked_sub(1).map(|before| &video[before]);
        assert!(before.is_none_or(|before| before.timestamp != video[index].timestamp));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tile_that_grows_and_shrinks_changes_the_stream_and_nothing_else() {
    let clock = SystemClock::new();
    let send_path = SendPath {
        shards: Some(2),
        method: None,
    };
    let whep = output_with(&clock, str0m::crypto::from_feature_flags(), send_path);
    let pair = Pair::start(&clock).await;
    let mut viewer = pair.viewer(&whep, Some(180)).await;
    assert!(viewer.answer.contains("goog-remb") && viewer.answer.contains("abs-send-time"));
    assert!(viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > 40).await);
    assert_eq!(viewer.shows_main(), Some(false), "a small tile");
    assert_eq!(whep.stats().viewers_on_sub, 1);

    whep.resize(&viewer.session, 720).unwrap();
    let grown = viewer
        .watch(4 * SECOND, |viewer| viewer.shows_main() == Some(true))
        .await;
    assert!(grown, "{:?}", whep.stats());
    let more = viewer.pictures().len() + 40;
    assert!(viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > more).await);
    assert_eq!((whep.stats().switches_up, whep.stats().viewers_on_sub), (1, 0));

    whep.resize(&viewer.session, 180).unwrap();
    let shrunk = viewer
        .watch(8 * SECOND, |viewer| viewer.shows_main() == Some(false))
        .await;
    assert!(shrunk, "{:?}", whep.stats());
    let more = viewer.pictures().len() + 40;
    assert!(viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > more).await);
    is_one_stream(&viewer);
    assert_eq!(viewer.changes().len(), 3);
    assert_eq!((whep.stats().switches_down, whep.stats().viewers_on_sub), (1, 1));

    whep.close(&viewer.session).unwrap();
    assert!(viewer.watch(SECOND, |viewer| viewer.closed).await, "told");
    assert_eq!((whep.viewers(), whep.stats().viewers_on_sub), (0, 0));
    assert_eq!(
        whep.resize(&viewer.session, 180).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrow_path_gets_the_sub_stream_and_a_wide_one_the_main_stream_again() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let pair = Pair::start(&clock).await;
    let mut viewer = pair.viewer(&whep, None).await;
    let mut other = Viewer::open(&whep, &pair.main).await;
    assert!(viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > 40).await);
    assert_eq!(viewer.shows_main(), Some(true));
    // Until the bit rate of a whole second is known.
    for second in 0..30 {
        let said = match viewer.shows_main() {
            Some(true) if whep.stats().switches_down == 0 => 200_000,
            _ => 8_000_000,
        };
        viewer.estimate(said);
        viewer.watch(SECOND, |_| false).await;
        other.watch(Duration::from_millis(1), |_| false).await;
        if whep.stats().switches_up == 1 {
            assert!(second >= 10, "not at once: {second} s");
            break;
        }
    }
    viewer.watch(SECOND, |_| false).await;
    let stats = whep.stats();
    assert_eq!((stats.switches_down, stats.switches_up), (1, 1), "{stats:?}");
    assert_eq!(
        viewer.changes().iter().map(|(_, main)| *main).collect::<Vec<_>>(),
        [true, false, true]
    );
    is_one_stream(&viewer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_removed_leaves_the_other() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let pair = Pair::start(&clock).await;
    let mut small = pair.viewer(&whep, Some(100)).await;
    let mut large = pair.viewer(&whep, None).await;
    let mut fixed = Viewer::open(&whep, &pair.sub).await;
    for viewer in [&mut small, &mut large, &mut fixed] {
        assert!(viewer.watch(5 * SECOND, |viewer| viewer.pictures().len() > 20).await);
    }
    whep.close_hub(&pair.sub);
    let (fell_back, closed, stayed) = tokio::join!(
        small.watch(5 * SECOND, |viewer| viewer.shows_main() == Some(true)),
        fixed.watch(5 * SECOND, |viewer| viewer.closed),
        large.watch(SECOND, |_| false)
    );
    assert!(fell_back && closed && !stayed, "{:?}", whep.stats());
    assert_eq!((whep.viewers(), large.changes().len()), (2, 1));
    assert!(!small.closed && !large.closed);
    // Nothing brings a removed stream back.
    whep.resize(&small.session, 100).unwrap();
    let more = small.pictures().len() + 60;
    assert!(small.watch(6 * SECOND, |viewer| viewer.pictures().len() > more).await);
    is_one_stream(&small);
    assert_eq!(small.shows_main(), Some(true));
    whep.close_hub(&pair.main);
    let closed = small.watch(5 * SECOND, |viewer| viewer.closed && whep.viewers() == 0);
    assert!(closed.await, "nothing is left");
    assert_eq!(whep.stats().viewers_on_sub, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_says_anything_a_thousand_times_harms_nobody() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let pair = Pair::start(&clock).await;
    let mut mad = pair.viewer(&whep, None).await;
    let mut viewer = pair.viewer(&whep, Some(2000)).await;
    assert!(mad.watch(5 * SECOND, |viewer| viewer.pictures().len() > 20).await);
    let until = std::time::Instant::now() + 5 * SECOND;
    let mut said = 0u64;
    while std::time::Instant::now() < until {
        mad.estimate([0, u64::MAX, 1, 3_000_000_000][said as usize % 4]);
        whep.resize(&mad.session, [0, u32::MAX][said as usize / 2 % 2]).unwrap();
        said += 1;
        let (step, rest) = (Duration::from_millis(1), Duration::from_micros(10));
        tokio::join!(mad.watch(step, |_| false), viewer.watch(rest, |_| false));
    }
    assert!(said > 500, "{said}");
    let stats = whep.stats();
    assert!(stats.switches_up + stats.switches_down <= 3, "{stats:?}");
    let more = viewer.pictures().len() + 20;
    assert!(viewer.watch(4 * SECOND, |viewer| viewer.pictures().len() > more).await);
    assert_eq!(gaps(&viewer), NONE);
    assert_eq!(whep.viewers(), 2);
}

#[tokio::test]
async fn one_stream_stands_in_for_the_other_from_the_start() {
    let clock = SystemClock::new();
    let whep = output(&clock, 10);
    let (mut main, mut sub) = (Camera::new(&clock, false), Camera::small(&clock));
    let (main_hub, sub_hub) = (main.hub.clone(), sub.hub.clone());
    let offer = include_str!("../offers/chromium_video.sdp");
    let open = || whep.open_adaptive(main_hub.clone(), sub_hub.clone(), None, offer);
    assert_eq!(open().unwrap_err().kind(), ErrorKind::Conflict, "nothing shown yet");
    for _ in 0..small_clip().len() {
        sub.show();
    }
    let mut viewer = Viewer::open_adaptive(&whep, (&main_hub, &sub_hub), None).await;
    assert!(
        viewer
            .watch(4 * SECOND, |viewer| viewer.shows_main() == Some(false))
            .await
    );
    // The main stream appears, as another codec at first: it does not take over.
    main.change_codec();
    assert!(open().is_ok(), "the offer has no H.265");
    assert!(!viewer.watch(2 * SECOND, |viewer| viewer.closed).await);
    // Who takes both codecs gets the stream that suits the tile, for there is no changing over.
    let first = offer.lines().find_map(|line| line.strip_suffix(" H264/90000")).unwrap();
    let both = offer.replace(
        &format!("{first} H264/90000\r\n"),
        &format!("{first} H264/90000\r\na=rtpmap:127 H265/90000\r\n"),
    );
    let video = both.lines().find(|line| line.starts_with("m=video")).unwrap();
    let both = both.replace(video, &format!("{video} 127"));
    for (tile, codec) in [(Some(100), "H264/90000"), (None, "H265/90000")] {
        let (_, answer) = whep
            .open_adaptive(main_hub.clone(), sub_hub.clone(), tile, &both)
            .unwrap();
        assert!(answer.contains(codec), "{tile:?}: {answer}");
    }
    // Then as the one agreed on.
    for _ in 0..clip().len() / 3 {
        main.show();
    }
    assert!(
        viewer
            .watch(4 * SECOND, |viewer| viewer.shows_main() == Some(true))
            .await
    );
    is_one_stream(&viewer);
}
