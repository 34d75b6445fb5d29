#![allow(clippy::unwrap_used)]
use super::support::*;
use crate::front::{Claims, GrantKey};

fn path(token: &str) -> String {
    format!("/api/v1/cameras/cam-1/playback.mp4?{RANGE}&token={token}")
}

#[tokio::test]
async fn a_grant_is_held_to_its_letter() {
    type Change = fn(&mut Claims);
    let bench = Bench::new();
    let cases: [(Change, u16); 9] = [
        (|_| (), 200),
        (|c| c.stream = Some("main".into()), 200),
        (|c| c.camera_id = "cam-2".into(), 403),
        (|c| c.action = "live".into(), 403),
        (|c| c.stream = Some("sub".into()), 403),
        (|c| c.start_us = Some(NOW_US + 1), 403),
        (|c| c.end_us = Some(NOW_US + 59_999_999), 403),
        (|c| c.expires_at = NOW_S, 401),
        (|c| c.starts_before = NOW_S, 401),
    ];
    for (number, (change, status)) in cases.into_iter().enumerate() {
        let answer = bench.get(&path(&bench.token(change))).await;
        assert_eq!(answer.status, status, "case {number}");
        if status == 401 {
            assert_eq!(answer.problem_type(), "urn:vms:problem:unauthorized");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        }
    }
    assert!(
        bench.application.asked.lock().is_empty(),
        "a token is checked without asking"
    );
}

#[tokio::test]
async fn what_is_not_signed_by_us_is_refused() {
    let bench = Bench::new();
    let good = bench.token(|_| ());
    let (claims, mac) = good.rsplit_once('.').unwrap();
    let other = GrantKey::new(b"another key of another house").sign(&claims_of());
    let more = bench.token(|c| c.end_us = None);
    let swapped = format!("{}.{mac}", more.rsplit_once('.').unwrap().0);
    for bad in [
        other.as_str(),
        &swapped,
        claims,
        &format!("{good}A"),
        "",
        "v1.e30.e30",
        "null",
    ] {
        let answer = bench.get(&path(bad)).await;
        assert_eq!(
            (answer.status, answer.problem_type().as_str()),
            (401, "urn:vms:problem:unauthorized"),
            "{bad}"
        );
    }
    // A bad token is not made good by a session.
    let answer = bench
        .request("GET", &path("bad"), &[("authorization", "Bearer good")], "")
        .await;
    assert_eq!(answer.status, 401);
}

fn claims_of() -> Claims {
    claims()
}

#[tokio::test]
async fn a_token_used_in_time_stays_good_until_it_expires() {
    let bench = Bench::new();
    let used = path(&bench.token(|_| ()));
    let unused = path(&bench.token(|c| c.subject = "bob".into()));
    assert_eq!(bench.get(&used).await.status, 200);
    bench.clock.advance_us(300_000_000);
    assert_eq!(bench.get(&used).await.status, 200);
    assert_eq!(bench.get(&unused).await.status, 401);
    bench.clock.advance_us(3_300_000_000);
    assert_eq!(bench.get(&used).await.status, 401);
}

#[tokio::test]
async fn a_refused_use_does_not_count_as_the_first() {
    let bench = Bench::new();
    let token = bench.token(|_| ());
    let other = format!("/api/v1/cameras/cam-2/playback.mp4?{RANGE}&token={token}");
    assert_eq!(bench.get(&other).await.status, 403);
    bench.clock.advance_us(300_000_000);
    assert_eq!(bench.get(&path(&token)).await.status, 401);
}

#[tokio::test]
async fn sessions_are_asked_about_and_the_answer_counts_for_half_a_minute() {
    let bench = Bench::new();
    let path = format!("/api/v1/cameras/cam-1/playback.mp4?{RANGE}");
    for headers in [[("authorization", "Bearer good")], [("cookie", "session=good")]] {
        let asked = || bench.application.asked.lock().len();
        let before = asked();
        for _ in 0..3 {
            assert_eq!(bench.request("GET", &path, &headers, "").await.status, 200);
        }
        assert_eq!(asked(), before + 1);
        let question = bench.application.last();
        assert_eq!(
            (question.method.as_str(), question.path.as_str()),
            ("POST", "/internal/grants")
        );
        assert_eq!(question.headers["x-forwarded-for"], "127.0.0.1");
        bench.clock.advance_us(30_000_000);
        assert_eq!(bench.request("GET", &path, &headers, "").await.status, 200);
        assert_eq!(asked(), before + 2);
        let other = path.replace("cam-1", "cam-2");
        assert_eq!(bench.request("GET", &other, &headers, "").await.status, 200);
        assert_eq!(asked(), before + 3);
    }
}

#[tokio::test]
async fn the_applications_refusal_is_passed_on() {
    let bench = Bench::new();
    let path = format!("/api/v1/cameras/cam-1/playback.mp4?{RANGE}");
    let answer = bench
        .request("GET", &path, &[("authorization", "Bearer bad")], "")
        .await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (403, "application/problem+json")
    );
    assert!(answer.body.windows(16).any(|w| w == b"camera-not-yours"));
    let anonymous = bench.get(&path).await;
    assert_eq!(anonymous.status, 401);
    assert!(anonymous.header("www-authenticate").starts_with("Bearer"));
    assert_eq!(bench.application.asked.lock().len(), 1, "nobody is asked about nobody");
    let foreign = bench
        .request("GET", &path, &[("authorization", "Bearer foreign key")], "")
        .await;
    assert_eq!(foreign.status, 500);
    let garbage = bench
        .request("GET", &path, &[("authorization", "Bearer garbage")], "")
        .await;
    assert_eq!(garbage.status, 502);
}

#[tokio::test]
async fn without_the_application_tokens_still_work_and_sessions_wait() {
    let bench = Bench::with(Wishes {
        application: false,
        ..Wishes::default()
    });
    assert_eq!(bench.get(&bench.playback()).await.status, 200);
    let path = format!("/api/v1/cameras/cam-1/playback.mp4?{RANGE}");
    let answer = bench
        .request("GET", &path, &[("authorization", "Bearer good")], "")
        .await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
}
