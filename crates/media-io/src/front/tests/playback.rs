#![allow(clippy::unwrap_used)]
use super::support::*;
use std::sync::atomic::Ordering;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_recording_is_served_whole() {
    let bench = Bench::new();
    let answer = bench.get(&bench.playback()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, bytes(0..1_000_000));
    assert_eq!(answer.header("content-length"), "1000000");
    assert_eq!(answer.header("content-type"), "video/mp4");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("etag"), "\"tag\"");
    assert_eq!(answer.header("vms-start"), "2026-11-23T10:00:00.040000Z");
    assert_eq!(answer.header("vms-next-start"), "2026-11-23T10:00:59.999999Z");
    assert!(answer.header("cache-control").starts_with("private"));
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.headers.get("access-control-allow-credentials").is_none());
    for exposed in ["Location", "Vms-Start", "Vms-Next-Start", "ETag", "Content-Range"] {
        assert!(answer.header("access-control-expose-headers").contains(exposed));
    }
    assert_eq!(
        *bench.recordings.asked.lock(),
        [format!("playback cam-1 main {NOW_US} {}", NOW_US + 60_000_000)]
    );
    let totals = bench.front.counters();
    assert_eq!(
        (
            totals.requests_total,
            totals.requests[0].by_status[1],
            totals.requests[0].sent_bytes
        ),
        (1, 1, 1_000_000)
    );
}

#[tokio::test]
async fn times_may_have_any_offset_even_with_a_plus_that_became_a_space() {
    let bench = Bench::new();
    let token = bench.token(|_| ());
    for (start, end) in [
        ("2026-11-23T12:00:00+02:00", "2026-11-23T10:01:00Z"),
        ("2026-11-23T12:00:00%2B02:00", "2026-11-23T10:01:00.000Z"),
        ("2026-11-23T07:00:00-03:00", "2026-11-23T12:01:00%2002:00"),
    ] {
        let answer = bench
            .get(&format!(
                "/api/v1/cameras/cam-1/playback.mp4?start={start}&end={end}&token={token}"
            ))
            .await;
        assert_eq!(answer.status, 200, "{start}");
    }
    let mut asked = bench.recordings.asked.lock().clone();
    asked.dedup();
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn ranges_are_served() {
    let bench = Bench::new();
    let path = bench.playback();
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=999999-", 999_999..1_000_000),
        ("bytes=-5", 999_995..1_000_000),
        ("bytes=99990-100009", 99_990..100_010),
        ("bytes=1000-9999999", 1_000..1_000_000),
    ] {
        let answer = bench.request("GET", &path, &[("range", range)], "").await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.body, bytes(expected.clone()), "{range}");
        let content_range = format!("bytes {}-{}/1000000", expected.start, expected.end - 1);
        assert_eq!(answer.header("content-range"), content_range);
        assert_eq!(
            answer.header("content-length"),
            (expected.end - expected.start).to_string()
        );
    }
    let several = bench.request("GET", &path, &[("range", "bytes=0-1,4-5")], "").await;
    assert_eq!((several.status, several.body.len()), (200, 1_000_000));
    let beyond = bench.request("GET", &path, &[("range", "bytes=1000000-")], "").await;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, "bytes */1000000")
    );
    assert_eq!(beyond.problem_type(), "urn:vms:problem:range-not-satisfiable");
}

#[tokio::test]
async fn a_range_reads_only_what_it_needs() {
    let bench = Bench::new();
    bench.recordings.size_bytes.store(1 << 40, Ordering::Relaxed);
    let answer = bench
        .request(
            "GET",
            &bench.playback(),
            &[("range", "bytes=1099511627000-1099511627099")],
            "",
        )
        .await;
    assert_eq!((answer.status, answer.body.len()), (206, 100));
    assert!(bench.recordings.reads.load(Ordering::Relaxed) <= 2);
}

