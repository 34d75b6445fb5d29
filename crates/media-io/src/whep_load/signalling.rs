//! Offers, answers and goodbyes over HTTP/1.1, on a thread of their own.

use super::LoadOptions;
use super::formats::Formats;
use super::viewer::{Role, Viewer};
use crate::whep::keys::{Dtls, crypto_provider};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use media_core::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::media::{Direction, MediaKind};
use str0m::{Candidate, Rtc};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use url::Url;

/// An answer is a few KiB; more is none.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// A server that lets an offer wait this long has refused it.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A viewer with its answer, or why there is none.
pub(super) type Outcome = std::result::Result<Box<Viewer>, (Role, String)>;

/// µs since the Unix epoch.
pub(super) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

/// What all viewers have in common: one certificate, as its making says nothing about the server.
struct Identity {
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

/// Brings all viewers at their pace, then ends the sessions that `leaving` names until it is closed.
pub(super) async fn bring_viewers(
    options: Arc<LoadOptions>,
    outcomes: Sender<Outcome>,
    mut leaving: UnboundedReceiver<Url>,
) -> Result<()> {
    let provider = Arc::new(crypto_provider());
    let certificate = provider.dtls_provider.generate_certificate();
    let certificate = certificate.ok_or_else(|| Error::new(ErrorKind::Internal, "no DTLS certificate was made"))?;
    let identity = Arc::new(Identity { provider, certificate });
    let server = resolve(&options.url).await?;
    let start = Instant::now();
    for (number, role) in roles(&options).enumerate() {
        let at = start + Duration::from_secs_f64(number as f64 / options.joins_per_second);
        tokio::time::sleep_until(at.into()).await;
        let (options, outcomes, identity) = (options.clone(), outcomes.clone(), identity.clone());
        tokio::task::spawn_local(async move {
            let joined = join(&options, &identity, server, role, number).await;
            let _ = outcomes.send(joined.map(Box::new).map_err(|error| (role, error.to_string())));
        });
    }
    drop(outcomes);
    let mut goodbyes = tokio::task::JoinSet::new();
    while let Some(session) = leaving.recv().await {
        let options = options.clone();
        goodbyes.spawn_local(async move {
            let _ = ask(&options, server, Method::DELETE, &session, String::new()).await;
        });
        // A server gets a bounded number at a time.
        if goodbyes.len() >= 32 {
            goodbyes.join_next().await;
        }
    }
    while goodbyes.join_next().await.is_some() {}
    Ok(())
}

/// Stalled and hostile viewers come in between the others, evenly.
fn roles(options: &LoadOptions) -> impl Iterator<Item = Role> + use<> {
    let counts = [
        (Role::Watching, options.viewers),
        (Role::Stalled, options.stalled),
        (Role::Hostile, options.hostile),
    ];
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let mut brought = [0usize; 3];
    (1..=total).map(move |number| {
        // In units of 1/total, as shares are no whole numbers.
        let behind = |index: &usize| (counts[*index].1 * number) as i64 - (brought[*index] * total) as i64;
        let next = (0..3)
            .filter(|index| brought[*index] < counts[*index].1)
            .max_by_key(behind);
        let next = next.unwrap_or(0);
        brought[next] += 1;
        counts[next].0
    })
}

async fn resolve(url: &Url) -> Result<SocketAddr> {
    if url.scheme() != "http" {
        let message = format!("{url}: the load client speaks plain HTTP only");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let found = tokio::net::lookup_host((host, port)).await?.next();
    found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{host} has no address")))
}

async fn join(
    options: &LoadOptions,
    identity: &Identity,
    server: SocketAddr,
    role: Role,
    number: usize,
) -> Result<Viewer> {
    // The address from which the server is reached.
    let probe = std::net::UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    probe.connect(server)?;
    let socket = super::socket::bind(probe.local_addr()?.ip(), options.trains)?;
    let local = socket.local_addr()?;
    let (mut rtc, dtls, offer, pending) = offer(options, identity, local)?;
    let posted_us = unix_us();
    let asked = ask(options, server, Method::POST, &options.url, offer);
    let (status, location, answer) = tokio::time::timeout(ANSWER_WITHIN, asked)
        .await
        .map_err(|_| Error::new(ErrorKind::Unavailable, "no answer in time"))??;
    if status != StatusCode::CREATED {
        return Err(Error::new(ErrorKind::Unavailable, format!("HTTP {status}")));
    }
    let location = location.ok_or_else(|| Error::malformed("an answer without Location"))?;
    let session = options.url.join(&location);
    let session = session.map_err(|e| Error::malformed(format!("Location {location}: {e}")))?;
    let answer = reachable_candidates(&answer, server);
    let formats = Formats::of(&answer)?;
    let refused = |e: &dyn std::fmt::Display| Error::malformed(format!("SDP answer: {e}"));
    let parsed = SdpAnswer::from_sdp_string(&answer).map_err(|e| refused(&e))?;
    rtc.sdp_api().accept_answer(pending, parsed).map_err(|e| refused(&e))?;
    Ok(Viewer::new(
        number,
        role,
        session,
        socket,
        local,
        (rtc, dtls),
        formats,
        posted_us,
    ))
}

fn offer(
    options: &LoadOptions,
    identity: &Identity,
    local: SocketAddr,
) -> Result<(Rtc, Dtls, String, SdpPendingOffer)> {
    let config = Rtc::builder()
        .set_crypto_provider(identity.provider.clone())
        .set_dtls_cert(identity.certificate.clone())
        .set_rtp_mode(true)
        .clear_codecs()
        .enable_h264(true)
        .enable_h265(true)
        .enable_opus(true, false)
        .enable_pcma(true, false)
        .enable_pcmu(true, false);
    let (mut rtc, dtls) = Dtls::watch(|| config.build(Instant::now()));
    let dtls = dtls.ok_or_else(|| Error::new(ErrorKind::Internal, "a session without DTLS"))?;
    let candidate = Candidate::host(local, "udp");
    let candidate = candidate.map_err(|e| Error::new(ErrorKind::Internal, format!("{local}: {e}")))?;
    rtc.add_local_candidate(candidate);
    let mut api = rtc.sdp_api();
    api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    if options.audio {
        api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
    }
    let (offer, pending) = api
        .apply()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "an empty offer"))?;
    Ok((rtc, dtls, offer.to_sdp_string(), pending))
}

