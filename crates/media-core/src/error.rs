//! The one error type of the media core. Kinds map once to HTTP (front, Python) and once to gRPC (Python).

use std::fmt;

/// What went wrong, in the words that a status code can be chosen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller's argument is not acceptable (HTTP 400/422).
    Invalid,
    /// Bytes from a camera, a client or a file break their format (HTTP 422, camera state `error`).
    Malformed,
    /// Well-formed, but something we do not carry, such as an unknown codec (HTTP 406/415).
    Unsupported,
    /// Credentials missing or refused (HTTP 401, camera state `unauthorized`).
    Unauthorized,
    /// Known, but not allowed (HTTP 403).
    Forbidden,
    /// Nothing there (HTTP 404).
    NotFound,
    /// The state does not allow it now (HTTP 409).
    Conflict,
    /// A limit is reached: viewers, queue, disk (HTTP 503 with Retry-After; disk full: 507).
    Exhausted,
    /// The other side did not answer in time or cannot be reached (HTTP 504/502, camera state `offline`).
    Unavailable,
    /// Our own fault, or the operating system's (HTTP 500).
    Internal,
}

impl ErrorKind {
    /// Stable lower-case name, used in logs, in the Python binding and in problem types.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// An error with its kind and a sentence that names the camera, stream, packet or byte concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Result of the media core.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` saying `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Bytes that break their format.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    /// The kind, for mapping to a status.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence, without the kind.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with `context: ` put before its sentence ("camera 3 main: …").
    #[must_use]
    pub fn within(self, context: impl fmt::Display) -> Self {
        Self {
            message: format!("{context}: {}", self.message),
            ..self
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match e.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::Exhausted,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Forbidden,
            Io::TimedOut
            | Io::ConnectionRefused
            | Io::ConnectionReset
            | Io::HostUnreachable
            | Io::NetworkUnreachable
            | Io::BrokenPipe
            | Io::UnexpectedEof => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, e.to_string())
    }
}
