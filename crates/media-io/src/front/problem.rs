//! Errors as HTTP tells them: RFC 9457 documents with stable types. The one place where an `ErrorKind` gets a status.

use super::body::FrontBody;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use media_core::{Error, ErrorKind};

/// Media type of a problem document (RFC 9457 §3).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The request breaks a rule.
pub const TYPE_INVALID: &str = "urn:vms:problem:invalid";
/// The request, or what is recorded, cannot be read.
pub const TYPE_MALFORMED: &str = "urn:vms:problem:malformed";
/// Understood, but not something this system does.
pub const TYPE_UNSUPPORTED: &str = "urn:vms:problem:unsupported";
/// Nobody is logged in, or the token is not good.
pub const TYPE_UNAUTHORIZED: &str = "urn:vms:problem:unauthorized";
/// Somebody is, but may not.
pub const TYPE_FORBIDDEN: &str = "urn:vms:problem:forbidden";
/// Nothing there.
pub const TYPE_NOT_FOUND: &str = "urn:vms:problem:not-found";
/// The state does not allow it now.
pub const TYPE_CONFLICT: &str = "urn:vms:problem:conflict";
/// A limit is reached.
pub const TYPE_EXHAUSTED: &str = "urn:vms:problem:exhausted";
/// A part that is needed does not answer.
pub const TYPE_UNAVAILABLE: &str = "urn:vms:problem:unavailable";
/// Our own fault.
pub const TYPE_INTERNAL: &str = "urn:vms:problem:internal";
/// The path exists, the method does not.
pub const TYPE_METHOD_NOT_ALLOWED: &str = "urn:vms:problem:method-not-allowed";
/// The body is larger than the front passes on.
pub const TYPE_TOO_LARGE: &str = "urn:vms:problem:too-large";
/// The application took too long.
pub const TYPE_TIMEOUT: &str = "urn:vms:problem:timeout";
/// `If-Match` names another version.
pub const TYPE_PRECONDITION: &str = "urn:vms:problem:precondition-failed";

/// `Range` begins behind the end.
pub const TYPE_RANGE: &str = "urn:vms:problem:range-not-satisfiable";

/// A refusal on its way to the client.
#[derive(Debug, Clone)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable URI, one of the constants above.
    pub kind: &'static str,
    /// What `kind` means, the same for each occurrence.
    pub title: &'static str,
    /// One sentence about this occurrence; never holds a secret or a path of the server.
    pub detail: String,
    /// Headers that belong to the status.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.into(),
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// 422: the request breaks a rule.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            TYPE_INVALID,
            "The request breaks a rule",
            detail,
        )
    }

    /// 400: the request itself cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            TYPE_MALFORMED,
            "The request cannot be read",
            detail,
        )
    }

    /// 401 with the challenge that RFC 6750 §3 asks for.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, TYPE_UNAUTHORIZED, "Not logged in", detail)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"vms\"")
    }

    /// 403.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, TYPE_FORBIDDEN, "Not permitted", detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, TYPE_NOT_FOUND, "Not found", detail)
    }

    /// 405; `allow` lists the methods there are.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("Only {allow} are answered here");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            TYPE_METHOD_NOT_ALLOWED,
            "Method not allowed",
            detail,
        )
        .with(ALLOW, allow)
    }

    /// 408: the client sends its request too slowly.
    pub fn request_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            TYPE_TIMEOUT,
            "No answer in time",
            "The request body came too slowly",
        )
    }

    /// 412.
    pub fn precondition_failed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            TYPE_PRECONDITION,
            "Another version is here",
            "If-Match names no version that is here",
        )
    }

    /// 413.
    pub fn too_large(limit_bytes: u64) -> Self {
        let detail = format!("A request body may have at most {limit_bytes} bytes");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            TYPE_TOO_LARGE,
            "The request body is too large",
            detail,
        )
    }

    /// 416 with the size there is.
    pub fn range_not_satisfiable(size_bytes: u64) -> Self {
        let mut problem = Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            TYPE_RANGE,
            "No such bytes",
            format!("The range begins after the last of {size_bytes} bytes"),
        );
        if let Ok(value) = HeaderValue::try_from(format!("bytes */{size_bytes}")) {
            problem.headers.push((CONTENT_RANGE, value));
        }
        problem
    }

    /// 500. The cause goes to the log, not to the client.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            TYPE_INTERNAL,
            "Internal error",
            "The server failed to do this; its log tells why",
        )
    }

    /// 503 with Retry-After: a limit is reached.
    pub fn exhausted(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            TYPE_EXHAUSTED,
            "Too many at once",
            detail,
        )
        .with(RETRY_AFTER, "1")
    }

    /// 503 with Retry-After: a part that is needed does not answer.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            TYPE_UNAVAILABLE,
            "Temporarily unavailable",
            detail,
        )
        .with(RETRY_AFTER, "1")
    }

    /// 502: the application's answer is no HTTP.
    pub fn bad_gateway() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            TYPE_UNAVAILABLE,
            "Temporarily unavailable",
            "The application broke off its answer",
        )
    }

    /// 504: the application took too long.
    pub fn timeout() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            TYPE_TIMEOUT,
            "No answer in time",
            "The application did not answer in time",
        )
    }

    /// The document.
    pub fn to_json(&self) -> String {
        serde_json::json!({
            "type": self.kind,
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        })
        .to_string()
    }

    /// The answer.
    pub fn into_response(self) -> Response<FrontBody> {
        let mut response = Response::new(FrontBody::whole(Bytes::from(self.to_json())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.message().to_owned();
        match error.kind() {
            ErrorKind::Invalid => Self::invalid(detail),
            ErrorKind::Malformed => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                TYPE_MALFORMED,
                "What is recorded there cannot be read",
                detail,
            ),
            ErrorKind::Unsupported => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                TYPE_UNSUPPORTED,
                "Not supported",
                detail,
            ),
            ErrorKind::Unauthorized => Self::unauthorized(detail),
            ErrorKind::Forbidden => Self::forbidden(detail),
            ErrorKind::NotFound => Self::not_found(detail),
            ErrorKind::Conflict => Self::new(
                StatusCode::CONFLICT,
                TYPE_CONFLICT,
                "In conflict with the present state",
                detail,
            ),
            ErrorKind::Exhausted => Self::exhausted(detail),
            ErrorKind::Unavailable => Self::unavailable(detail),
            ErrorKind::Internal => {
                tracing::error!(error = %error, "a request failed");
                Self::internal()
            }
        }
    }
}
