//! RTSP messages and interleaved frames on one byte stream: an incremental parser and the serializer (RFC 2326 §4–§10).
//!
//! The parser works over the caller's read buffer and lends interleaved payloads out of it, so that a media packet is
//! not copied here. It accepts what cameras really send: LF without CR, folded headers, odd case, blanks before the
//! colon, blank lines between messages. HTTP answers parse too, so that "this is a web server" can be told from noise.

use crate::{Error, Result};
use bytes::Bytes;

/// First byte of an interleaved frame (RFC 2326 §10.12).
pub const INTERLEAVED_MARK: u8 = b'$';
/// Bytes before the payload of an interleaved frame.
pub const INTERLEAVED_HEADER_BYTES: usize = 4;

/// How much one message may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Start line and headers, with their line ends.
    pub head_bytes: usize,
    /// Body, as announced by Content-Length.
    pub body_bytes: usize,
}

impl Default for Limits {
    /// 16 KiB of headers, 256 KiB of body.
    fn default() -> Self {
        Self {
            head_bytes: 16 << 10,
            body_bytes: 256 << 10,
        }
    }
}

/// Header fields in the order received; names compare without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first field called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// Every field called `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// Appends a field. Line ends inside `value` are replaced by blanks, so that no value can forge a header.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let mut value = value.into();
        if value.contains(['\r', '\n']) {
            value = value.replace(['\r', '\n'], " ");
        }
        self.0.push((name.into(), value));
    }

    /// Every field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The number in CSeq, if there is one.
    pub fn cseq(&self) -> Option<u32> {
        self.get("CSeq")?.trim().parse().ok()
    }
}

/// A request, from either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `OPTIONS`, `DESCRIBE`, … in upper case as received.
    pub method: String,
    /// Request URI as received, often absolute.
    pub uri: String,
    /// Header fields.
    pub headers: Headers,
    /// Body, empty without Content-Length.
    pub body: Bytes,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Protocol and version of the status line, e.g. `RTSP/1.0` (or `HTTP/1.1` from something that is no camera).
    pub version: String,
    /// Status code, 100–599.
    pub status: u16,
    /// Reason phrase, possibly empty.
    pub reason: String,
    /// Header fields.
    pub headers: Headers,
    /// Body, empty without Content-Length.
    pub body: Bytes,
}

/// One thing read from the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// Binary data of one channel, lent from the buffer.
    Interleaved {
        /// Channel number of the frame.
        channel: u8,
        /// RTP or RTCP bytes.
        payload: &'a [u8],
    },
    /// A request.
    Request(Request),
    /// An answer.
    Response(Response),
}

/// What `parse` made of the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// More bytes are needed; `wanted_bytes` is the least total the buffer must hold before trying again is of use.
    /// Whoever drops the blanks first never holds more than one message.
    Incomplete {
        /// Least buffer length for progress.
        wanted_bytes: usize,
        /// Bytes at the front of the buffer that belong to no message and may be dropped now.
        blank_bytes: usize,
    },
    /// One item, and how many bytes of the buffer it used.
    Complete {
        /// The item.
        item: Item<'a>,
        /// Bytes to drop from the front of the buffer.
        consumed_bytes: usize,
    },
}

/// Reads the first item of `buffer`. `Malformed` means the stream is out of step here; see [`resynchronize`].
#[inline]
pub fn parse<'a>(buffer: &'a [u8], limits: &Limits) -> Result<Parsed<'a>> {
    if let [INTERLEAVED_MARK, channel, high, low, rest @ ..] = buffer {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let total = INTERLEAVED_HEADER_BYTES + length;
        return Ok(match rest.get(..length) {
            Some(payload) => Parsed::Complete {
                item: Item::Interleaved {
                    channel: *channel,
                    payload,
                },
                consumed_bytes: total,
            },
            None => Parsed::Incomplete {
                wanted_bytes: total,
                blank_bytes: 0,
            },
        });
    }
    parse_text(buffer, limits)
}

