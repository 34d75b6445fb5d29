#![allow(clippy::unwrap_used)]
use super::support::*;
use http_body_util::{BodyExt, Full};
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn requests_pass_to_the_application_over_few_connections() {
    let bench = Bench::new();
    for number in 0..20 {
        let text = format!("body {number}");
        let answer = bench
            .request("POST", "/api/v1/echo?x=%20y", &[("x-own", "1")], &text)
            .await;
        assert_eq!((answer.status, answer.body.as_ref()), (200, text.as_bytes()));
        assert!(answer.headers.get("keep-alive").is_none() && answer.headers.get("server").is_none());
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
    let asked = bench.application.last();
    assert_eq!(asked.path, "/api/v1/echo?x=%20y");
    assert_eq!(asked.headers["host"], "front.test");
    assert_eq!(asked.headers["x-own"], "1");
    assert_eq!(bench.application.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_application_is_told_who_asks_and_not_what_the_client_claims() {
    let bench = Bench::new();
    let claims = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("forwarded", "for=6.6.6.6"),
        ("x-real-ip", "6.6.6.6"),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("proxy-authorization", "x"),
        ("connection", "x-forwarded-for, x-secret"),
        ("x-secret", "1"),
    ];
    bench.request("GET", "/api/v1/echo", &claims, "").await;
    let headers = bench.application.last().headers;
    assert_eq!(
        headers.get_all("x-forwarded-for").iter().collect::<Vec<_>>(),
        ["127.0.0.1"]
    );
    assert_eq!(headers["x-forwarded-proto"], "http");
    for gone in [
        "x-forwarded-host",
        "forwarded",
        "x-real-ip",
        "expect",
        "te",
        "proxy-authorization",
        "connection",
        "x-secret",
    ] {
        assert!(headers.get(gone).is_none(), "{gone}");
    }
}

#[tokio::test]
async fn answers_stream_as_they_come() {
    let bench = Bench::new();
    let request = http::Request::get("/api/v1/stream")
        .header("host", "h")
        .body(Full::default())
        .unwrap();
    let mut response = bench.send(request).await;
    let first = tokio::time::timeout(PATIENCE, response.frame())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(first.into_data().unwrap(), "first ");
    bench.application.go_on.notify_one();
    assert_eq!(answer_of(response).await.body, "second");
}

#[tokio::test]
async fn uploads_stream_through_in_pieces() {
    let bench = Bench::new();
    let mut stream = bench.connect().await;
    stream
        .write_all(b"POST /api/v1/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..3 {
        stream.write_all(b"4\r\nabcd\r\n").await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("abcdabcdabcd"), "{answer}");
}

#[tokio::test]
async fn no_application_is_a_problem_that_passes() {
    let bench = Bench::with(Wishes {
        application: false,
        ..Wishes::default()
    });
    for path in ["/api/v1/cameras", "/healthz"] {
        let answer = bench.get(path).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
        assert_eq!(answer.problem_type(), "urn:vms:problem:unavailable");
    }
    let socket = bench.folder.path().join("application.sock");
    let _application = Application::start(&socket);
    let answer = bench.get("/healthz").await;
    assert_eq!((answer.status, answer.body.as_ref()), (200, b"well".as_slice()));
    assert_eq!(bench.front.counters().requests[2].by_status, [0, 1, 0, 0, 1]);
}

#[tokio::test]
async fn an_application_that_closed_its_idle_connections_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("closing.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    // Answers once per connection and closes it when it is asked again.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await;
            let _ = stream.read(&mut request).await;
        }
    });
    let upstream = crate::front::upstream::Upstream::new(socket, PATIENCE, tokio::runtime::Handle::current());
    for _ in 0..5 {
        let mut request = http::Request::new(crate::front::upstream::RequestBody::empty());
        request.headers_mut().insert("host", "h".parse().unwrap());
        let answer = upstream.send(request).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
    }
}

#[tokio::test]
async fn an_application_that_does_not_answer_in_time() {
    let limits = crate::front::FrontLimits {
        upstream_timeout: std::time::Duration::from_millis(100),
        ..crate::front::FrontLimits::default()
    };
    let bench = Bench::with(Wishes {
        limits,
        ..Wishes::default()
    });
    let answer = bench.get("/api/v1/never").await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.problem_type(), "urn:vms:problem:timeout");
}