#[tokio::test]
async fn conditions_are_kept() {
    let bench = Bench::new();
    let path = bench.playback();
    let part = ("range", "bytes=0-9");
    for (headers, status, length) in [
        (vec![("if-none-match", "\"tag\"")], 304, 0),
        (vec![("if-none-match", "\"old\", W/\"tag\""), part], 304, 0),
        (vec![("if-none-match", "\"old\""), part], 206, 10),
        (vec![("if-range", "\"tag\""), part], 206, 10),
        (vec![("if-range", "\"old\""), part], 200, 1_000_000),
        (vec![("if-match", "\"tag\""), part], 206, 10),
    ] {
        let answer = bench.request("GET", &path, &headers, "").await;
        assert_eq!((answer.status, answer.body.len()), (status, length), "{headers:?}");
        assert_eq!(answer.header("etag"), "\"tag\"");
    }
    let other = bench.request("GET", &path, &[("if-match", "\"old\"")], "").await;
    assert_eq!(other.problem_type(), "urn:vms:problem:precondition-failed");
}

#[tokio::test]
async fn head_tells_the_same_without_a_body() {
    let bench = Bench::new();
    let answer = bench
        .request("HEAD", &bench.playback(), &[("range", "bytes=0-9")], "")
        .await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-length"), "1000000");
    assert_eq!(answer.header("vms-start"), "2026-11-23T10:00:00.040000Z");
    assert_eq!(bench.recordings.reads.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn refusals_are_problems() {
    let bench = Bench::new();
    let token = bench.token(|claims| {
        claims.camera_id = "cam-9".into();
        (claims.start_us, claims.end_us) = (None, None);
    });
    let path = |query: &str| format!("/api/v1/cameras/cam-9/playback.mp4?{query}&token={token}");
    for (query, status, kind) in [
        (RANGE, 404, "not-found"),
        ("start=2026-11-23T10:00:00Z", 422, "invalid"),
        ("start=2026-11-23T10:00:00Z&end=2026-11-23T10:00:00Z", 422, "invalid"),
        ("start=2026-11-23T10:00:01Z&end=2026-11-23T10:00:00Z", 422, "invalid"),
        ("start=soon&end=2026-11-23T10:00:00Z", 422, "invalid"),
        (&format!("{RANGE}&stream=../etc"), 422, "invalid"),
    ] {
        let answer = bench.get(&path(query)).await;
        assert_eq!(answer.status, status, "{query}");
        assert_eq!(answer.problem_type(), format!("urn:vms:problem:{kind}"));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    let posted = bench.request("POST", &path(RANGE), &[], "").await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn an_archive_that_panics_is_an_internal_error() {
    let bench = Bench::new();
    let answer = bench.get(&format!("{}&stream=panic", bench.playback())).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.problem_type(), "urn:vms:problem:internal");
}

#[tokio::test]
async fn preflights_are_answered_without_a_session() {
    let bench = Bench::new();
    let answer = bench
        .request(
            "OPTIONS",
            "/api/v1/cameras/cam-1/playback.mp4",
            &[("origin", "https://x")],
            "",
        )
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    for header in ["Authorization", "Range", "If-Range"] {
        assert!(answer.header("access-control-allow-headers").contains(header));
    }
}

#[tokio::test]
async fn what_breaks_at_once_has_a_status_and_what_breaks_later_breaks_the_connection() {
    let bench = Bench::new();
    bench.recordings.broken_at.store(0, Ordering::Relaxed);
    let answer = bench.get(&bench.playback()).await;
    assert_eq!(answer.problem_type(), "urn:vms:problem:malformed");
    bench.recordings.broken_at.store(500_000, Ordering::Relaxed);
    let answer = bench
        .raw(format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", bench.playback()))
        .await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.len() < 1_000_000);
}

#[tokio::test]
async fn playback_has_so_many_places_and_no_more() {
    let bench = Bench::with(Wishes {
        media_concurrency: 1,
        ..Wishes::default()
    });
    bench.recordings.size_bytes.store(1 << 30, Ordering::Relaxed);
    let path = bench.playback();
    let request = http::Request::get(&path)
        .header("host", "h")
        .body(http_body_util::Full::default())
        .unwrap();
    let first = bench.send(request).await;
    assert_eq!(first.status(), 200);
    let second = bench.get(&path).await;
    assert_eq!((second.status, second.header("retry-after")), (503, "1"));
    assert_eq!(second.problem_type(), "urn:vms:problem:exhausted");
    drop(first);
    bench.recordings.size_bytes.store(10, Ordering::Relaxed);
    let mut last = 503;
    for _ in 0..200 {
        last = bench.get(&path).await.status;
        if last == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(last, 200, "the place is given back");
}

#[tokio::test]
async fn who_may_see_nothing_takes_no_place() {
    let bench = Bench::with(Wishes {
        media_concurrency: 1,
        ..Wishes::default()
    });
    let path = format!("/api/v1/cameras/cam-1/playback.mp4?{RANGE}");
    let mut waiting = bench.connect().await;
    let asking = format!("GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer slow\r\n\r\n");
    waiting.write_all(asking.as_bytes()).await.unwrap();
    eventually("the application is asked", || {
        !bench.application.asked.lock().is_empty()
    })
    .await;
    assert_eq!(bench.get(&bench.playback()).await.status, 200);
}

#[tokio::test]
async fn nothing_more_is_read_when_the_client_is_gone_or_does_not_take() {
    let bench = Bench::new();
    bench.recordings.size_bytes.store(1 << 30, Ordering::Relaxed);
    let request = http::Request::get(bench.playback())
        .header("host", "h")
        .body(http_body_util::Full::default())
        .unwrap();
    let response = bench.send(request).await;
    // Socket buffers and the chunks read ahead are full after a few MiB.
    let reads = || bench.recordings.reads.load(Ordering::Relaxed);
    let mut before = u64::MAX;
    for _ in 0..100 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        if reads() == before {
            break;
        }
        before = reads();
    }
    assert_eq!(reads(), before, "back-pressure");
    assert!(before < 1 << 9, "{before} reads");
    drop(response);
    eventually("the place is free", || bench.front.counters().connections_open == 0).await;
    assert!(reads() <= before + 3);
}

#[tokio::test]
async fn hls_takes_its_grant_along() {
    let bench = Bench::new();
    let base = "/api/v1/cameras/cam-1/playback";
    let token = bench.token(|_| ());
    let playlist = bench.get(&format!("{base}/index.m3u8?{RANGE}&token={token}")).await;
    assert_eq!(playlist.status, 200);
    assert_eq!(playlist.header("content-type"), "application/vnd.apple.mpegurl");
    let text = String::from_utf8(playlist.body.to_vec()).unwrap();
    assert!(text.contains(&format!("URI=\"init-a.mp4?token={token}\"")));
    assert!(text.contains(&format!("\nsegment-1.m4s?token={token}\n")));
    assert_eq!(bench.get(&format!("{base}/init-a.mp4?token={token}")).await.status, 200);
    let part = bench
        .request(
            "GET",
            &format!("{base}/segment-1.m4s?token={token}"),
            &[("range", "bytes=0-9")],
            "",
        )
        .await;
    assert_eq!((part.status, part.body.len()), (206, 10));
    // Two minutes later than the grant reaches, and without a grant.
    assert_eq!(
        bench.get(&format!("{base}/segment-60.m4s?token={token}")).await.status,
        403
    );
    assert_eq!(bench.get(&format!("{base}/segment-1.m4s")).await.status, 401);
    assert_eq!(
        bench.get(&format!("{base}/segment-x.m4s?token={token}")).await.status,
        404
    );
}

#[tokio::test]
async fn hls_of_a_session_gets_a_grant_for_its_range_alone() {
    let bench = Bench::new();
    let base = "/api/v1/cameras/cam-1/playback";
    let path = format!("{base}/index.m3u8?{RANGE}&stream=sub");
    let playlist = bench
        .request("GET", &path, &[("authorization", "Bearer good")], "")
        .await;
    let text = String::from_utf8(playlist.body.to_vec()).unwrap();
    let query = text.split("segment-1.m4s?").nth(1).unwrap().lines().next().unwrap();
    assert!(query.starts_with("stream=sub&token=v1."));
    // The grant counts as used, so that the player may go on after the time to start is over.
    bench.clock.advance_us(301_000_000);
    assert_eq!(bench.get(&format!("{base}/segment-1.m4s?{query}")).await.status, 200);
    assert_eq!(bench.get(&format!("{base}/segment-60.m4s?{query}")).await.status, 403);
    let main = query.replace("stream=sub&", "");
    assert_eq!(bench.get(&format!("{base}/segment-1.m4s?{main}")).await.status, 403);
    assert!(
        bench
            .recordings
            .asked
            .lock()
            .contains(&"segment cam-1 sub 1".to_owned())
    );
}