fn parse_text<'a>(buffer: &'a [u8], limits: &Limits) -> Result<Parsed<'a>> {
    // Keep-alives of bare line ends and blank lines after bodies are common between messages.
    let blank_bytes = buffer
        .iter()
        .take_while(|b| matches!(b, b'\r' | b'\n' | b' ' | b'\t'))
        .count();
    let text = &buffer[blank_bytes..];
    let Some(&first) = text.first() else {
        return Ok(Parsed::Incomplete {
            wanted_bytes: buffer.len() + 1,
            blank_bytes,
        });
    };
    if first == INTERLEAVED_MARK {
        if blank_bytes == 0 {
            return Ok(Parsed::Incomplete {
                wanted_bytes: INTERLEAVED_HEADER_BYTES,
                blank_bytes,
            });
        }
        return Ok(match parse(text, limits)? {
            Parsed::Complete { item, consumed_bytes } => Parsed::Complete {
                item,
                consumed_bytes: consumed_bytes + blank_bytes,
            },
            Parsed::Incomplete { wanted_bytes, .. } => Parsed::Incomplete {
                wanted_bytes: wanted_bytes + blank_bytes,
                blank_bytes,
            },
        });
    }
    if !first.is_ascii_alphabetic() {
        return Err(Error::malformed(format!(
            "byte 0x{first:02x} starts neither an RTSP message nor an interleaved frame"
        )));
    }
    let Some(head_bytes) = head_length(text) else {
        if text.len() > limits.head_bytes {
            return Err(Error::malformed(format!(
                "RTSP headers longer than {} bytes",
                limits.head_bytes
            )));
        }
        if let Some(end) = text.iter().position(|b| *b == b'\n') {
            // Other protocols greet with a line of their own and then wait: seen at once, not after a time-out.
            start(String::from_utf8_lossy(&text[..end]).trim_end())?;
        }
        if let Some(at) = text.iter().take(MAX_START_BYTES).position(|b| !is_text(*b)) {
            return Err(Error::malformed(format!(
                "byte 0x{:02x} inside an RTSP start line",
                text[at]
            )));
        }
        return Ok(Parsed::Incomplete {
            wanted_bytes: buffer.len() + 1,
            blank_bytes,
        });
    };
    if head_bytes > limits.head_bytes {
        return Err(Error::malformed(format!(
            "RTSP headers longer than {} bytes",
            limits.head_bytes
        )));
    }
    // Names and realms in Latin-1 or worse must not end the session.
    let head = String::from_utf8_lossy(&text[..head_bytes]);
    let (start_line, header_lines) = head.split_once('\n').unwrap_or((&head, ""));
    let start_line = start_line.trim_end();
    let headers = parse_headers(header_lines);
    let body_bytes = match headers.get("Content-Length").map(|v| v.trim().parse::<usize>()) {
        None => 0,
        Some(Ok(n)) if n <= limits.body_bytes => n,
        Some(Ok(n)) => {
            return Err(Error::malformed(format!(
                "RTSP body of {n} bytes, more than {}",
                limits.body_bytes
            )));
        }
        Some(Err(_)) => return Err(Error::malformed("Content-Length is not a number")),
    };
    let consumed_bytes = blank_bytes + head_bytes + body_bytes;
    let Some(body) = buffer.get(blank_bytes + head_bytes..consumed_bytes) else {
        // The start line is checked first: noise must not make us wait for a body that never comes.
        start(start_line)?;
        return Ok(Parsed::Incomplete {
            wanted_bytes: consumed_bytes,
            blank_bytes,
        });
    };
    let body = Bytes::copy_from_slice(body);
    let item = match start(start_line)? {
        Start::Status {
            version,
            status,
            reason,
        } => Item::Response(Response {
            version: version.into(),
            status,
            reason: reason.into(),
            headers,
            body,
        }),
        Start::Request { method, uri } => Item::Request(Request {
            method: method.to_ascii_uppercase(),
            uri: uri.into(),
            headers,
            body,
        }),
    };
    Ok(Parsed::Complete { item, consumed_bytes })
}

/// A start line begins within this many bytes; binary noise shows itself here before a whole head is waited for.
const MAX_START_BYTES: usize = 16;

fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\r' | b'\n' | 0x20..=0x7e)
}

/// Length of start line and headers with the blank line that ends them.
fn head_length(text: &[u8]) -> Option<usize> {
    let mut line_start = 0;
    for (at, byte) in text.iter().enumerate() {
        if *byte == b'\n' {
            let line = &text[line_start..at];
            if line_start > 0 && (line.is_empty() || line == b"\r") {
                return Some(at + 1);
            }
            line_start = at + 1;
        }
    }
    None
}

enum Start<'a> {
    Status {
        version: &'a str,
        status: u16,
        reason: &'a str,
    },
    Request {
        method: &'a str,
        uri: &'a str,
    },
}