#[tokio::test]
async fn websockets_are_tunnelled() {
    let bench = Bench::new();
    let mut stream = bench.connect().await;
    stream
        .write_all(
            b"GET /ws/echo HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
              Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        .await
        .unwrap();
    let mut head = vec![0; 4096];
    let read = stream.read(&mut head).await.unwrap();
    let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
    assert!(
        head.starts_with("http/1.1 101") && head.contains("upgrade: websocket"),
        "{head}"
    );
    assert!(head.contains("sec-websocket-accept: x"));
    for text in ["one", "two"] {
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut echo = [0; 3];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut echo))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(echo, text.as_bytes());
    }
    let asked = bench.application.last();
    assert_eq!(asked.headers["sec-websocket-key"], "x");
    assert_eq!(asked.headers["x-forwarded-for"], "127.0.0.1");
    drop(stream);
    eventually("the tunnel is counted", || {
        bench.front.counters().requests[4].sent_bytes == 12
    })
    .await;
}

#[tokio::test]
async fn files_that_the_application_names_are_sent() {
    let bench = Bench::new();
    let file = bench.folder.path().join("export.mp4");
    std::fs::write(&file, bytes(0..700_000)).unwrap();
    *bench.application.file.lock() = file.clone();
    let whole = bench.get("/api/v1/file").await;
    assert_eq!((whole.status, whole.body.len()), (200, 700_000));
    assert_eq!(whole.header("content-type"), "video/quicktime");
    assert_eq!(whole.header("content-disposition"), "attachment; filename=\"a.mov\"");
    assert_eq!(whole.header("content-length"), "700000");
    assert!(whole.headers.get("vms-send-file").is_none());
    let etag = whole.header("etag").to_owned();
    let part = bench
        .request(
            "GET",
            "/api/v1/file",
            &[("range", "bytes=10-19"), ("if-range", &etag)],
            "",
        )
        .await;
    assert_eq!((part.status, part.body.as_ref()), (206, bytes(10..20).as_slice()));
    assert_eq!(
        bench
            .request("GET", "/api/v1/file", &[("if-none-match", &etag)], "")
            .await
            .status,
        304
    );
    assert_eq!(
        bench
            .request("HEAD", "/api/v1/file", &[], "")
            .await
            .header("content-length"),
        "700000"
    );
    std::fs::write(&file, bytes(1..700_001)).unwrap();
    assert_ne!(bench.get("/api/v1/file").await.header("etag"), etag);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        bench.get("/api/v1/file").await.problem_type(),
        "urn:vms:problem:not-found"
    );
    *bench.application.file.lock() = bench.folder.path().to_owned();
    assert_eq!(bench.get("/api/v1/file").await.status, 404);
    *bench.application.file.lock() = "relative.mp4".into();
    assert_eq!(bench.get("/api/v1/file").await.status, 500);
}

#[tokio::test]
async fn clients_cannot_ask_for_files() {
    let bench = Bench::new();
    let file = bench.folder.path().join("private.txt");
    std::fs::write(&file, "private").unwrap();
    let path = file.display().to_string();
    let answer = bench
        .request("POST", "/api/v1/echo", &[("vms-send-file", &path)], "mine")
        .await;
    assert_eq!(answer.body, "mine");
}

#[tokio::test]
async fn without_an_archive_the_application_is_asked_for_recordings() {
    let bench = Bench::with(Wishes {
        archive: false,
        media_concurrency: 1,
        ..Wishes::default()
    });
    for path in [
        "playback.mp4?start=x",
        "playback/index.m3u8",
        "playback/init-a.mp4",
        "playback/segment-a.m4s?token=t",
    ] {
        let path = format!("/api/v1/cameras/cam-1/{path}");
        let answer = bench
            .request(
                "GET",
                &path,
                &[("range", "bytes=1-2"), ("authorization", "Bearer good")],
                "",
            )
            .await;
        assert_eq!(
            (answer.status, answer.body.as_ref()),
            (404, b"{\"from\":\"application\"}".as_ref())
        );
        let asked = bench.application.last();
        assert_eq!(asked.path, path);
        assert_eq!(asked.headers["range"], "bytes=1-2");
        assert_eq!(asked.headers["authorization"], "Bearer good");
    }
    assert!(bench.recordings.asked.lock().is_empty());
    // Recordings count as such wherever they lie.
    assert_eq!(bench.front.counters().requests[0].by_status[3], 4);
}