/// One request on a connection of its own, as a page's first request is.
async fn ask(
    options: &LoadOptions,
    server: SocketAddr,
    method: Method,
    url: &Url,
    body: String,
) -> Result<(StatusCode, Option<String>, String)> {
    let failed = |e: &dyn std::fmt::Display| Error::new(ErrorKind::Unavailable, format!("HTTP: {e}"));
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| failed(&e))?;
    tokio::task::spawn_local(connection);
    let path = match url.query().or(options.url.query()) {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("Host", server.to_string())
        .header("Content-Type", "application/sdp");
    if let Some(bearer) = &options.bearer {
        request = request.header("Authorization", format!("Bearer {bearer}"));
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|e| failed(&e))?;
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    let status = response.status();
    let location = response.headers().get("Location").and_then(|value| value.to_str().ok());
    let location = location.map(str::to_owned);
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|e| failed(&e))?.to_bytes();
    Ok((status, location, String::from_utf8_lossy(&body).into_owned()))
}

/// The answer with the candidates of the server's HTTP address alone, where it has such: the others cannot be reached
/// from a socket bound to the route there, and each would be tried by each viewer.
fn reachable_candidates(answer: &str, server: SocketAddr) -> String {
    let host = server.ip().to_string();
    let is_candidate = |line: &str| line.starts_with("a=candidate:");
    let reaches = |line: &str| line.split(' ').nth(4) == Some(&host);
    if !answer.lines().any(|line| is_candidate(line) && reaches(line)) {
        return answer.to_owned();
    }
    let mut text = String::with_capacity(answer.len());
    for line in answer.lines().filter(|line| !is_candidate(line) || reaches(line)) {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn other_roles_come_in_between() {
        let options = LoadOptions {
            url: Url::parse("http://localhost/").unwrap(),
            bearer: None,
            viewers: 8,
            stalled: 4,
            hostile: 2,
            joins_per_second: 1.0,
            window: Duration::ZERO,
            audio: false,
            nack: true,
            lose_percent: 0.0,
            trains: false,
            server_pid: None,
            afterwards: Duration::ZERO,
        };
        let order: Vec<Role> = roles(&options).collect();
        let count = |role, part: &[Role]| part.iter().filter(|other| **other == role).count();
        assert_eq!(order.len(), 14);
        assert_eq!(count(Role::Watching, &order), 8);
        assert_eq!(count(Role::Stalled, &order), 4);
        assert_eq!(count(Role::Stalled, &order[..7]), 2);
        assert_eq!(count(Role::Hostile, &order[..7]), 1);
    }

    #[test]
    fn candidates_out_of_reach_are_left_out() {
        let answer =
            "v=0\r\na=candidate:1 1 udp 1 127.0.0.1 8189 typ host\r\na=candidate:2 1 udp 1 10.0.0.1 8189 typ host\r\n";
        let kept = reachable_candidates(answer, "127.0.0.1:80".parse().unwrap());
        assert!(kept.contains("127.0.0.1") && !kept.contains("10.0.0.1"));
        let other = reachable_candidates(answer, "192.0.2.1:80".parse().unwrap());
        assert_eq!(other, answer);
    }
}