fn start(line: &str) -> Result<Start<'_>> {
    let malformed = || {
        let shown: String = line.chars().take(80).collect();
        Error::malformed(format!("not an RTSP start line: {shown:?}"))
    };
    let mut words = line.splitn(3, [' ', '\t']);
    let (first, second, third) = (
        words.next().unwrap_or(""),
        words.next().unwrap_or(""),
        words.next().unwrap_or(""),
    );
    let upper = first.to_ascii_uppercase();
    if upper.starts_with("RTSP/") || upper.starts_with("HTTP/") || upper.starts_with("ICY") {
        let status = second.trim().parse().map_err(|_| malformed())?;
        if !(100..600).contains(&status) {
            return Err(malformed());
        }
        return Ok(Start::Status {
            version: first,
            status,
            reason: third.trim(),
        });
    }
    let version = third.trim().to_ascii_uppercase();
    if second.is_empty() || !(version.starts_with("RTSP/") || version.starts_with("HTTP/")) {
        return Err(malformed());
    }
    if !first.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_' || b == b'-') {
        return Err(malformed());
    }
    Ok(Start::Request {
        method: first,
        uri: second,
    })
}

fn parse_headers(lines: &str) -> Headers {
    let mut headers = Headers::default();
    for line in lines.split('\n') {
        let line = line.trim_end_matches('\r');
        if line.starts_with([' ', '\t']) {
            // A folded line continues the value above it.
            if let Some((_, value)) = headers.0.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
            continue;
        }
        // A line without a colon is a fault we can live with: it says nothing.
        if let Some((name, value)) = line.split_once(':') {
            headers.0.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    headers
}

/// How many bytes to drop from the front of a buffer that `parse` called malformed: up to the next place that looks
/// like an interleaved frame on one of `channels` holding RTP or RTCP version 2, or like an RTSP answer.
/// At least 1 unless the buffer is empty; the last few bytes are kept when they may be the start of such a place.
pub fn resynchronize(buffer: &[u8], channels: impl Fn(u8) -> bool) -> usize {
    for at in 1..buffer.len() {
        let found = match &buffer[at..] {
            [INTERLEAVED_MARK, channel, high, low, version, ..] => {
                channels(*channel) && version >> 6 == 2 && u16::from_be_bytes([*high, *low]) >= 8
            }
            [INTERLEAVED_MARK, ..] => true,
            rest => rest.starts_with(b"RTSP/") || b"RTSP/".starts_with(rest),
        };
        if found {
            return at;
        }
    }
    buffer.len()
}

/// The four bytes before an interleaved payload of `payload_bytes` on `channel`.
#[inline]
pub fn interleaved_header(channel: u8, payload_bytes: u16) -> [u8; INTERLEAVED_HEADER_BYTES] {
    let [high, low] = payload_bytes.to_be_bytes();
    [INTERLEAVED_MARK, channel, high, low]
}

impl Request {
    /// A request with CSeq and no other headers.
    pub fn new(method: &str, uri: impl Into<String>, cseq: u32) -> Self {
        let mut headers = Headers::default();
        headers.push("CSeq", cseq.to_string());
        Self {
            method: method.to_owned(),
            uri: uri.into(),
            headers,
            body: Bytes::new(),
        }
    }

    /// Adds a header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Appends the request to `out`; Content-Length is written for a body and need not be among the headers.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method.as_bytes());
        out.push(b' ');
        out.extend(self.uri.bytes().filter(|b| !matches!(b, b'\r' | b'\n' | b' ')));
        out.extend_from_slice(b" RTSP/1.0\r\n");
        write_rest(&self.headers, &self.body, out);
    }
}

impl Response {
    /// An RTSP/1.0 answer to the request numbered `cseq`.
    pub fn new(status: u16, reason: &str, cseq: Option<u32>) -> Self {
        let mut headers = Headers::default();
        if let Some(cseq) = cseq {
            headers.push("CSeq", cseq.to_string());
        }
        Self {
            version: "RTSP/1.0".to_owned(),
            status,
            reason: reason.to_owned(),
            headers,
            body: Bytes::new(),
        }
    }

    /// Adds a header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Sets the body and its Content-Type.
    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.headers.push("Content-Type", content_type);
        self.body = body.into();
        self
    }

    /// False when the answer comes from something else than an RTSP server.
    pub fn is_rtsp(&self) -> bool {
        self.version.get(..5).is_some_and(|v| v.eq_ignore_ascii_case("RTSP/"))
    }

    /// Appends the answer to `out`; Content-Length is written for a body and need not be among the headers.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{} {} {}\r\n", self.version, self.status, self.reason).as_bytes());
        write_rest(&self.headers, &self.body, out);
    }
}

fn write_rest(headers: &Headers, body: &Bytes, out: &mut Vec<u8>) {
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("Content-Length"))
    {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !body.is_empty() {
        out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests;
