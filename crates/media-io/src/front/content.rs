//! Answers that serve a byte source: status, entity tag, ranges, body.

use super::body::FrontBody;
use super::flow;
use super::problem::Problem;
use super::ranges::{Conditions, Outcome};
use crate::source::ByteSource;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
};
use http::{Method, Response, StatusCode};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A source found, and what its answer says besides.
pub(super) struct Opened {
    pub(super) source: Arc<dyn ByteSource>,
    /// Headers of the answer; they replace those that the source implies.
    pub(super) headers: HeaderMap,
}

/// What of a request matters to a source's answer.
pub(super) struct Wanted {
    is_head: bool,
    conditions: Conditions,
}

impl Wanted {
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        Self {
            is_head: method == Method::HEAD,
            conditions: Conditions::from_headers(headers, method == Method::GET),
        }
    }
}

/// Opens a source and answers with it. `open` may block: it runs on a blocking thread, and the same thread then reads
/// the first bytes and goes on reading, so that the first byte waits for one change of thread only.
pub(super) async fn answer<E: From<Problem> + Send + 'static>(
    runtime: &Handle,
    wanted: Wanted,
    open: impl FnOnce() -> Result<Opened, E> + Send + 'static,
) -> Result<Response<FrontBody>, E> {
    let (tell, told) = oneshot::channel();
    let on = runtime.clone();
    runtime.spawn_blocking(move || {
        let opened = match open() {
            Ok(opened) => opened,
            Err(problem) => return drop(tell.send(Err(problem))),
        };
        let size_bytes = opened.source.size_bytes();
        let outcome = wanted.conditions.evaluate(opened.source.etag(), size_bytes);
        let range = match outcome {
            Outcome::Whole => 0..size_bytes,
            Outcome::Part { first, last } => first..last + 1,
            Outcome::NotModified | Outcome::PreconditionFailed | Outcome::Unsatisfiable => 0..0,
        };
        if wanted.is_head || range.is_empty() {
            let answer = head(&opened, outcome).map(|head| head.map(|()| FrontBody::empty()));
            return drop(tell.send(answer.map_err(E::from)));
        }
        let (pump, reader) = flow::flow(opened.source.clone(), range, on);
        if let Err(error) = pump.read_first() {
            return drop(tell.send(Err(Problem::from(error).into())));
        }
        let answer = head(&opened, outcome).map(|head| head.map(|()| FrontBody::source(reader)));
        if tell.send(answer.map_err(E::from)).is_ok() {
            pump.run();
        }
    });
    told.await.unwrap_or_else(|_| Err(Problem::internal().into()))
}

fn head(opened: &Opened, outcome: Outcome) -> Result<Response<()>, Problem> {
    let size_bytes = opened.source.size_bytes();
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(ETAG, text(format!("\"{}\"", opened.source.etag()))?);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, text(opened.source.content_type().to_owned())?);
    for (name, value) in &opened.headers {
        headers.insert(name, value.clone());
    }
    let status = match outcome {
        Outcome::Whole => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(size_bytes));
            StatusCode::OK
        }
        Outcome::Part { first, last } => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(last + 1 - first));
            headers.insert(CONTENT_RANGE, text(format!("bytes {first}-{last}/{size_bytes}"))?);
            StatusCode::PARTIAL_CONTENT
        }
        Outcome::NotModified => {
            headers.remove(CONTENT_TYPE);
            StatusCode::NOT_MODIFIED
        }
        Outcome::PreconditionFailed => return Err(Problem::precondition_failed()),
        Outcome::Unsatisfiable => return Err(Problem::range_not_satisfiable(size_bytes)),
    };
    *response.status_mut() = status;
    Ok(response)
}

fn text(value: String) -> Result<HeaderValue, Problem> {
    HeaderValue::try_from(value).map_err(|_| Problem::internal())
}

/// Adds a header whose value is text that is known to be one.
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
