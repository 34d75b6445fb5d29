//! Requests passed on to the application, and its answers passed back.

use super::authorize::problem_of;
use super::body::FrontBody;
use super::content::{self, Opened, Wanted};
use super::files::FileSource;
use super::peer::Peer;
use super::problem::Problem;
use super::upstream::{BodyFault, RequestBody, Upstream, UpstreamBody};
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SERVER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use percent_encoding::percent_decode_str;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// An answer of the application with this header asks the front to send that file instead of a body.
const VMS_SEND_FILE: HeaderName = HeaderName::from_static("vms-send-file");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Passes requests on.
pub(super) struct Proxy {
    pub(super) upstream: Arc<Upstream>,
    pub(super) runtime: Handle,
    pub(super) body_limit_bytes: u64,
    pub(super) body_stall_timeout: Duration,
}

/// An answer, or two connections that from now on speak to each other.
pub(super) enum Passed {
    Answer(Response<FrontBody>),
    Tunnel {
        answer: Response<FrontBody>,
        client: OnUpgrade,
        application: OnUpgrade,
    },
}

impl Proxy {
    /// Passes a request on.
    pub(super) async fn pass(&self, mut head: Parts, body: Incoming, peer: &Peer) -> Result<Passed, Problem> {
        let announced: Option<u64> = head
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok())
            .and_then(|text| text.parse().ok());
        if announced.is_some_and(|bytes| bytes > self.body_limit_bytes) {
            return Err(Problem::too_large(self.body_limit_bytes));
        }
        let client = if wants_websocket(&head) {
            head.extensions.remove::<OnUpgrade>()
        } else {
            None
        };
        let wanted = Wanted::of(&head.method, &head.headers);
        let fault = BodyFault::default();
        let body = RequestBody::client(body, self.body_limit_bytes, self.body_stall_timeout, fault.clone());
        let request = outgoing(head, body, peer, client.is_some())?;
        let mut answer = self.upstream.send(request).await.map_err(|error| {
            if fault.is_too_large() {
                Problem::too_large(self.body_limit_bytes)
            } else if fault.is_too_slow() {
                Problem::request_timeout()
            } else {
                problem_of(&error)
            }
        })?;
        let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let application = hyper::upgrade::on(&mut answer);
        strip(answer.headers_mut());
        answer.headers_mut().remove(SERVER);
        match (switched, client) {
            (true, Some(client)) => {
                answer
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                answer
                    .headers_mut()
                    .insert(UPGRADE, HeaderValue::from_static("websocket"));
                let answer = answer.map(|_| FrontBody::empty());
                Ok(Passed::Tunnel {
                    answer,
                    client,
                    application,
                })
            }
            (true, None) => Err(Problem::bad_gateway()),
            (false, _) => match answer.headers_mut().remove(VMS_SEND_FILE) {
                Some(path) if answer.status().is_success() => {
                    Ok(Passed::Answer(self.send_file(&path, answer, wanted).await?))
                }
                _ => Ok(Passed::Answer(answer.map(FrontBody::upstream))),
            },
        }
    }

    /// The file that the application names, under its headers.
    async fn send_file(
        &self,
        path: &HeaderValue,
        answer: Response<UpstreamBody>,
        wanted: Wanted,
    ) -> Result<Response<FrontBody>, Problem> {
        let path = PathBuf::from(OsStr::from_bytes(path.as_bytes()));
        if !path.is_absolute() {
            tracing::error!(path = %path.display(), "the application asks for a file without an absolute path");
            return Err(Problem::internal());
        }
        let (head, _) = answer.into_parts();
        let mut headers = head.headers;
        headers.remove(CONTENT_LENGTH);
        content::answer(&self.runtime, wanted, move || match FileSource::open(&path) {
            Ok(source) => Ok(Opened {
                source: Arc::new(source),
                headers,
            }),
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the application asks for a file that cannot be sent");
                Err(match error.kind() {
                    io::ErrorKind::NotFound => Problem::not_found("The file is not there any more"),
                    _ => Problem::internal(),
                })
            }
        })
        .await
    }
}

