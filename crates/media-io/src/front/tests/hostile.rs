#![allow(clippy::unwrap_used)]
use super::support::*;
use crate::front::FrontLimits;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn quick(limits: FrontLimits) -> Bench {
    Bench::with(Wishes {
        limits,
        ..Wishes::default()
    })
}

#[tokio::test]
async fn inner_addresses_are_not_there() {
    let bench = Bench::new();
    for path in [
        "/internal/grants",
        "/internal",
        "//internal/grants",
        "/%69nternal/grants",
        "/api/../internal/grants",
        "/api/%2e%2e/internal/grants",
        "/./internal/grants",
    ] {
        for method in ["GET", "POST"] {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer good\r\n");
            let answer = bench
                .raw(format!("{head}Connection: close\r\nContent-Length: 0\r\n\r\n"))
                .await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
            assert!(answer.contains("application/problem+json"));
        }
    }
    let answer = bench
        .raw("GET http://h/internal/grants HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(bench.application.asked.lock().is_empty());
}

#[tokio::test]
async fn two_meanings_of_one_request_never_reach_the_application() {
    let bench = Bench::new();
    let smuggled = "GET /api/v1/smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let line = "POST /api/v1/echo HTTP/1.1\r\nHost: h\r\n";
    for head in [
        // Both lengths: the chunked one counts, the other is dropped, and the connection ends (RFC 9112 §6.3).
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
        "Content-Length: 0, 5\r\n\r\n",
        "Content-Length: +0\r\n\r\n",
        "Content-Length: 0x0\r\n\r\n",
        "Content-Length : 0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "X: y\r\n Content-Length: 0\r\n\r\n",
        "X: a\0b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1;\nx\r\n0\r\n\r\n",
    ] {
        let answer = bench.raw(format!("{line}{head}{smuggled}")).await;
        assert!(!answer.contains("\"from\":\"application\""), "{head:?}: {answer}");
    }
    for asked in bench.application.asked.lock().iter() {
        assert_eq!(asked.path, "/api/v1/echo");
        let both = asked.headers.contains_key("content-length") && asked.headers.contains_key("transfer-encoding");
        assert!(!both);
    }
}

#[tokio::test]
async fn hosts_that_differ_and_methods_for_proxies_are_refused() {
    let bench = Bench::new();
    for request in [
        "GET /api/v1/echo HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /api/v1/echo HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        "GET http://a/api/v1/echo HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ] {
        let answer = bench.raw(request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request:?}: {answer}");
    }
    assert!(bench.application.asked.lock().is_empty());
}

#[tokio::test]
async fn other_protocols_are_not_switched_to() {
    let bench = Bench::new();
    let request = "GET /api/v1/echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    assert!(bench.raw(request).await.starts_with("HTTP/1.1 200"));
    let headers = bench.application.last().headers;
    for gone in ["upgrade", "connection", "http2-settings"] {
        assert!(headers.get(gone).is_none(), "{gone}");
    }
    // An application that switches unasked is not followed.
    let answer = bench
        .raw("GET /ws/echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

#[tokio::test]
async fn large_heads_are_refused() {
    let bench = Bench::new();
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(40 << 10));
    assert!(bench.raw(long).await.starts_with("HTTP/1.1 431"));
    let few = quick(FrontLimits {
        headers: 10,
        ..FrontLimits::default()
    });
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: 1\r\n".repeat(10));
    assert!(few.raw(many).await.starts_with("HTTP/1.1 431"));
    let address = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(70 << 10));
    let answer = bench.raw(address).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let bench = quick(FrontLimits {
        request_body_bytes: 1_000,
        ..FrontLimits::default()
    });
    let announced = bench.request("POST", "/api/v1/echo", &[], &"a".repeat(1_001)).await;
    assert_eq!(announced.status, 413);
    assert_eq!(announced.problem_type(), "urn:vms:problem:too-large");
    assert!(bench.application.asked.lock().is_empty());
    assert_eq!(
        bench
            .request("POST", "/api/v1/echo", &[], &"a".repeat(1_000))
            .await
            .status,
        200
    );
    let head = "POST /api/v1/echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let piece = format!("1f4\r\n{}\r\n", "a".repeat(500));
    let answer = bench.raw(format!("{head}{}0\r\n\r\n", piece.repeat(3))).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn clients_that_send_slowly_are_cut_off() {
    let bench = quick(FrontLimits {
        header_timeout: Duration::from_millis(200),
        request_body_stall_timeout: Duration::from_millis(200),
        ..FrontLimits::default()
    });
    let begun = Instant::now();
    for begin in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: h\r\nX: "] {
        let answer = bench.raw(begin).await;
        assert!(!answer.contains("200 OK"));
    }
    // A byte now and then does not help.
    let mut dribble = bench.connect().await;
    let cut = async {
        let mut answer = [0; 64];
        loop {
            if dribble.write_all(b"G").await.is_err() {
                return;
            }
            let wait = tokio::time::timeout(Duration::from_millis(20), dribble.read(&mut answer)).await;
            if matches!(wait, Ok(Ok(_) | Err(_))) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, cut).await.unwrap();
    let body = bench
        .raw("POST /api/v1/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        .await;
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn clients_that_take_nothing_are_cut_off() {
    let bench = quick(FrontLimits {
        write_stall_timeout: Duration::from_millis(300),
        ..FrontLimits::default()
    });
    bench
        .recordings
        .size_bytes
        .store(1 << 30, std::sync::atomic::Ordering::Relaxed);
    let mut stream = bench.connect().await;
    stream
        .write_all(format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", bench.playback()).as_bytes())
        .await
        .unwrap();
    eventually("the connection is cut off", || {
        let totals = bench.front.counters();
        totals.connections_total == 1 && totals.connections_open == 0
    })
    .await;
}

#[tokio::test]
async fn connections_over_the_limit_are_turned_away() {
    let bench = quick(FrontLimits {
        connections: 2,
        ..FrontLimits::default()
    });
    let held = [bench.connect().await, bench.connect().await];
    eventually("both are open", || bench.front.counters().connections_open == 2).await;
    let answer = bench.raw("").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("Retry-After: 1"),
        "{answer}"
    );
    assert_eq!(bench.front.counters().connections_refused, 1);
    drop(held);
    eventually("both are closed", || bench.front.counters().connections_open == 0).await;
    assert_eq!(bench.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn any_bytes_are_survived() {
    let bench = quick(FrontLimits {
        header_timeout: Duration::from_millis(100),
        ..FrontLimits::default()
    });
    let mut state = 7_u64;
    for _ in 0..20 {
        let noise: Vec<u8> = (0..300)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        bench.raw(noise).await;
    }
    bench.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(bench.get("/healthz").await.status, 200);
}
