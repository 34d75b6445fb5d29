#![allow(clippy::unwrap_used)]
use super::support::*;
use crate::front::{Front, FrontConfig, FrontLimits};
use http_body_util::Full;
use media_core::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn nothing_under_way_ends_at_once() {
    let bench = Bench::new();
    assert_eq!(bench.get("/healthz").await.status, 200);
    // One that never spoke, one that did and waits.
    let _silent = bench.connect().await;
    let mut idle = bench.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 15];
    idle.read_exact(&mut answer).await.unwrap();
    let begun = Instant::now();
    assert!(bench.front.shutdown(Duration::from_secs(5)).await);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let late = tokio::net::TcpStream::connect(("127.0.0.1", bench.front.port())).await;
    assert!(late.is_err(), "nobody listens any more");
    assert!(
        bench.front.shutdown(Duration::from_secs(5)).await,
        "a second time is no harm"
    );
}

#[tokio::test]
async fn a_slow_download_is_cut_off_after_the_time_given() {
    let bench = Bench::new();
    bench.recordings.size_bytes.store(1 << 30, Ordering::Relaxed);
    let request = http::Request::get(bench.playback())
        .header("host", "h")
        .body(Full::default())
        .unwrap();
    let _slow = bench.send(request).await;
    let begun = Instant::now();
    assert!(!bench.front.shutdown(Duration::from_millis(300)).await);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!(bench.front.counters().connections_open, 0);
}

#[tokio::test]
async fn an_answer_under_way_is_finished() {
    let bench = Bench::new();
    let request = http::Request::get("/api/v1/stream")
        .header("host", "h")
        .body(Full::default())
        .unwrap();
    let response = bench.send(request).await;
    let finish = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.application.go_on.notify_one();
        answer_of(response).await
    };
    let (finished, answer) = tokio::join!(bench.front.shutdown(PATIENCE), finish);
    assert!(finished);
    assert_eq!(answer.body, "first second");
}

#[tokio::test]
async fn tunnels_end_with_the_front() {
    let bench = Bench::new();
    let mut stream = bench.connect().await;
    stream
        .write_all(b"GET /ws/echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await
        .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    let begun = Instant::now();
    assert!(bench.front.shutdown(PATIENCE).await);
    assert!(begun.elapsed() < Duration::from_secs(1));
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let bench = Bench::new();
    let config = FrontConfig {
        host: "127.0.0.1".into(),
        port: bench.front.port(),
        upstream_socket: "/nowhere".into(),
        static_dir: Some("/nowhere".into()),
        grant_key: KEY.to_vec(),
        tls: None,
        media_concurrency: 1,
        clock: bench.clock.clone(),
        limits: FrontLimits::default(),
    };
    let start = |config: FrontConfig| {
        let runtime = tokio::runtime::Handle::current();
        Front::start(&runtime, config, bench.recordings.clone()).err().unwrap()
    };
    let taken = start(config.clone());
    assert_eq!(taken.kind(), ErrorKind::Conflict);
    assert!(taken.message().contains(&bench.front.port().to_string()));
    let invalid = |config| assert_eq!(start(config).kind(), ErrorKind::Invalid);
    invalid(FrontConfig {
        host: "no such host.".into(),
        port: 0,
        ..config.clone()
    });
    invalid(FrontConfig {
        host: "192.0.2.1".into(),
        port: 0,
        ..config.clone()
    });
    invalid(FrontConfig {
        grant_key: b"short".to_vec(),
        ..config.clone()
    });
    invalid(FrontConfig {
        media_concurrency: 0,
        ..config
    });
}