/// The request as the application gets it.
fn outgoing(head: Parts, body: RequestBody, peer: &Peer, is_upgrade: bool) -> Result<Request<RequestBody>, Problem> {
    let host = host_of(&head)?;
    let path = head
        .uri
        .path_and_query()
        .cloned()
        .ok_or_else(|| Problem::bad_request("The address has no path"))?;
    let mut headers = head.headers;
    strip(&mut headers);
    headers.remove(EXPECT);
    headers.insert(HOST, host);
    peer.forwarded(&mut headers);
    if is_upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = path.into();
    *request.headers_mut() = headers;
    Ok(request)
}

/// The one host that a request names: in its address (HTTP/2 `:authority`, absolute form: RFC 9112 §3.2.2), else in
/// its only `Host` line. Two that differ are a way to mean one site to us and another to the application.
fn host_of(head: &Parts) -> Result<HeaderValue, Problem> {
    let mut lines = head.headers.get_all(HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err(Problem::bad_request("The request names its host twice"));
    }
    match head.uri.authority() {
        Some(authority) => {
            if line.is_some_and(|line| !line.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())) {
                return Err(Problem::bad_request("The request names two hosts"));
            }
            HeaderValue::from_str(authority.as_str()).map_err(|_| Problem::bad_request("The host cannot be read"))
        }
        None => match line {
            Some(line) => Ok(line.clone()),
            None if head.version == Version::HTTP_10 => Ok(HeaderValue::from_static("localhost")),
            None => Err(Problem::bad_request("The request names no host")),
        },
    }
}

/// RFC 6455 §4.1. Other protocols (h2c) are not switched to: they would slip past the front.
fn wants_websocket(head: &Parts) -> bool {
    let asks = |name: HeaderName, word: &str| {
        head.headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(word))
    };
    head.version == Version::HTTP_11
        && head.method == Method::GET
        && asks(CONNECTION, "upgrade")
        && asks(UPGRADE, "websocket")
}

/// Removes what concerns one connection only (RFC 9110 §7.6.1), with what `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

/// Whether a path is one of the application's inner addresses, however it is written: percent-encoded, with doubled
/// slashes or dot segments, in capitals.
pub(super) fn is_internal(path: &str) -> bool {
    let path = percent_decode_str(path).decode_utf8_lossy();
    let mut resolved: Vec<&str> = Vec::new();
    for segment in path.split(['/', '\\']) {
        // A parameter after `;` is no part of the name for some routers.
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                resolved.pop();
            }
            name => resolved.push(name),
        }
    }
    resolved
        .first()
        .is_some_and(|name| name.trim().eq_ignore_ascii_case("internal"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn inner_addresses_are_known_in_every_spelling() {
        for path in [
            "/internal",
            "/internal/grants",
            "//internal/grants",
            "/%69nternal/grants",
            "/./internal/grants",
            "/api/../internal/grants",
            "/api/%2e%2e/internal/grants",
            "/INTERNAL/grants",
            "/internal;x/grants",
            "/internal%2Fgrants",
            "\\internal\\grants",
            "/internal%20/grants",
        ] {
            assert!(is_internal(path), "{path}");
        }
        for path in ["/", "/api/v1/internal", "/internals", "/api/internal/../x"] {
            assert!(!is_internal(path), "{path}");
        }
    }

    #[test]
    fn what_connection_names_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("close, X-Private, host"));
        headers.append(CONNECTION, HeaderValue::from_static("X-Other"));
        for name in ["x-private", "x-other", "host", "keep-alive", "te", "x-stays"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        strip(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "x-stays"]);
    }

    #[test]
    fn one_host_or_none() {
        let host = |uri: &str, lines: &[&'static str]| {
            let mut request = Request::builder().uri(uri).body(()).unwrap();
            for line in lines {
                request.headers_mut().append(HOST, HeaderValue::from_static(line));
            }
            host_of(&request.into_parts().0).map_err(|problem| problem.status.as_u16())
        };
        assert_eq!(host("/", &["a:80"]).unwrap(), "a:80");
        assert_eq!(host("http://a/", &["a"]).unwrap(), "a");
        assert_eq!(host("http://a/", &["b"]), Err(400));
        assert_eq!(host("/", &["a", "a"]), Err(400));
        assert_eq!(host("/", &[]), Err(400));
    }
}
