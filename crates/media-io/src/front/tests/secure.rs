#![allow(clippy::unwrap_used)]
use super::support::*;
use crate::front::TlsIdentity;
use base64::Engine as _;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn bench() -> (Bench, CertificateDer<'static>) {
    let own = rcgen::generate_simple_self_signed(vec!["front.test".to_owned()]).unwrap();
    let tls = TlsIdentity {
        certificate_pem: pem("CERTIFICATE", own.cert.der()),
        key_pem: pem("PRIVATE KEY", &own.signing_key.serialize_der()),
    };
    (
        Bench::with(Wishes {
            tls: Some(tls),
            page: true,
            ..Wishes::default()
        }),
        own.cert.der().clone(),
    )
}

async fn connect(
    bench: &Bench,
    certificate: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("front.test").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, bench.connect().await)
        .await
}

#[tokio::test]
async fn http1_over_tls() {
    let (bench, certificate) = bench();
    let mut stream = connect(&bench, &certificate, &rustls::version::TLS13, &[b"http/1.1"])
        .await
        .unwrap();
    assert_eq!(
        stream.get_ref().1.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
    stream
        .write_all(b"GET /api/v1/echo HTTP/1.1\r\nHost: front.test\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(bench.application.last().headers["x-forwarded-proto"], "https");
}

#[tokio::test]
async fn http2_over_tls() {
    let (bench, certificate) = bench();
    let stream = connect(&bench, &certificate, &rustls::version::TLS13, &[b"h2", b"http/1.1"])
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let path = format!("https://front.test{}", bench.playback());
    let mut get = async |uri: &str| {
        let request = http::Request::get(uri).body(Empty::<bytes::Bytes>::new()).unwrap();
        answer_of(sender.send_request(request).await.unwrap()).await
    };
    assert_eq!(get(&path).await.body, bytes(0..1_000_000));
    assert_eq!(get("https://front.test/").await.status, 200);
    assert_eq!(get("https://front.test/internal/grants").await.status, 404);
    assert_eq!(get("https://front.test:1234/api/v1/echo").await.status, 200);
    let asked = bench.application.last();
    assert_eq!(
        (asked.headers["host"].as_bytes(), asked.path.as_str()),
        (b"front.test:1234".as_slice(), "/api/v1/echo")
    );
    assert!(bench.front.shutdown(PATIENCE).await, "idle connections end at once");
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let (bench, certificate) = bench();
    let refused = connect(&bench, &certificate, &rustls::version::TLS12, &[]).await;
    assert!(refused.is_err());
    eventually("it is counted", || bench.front.counters().handshakes_failed == 1).await;
}

#[tokio::test]
async fn plain_http_is_pointed_to_https() {
    let (bench, _) = bench();
    let answer = bench
        .raw("GET /cameras?x=1 HTTP/1.1\r\nHost: front.test:8443\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
    assert!(
        answer
            .to_lowercase()
            .contains("location: https://front.test:8443/cameras?x=1\r\n"),
        "{answer}"
    );
    let bare = bench.raw("POST /api/v1/echo HTTP/1.0\r\n\r\n").await;
    assert!(bare.starts_with("HTTP/1.0 400"), "{bare}");
    assert!(bench.application.asked.lock().is_empty());
}

#[tokio::test]
async fn noise_is_no_handshake() {
    let (bench, certificate) = bench();
    bench.raw([0x16, 3, 1, 0, 4, 9, 9, 9, 9]).await;
    bench.raw([0xff; 64]).await;
    eventually("both are counted", || bench.front.counters().handshakes_failed == 2).await;
    assert!(
        connect(&bench, &certificate, &rustls::version::TLS13, &[])
            .await
            .is_ok()
    );
}
