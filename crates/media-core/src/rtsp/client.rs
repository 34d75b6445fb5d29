//! The client's side of one RTSP connection: OPTIONS, DESCRIBE, SETUP of each track, PLAY, keep-alive, TEARDOWN.
//!
//! Answers go in, requests come out; the owner of the connection acts on the [`Progress`] of each answer. One request
//! is under way at a time. What cameras get wrong and what is done about it stands beside each piece and has a
//! transcript among the tests.

use super::digest::{Authenticator, Credentials, parse_challenges, strongest};
use super::message::{Request, Response};
use super::sdp::{Media, SessionDescription};
use super::transport::{Delivery, Transport, parse_session};
use super::url::{RtspUrl, control_url, is_absolute};
use crate::track::Codec;
use crate::{Error, ErrorKind, Result};

/// The time-out of a session that states none (RFC 2326 §12.37).
const DEFAULT_TIMEOUT_S: u32 = 60;
/// Redirections followed in a row.
pub const MAX_REDIRECTS: u32 = 5;
/// Longest interval between keep-alives, seconds: some cameras drop sessions before the time-out they state.
const MAX_KEEP_ALIVE_S: u32 = 30;

/// How media is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// Interleaved in the RTSP connection.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A track that is to be set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTrack {
    /// Its section of the description.
    pub media: Media,
    /// Its codec.
    pub codec: Codec,
    /// URL of its SETUP.
    pub url: String,
    /// How it comes, once SETUP succeeded; None before that or when the camera refused the track.
    pub delivery: Option<Delivery>,
}

/// What follows from an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The next request is written, or there is nothing to do.
    Waiting,
    /// The tracks are known (`tracks`): bind ports where needed, then call `set_up`.
    Described,
    /// The camera does not do UDP: media comes in the connection instead.
    InterleavedInstead,
    /// Media follows; every track that has a `delivery` is set up.
    Playing,
    /// Connect to this URL instead.
    Redirected(RtspUrl),
    /// The session is over, by our TEARDOWN or the camera's.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Options,
    Describe,
    SetUp(usize),
    Play,
    KeepAlive,
    TearDown,
}

/// One session.
#[derive(Debug)]
pub struct Client {
    uri: String,
    base: String,
    aggregate: String,
    transport: TransportKind,
    user_agent: String,
    credentials: Option<Credentials>,
    authenticator: Option<Authenticator>,
    /// The authenticator's answers were accepted before.
    authenticated: bool,
    /// Answers 401 to the request under way.
    refusals: u32,
    cseq: u32,
    pending: Option<Step>,
    playing: bool,
    session: Option<String>,
    timeout_s: u32,
    keep_alive_by_options: bool,
    tracks: Vec<ClientTrack>,
    client_ports: Vec<u16>,
}

impl Client {
    /// A session at `url`. `credentials` win over those in the URL.
    pub fn new(url: &RtspUrl, transport: TransportKind, credentials: Option<Credentials>, user_agent: &str) -> Self {
        Self {
            uri: url.request_uri.clone(),
            base: url.request_uri.clone(),
            aggregate: url.request_uri.clone(),
            transport,
            user_agent: user_agent.to_owned(),
            credentials: credentials.or_else(|| url.credentials.clone()),
            authenticator: None,
            authenticated: false,
            refusals: 0,
            cseq: 0,
            pending: None,
            playing: false,
            session: None,
            timeout_s: DEFAULT_TIMEOUT_S,
            keep_alive_by_options: false,
            tracks: Vec::new(),
            client_ports: Vec::new(),
        }
    }

    /// Writes the first request. `cnonce` here and below is fresh random text for Digest.
    pub fn start(&mut self, cnonce: &str, out: &mut Vec<u8>) {
        self.send(Step::Options, cnonce, out);
    }

    /// The tracks, known from `Progress::Described` on, in the order video, audio, metadata.
    pub fn tracks(&self) -> &[ClientTrack] {
        &self.tracks
    }

    /// Leaves out a described track, before `set_up`.
    pub fn leave_out(&mut self, track: usize) {
        if track < self.tracks.len() {
            self.tracks.remove(track);
        }
    }

    /// How media is asked for at present.
    pub fn transport(&self) -> TransportKind {
        self.transport
    }

    /// Name of the request that waits for its answer.
    pub fn waiting_for(&self) -> Option<&'static str> {
        self.pending.map(|step| self.method(step))
    }

    /// Seconds between keep-alives.
    pub fn keep_alive_s(&self) -> u32 {
        (self.timeout_s / 2).clamp(1, MAX_KEEP_ALIVE_S)
    }

    /// Writes the first SETUP. `client_ports`: our RTP port for each track (UDP; the next one is for RTCP).
    pub fn set_up(&mut self, client_ports: Vec<u16>, cnonce: &str, out: &mut Vec<u8>) {
        self.client_ports = client_ports;
        self.send(Step::SetUp(0), cnonce, out);
    }

    /// Writes a keep-alive unless another request is under way.
    pub fn keep_alive(&mut self, cnonce: &str, out: &mut Vec<u8>) {
        if self.playing && self.pending.is_none() {
            self.send(Step::KeepAlive, cnonce, out);
        }
    }

    /// Writes TEARDOWN; true when there is a session to end, whose answer may be waited for.
    pub fn tear_down(&mut self, cnonce: &str, out: &mut Vec<u8>) -> bool {
        if self.session.is_none() {
            return false;
        }
        self.playing = false;
        self.send(Step::TearDown, cnonce, out);
        true
    }

    /// Answers a request of the camera.
    pub fn on_request(&mut self, request: &Request, out: &mut Vec<u8>) -> Progress {
        let (status, reason) = match request.method.as_str() {
            "OPTIONS" | "GET_PARAMETER" | "SET_PARAMETER" | "ANNOUNCE" | "REDIRECT" | "TEARDOWN" => (200, "OK"),
            _ => (501, "Not Implemented"),
        };
        let mut response = Response::new(status, reason, request.headers.cseq());
        if let Some(session) = &self.session {
            response = response.with("Session", session.as_str());
        }
        response.write(out);
        match request.method.as_str() {
            "TEARDOWN" => Progress::Closed,
            "REDIRECT" => match request.headers.get("Location").map(RtspUrl::parse) {
                Some(Ok(url)) => Progress::Redirected(url),
                _ => Progress::Closed,
            },
            _ => Progress::Waiting,
        }
    }

    /// Takes an answer. The error ends the connection: `Unauthorized`, `NotFound`, `Unsupported` (no video that we
    /// carry), `Malformed` (no RTSP), `Unavailable` (the camera is busy or forgot the session).
    pub fn on_response(&mut self, response: &Response, cnonce: &str, out: &mut Vec<u8>) -> Result<Progress> {
        if !response.is_rtsp() {
            return Err(Error::malformed(format!(
                "the address answers, but not with RTSP (it says {} {})",
                response.version, response.status
            )));
        }
        // Cameras get CSeq wrong, so with one request under way an answer is its answer.
        let Some(step) = self.pending else {
            return Ok(Progress::Waiting);
        };
        if response.status < 200 {
            return Ok(Progress::Waiting);
        }
        self.pending = None;
        if response.status == 401 {
            return self.on_unauthorized(step, response, cnonce, out);
        }
        self.authenticated |= self.authenticator.is_some();
        self.refusals = 0;
        if matches!(response.status, 301 | 302 | 303 | 305 | 307 | 308) && step != Step::TearDown {
            let location = response.headers.get("Location").unwrap_or_default();
            return match RtspUrl::parse(location) {
                Ok(url) => Ok(Progress::Redirected(url)),
                Err(e) => Err(Error::malformed(format!(
                    "redirected to something else: {}",
                    e.message()
                ))),
            };
        }
        let success = (200..300).contains(&response.status);
        match step {
            Step::Options => {
                // Some cameras answer OPTIONS with an error and work all the same.
                let public = response.headers.get("Public").unwrap_or_default().to_ascii_uppercase();
                self.keep_alive_by_options = success && !public.is_empty() && !public.contains("GET_PARAMETER");
                self.send(Step::Describe, cnonce, out);
                Ok(Progress::Waiting)
            }
            Step::Describe if success => self.on_description(response),
            Step::SetUp(track) => self.on_set_up(track, response, cnonce, out),
            Step::Play if success => {
                self.note_session(response);
                self.playing = true;
                Ok(Progress::Playing)
            }
            Step::KeepAlive if success => Ok(Progress::Waiting),
            Step::KeepAlive if response.status != 454 && !self.keep_alive_by_options => {
                // GET_PARAMETER is optional, whatever the camera listed.
                self.keep_alive_by_options = true;
                Ok(Progress::Waiting)
            }
            Step::KeepAlive if response.status != 454 => Ok(Progress::Waiting),
            Step::TearDown => Ok(Progress::Closed),
            Step::Describe | Step::Play | Step::KeepAlive => Err(self.refused(step, response)),
        }
    }

    fn on_description(&mut self, response: &Response) -> Result<Progress> {
        let description = SessionDescription::parse(&response.body)?;
        let selected = description.select()?;
        // A base that is no RTSP URL (empty, a path, a host name alone) is a fault; the URL asked for serves.
        let stated = ["Content-Base", "Content-Location"]
            .into_iter()
            .find_map(|name| response.headers.get(name));
        self.base = stated
            .map(str::trim)
            .filter(|base| is_absolute(base))
            .unwrap_or(&self.uri)
            .to_owned();
        self.aggregate = control_url(&self.base, description.control.as_deref());
        // Relative controls of media are seen from an absolute control of the session, else from the base.
        let media_base = match description.control.as_deref() {
            Some(control) if is_absolute(control.trim()) => self.aggregate.clone(),
            _ => self.base.clone(),
        };
        self.tracks = selected
            .into_iter()
            .map(|(at, codec)| {
                let media = description.medias[at].clone();
                let url = control_url(&media_base, media.control.as_deref());
                ClientTrack {
                    media,
                    codec,
                    url,
                    delivery: None,
                }
            })
            .collect();
        Ok(Progress::Described)
    }

    fn on_set_up(&mut self, track: usize, response: &Response, cnonce: &str, out: &mut Vec<u8>) -> Result<Progress> {
        let step = Step::SetUp(track);
        if response.status == 461 && self.transport == TransportKind::Udp && track == 0 {
            self.transport = TransportKind::Tcp;
            self.send(step, cnonce, out);
            return Ok(Progress::InterleavedInstead);
        }
        if (200..300).contains(&response.status) {
            self.note_session(response);
            let transport = Transport::parse(response.headers.get("Transport").unwrap_or_default());
            let channel = 2 * track as u8;
            self.tracks[track].delivery = Some(match self.transport {
                TransportKind::Tcp => {
                    // Without the parameter the channels are those asked for.
                    let (rtp_channel, rtcp_channel) = transport.interleaved.unwrap_or((channel, channel + 1));
                    Delivery::Interleaved {
                        rtp_channel,
                        rtcp_channel,
                    }
                }
                TransportKind::Udp => Delivery::Udp {
                    client_port: self.client_ports.get(track).copied().unwrap_or(0),
                    server_ports: transport.server_ports.filter(|(rtp, _)| *rtp != 0),
                },
            });
        } else if track == 0 || response.status == 454 {
            return Err(self.refused(step, response));
        }
        // Sound or metadata that the camera will not give is done without.
        if track + 1 < self.tracks.len() {
            self.send(Step::SetUp(track + 1), cnonce, out);
        } else {
            self.send(Step::Play, cnonce, out);
        }
        Ok(Progress::Waiting)
    }

    fn on_unauthorized(
        &mut self,
        step: Step,
        response: &Response,
        cnonce: &str,
        out: &mut Vec<u8>,
    ) -> Result<Progress> {
        if step == Step::TearDown {
            return Ok(Progress::Closed);
        }
        let unauthorized = |why: &str| Err(Error::new(ErrorKind::Unauthorized, why));
        let Some(credentials) = self.credentials.clone() else {
            return unauthorized("the camera asks for a user name and password, and none is set");
        };
        let challenges = parse_challenges(response.headers.all("WWW-Authenticate"));
        let Some(challenge) = strongest(&challenges) else {
            return unauthorized("the camera asks for a kind of authentication that is not supported");
        };
        let stale = matches!(challenge, super::digest::Challenge::Digest(d) if d.stale);
        self.refusals += 1;
        // One try for each challenge: another only when the nonce was too old, said so or proved by earlier success.
        // More tries with the same password could lock the account.
        let may_try =
            self.authenticator.is_none() || (self.refusals <= 2 && stale) || (self.refusals == 1 && self.authenticated);
        if !may_try {
            return unauthorized("the camera refuses the user name or password");
        }
        self.authenticator = Some(Authenticator::new(challenge.clone(), credentials));
        self.send(step, cnonce, out);
        Ok(Progress::Waiting)
    }

    fn note_session(&mut self, response: &Response) {
        if let Some(header) = response.headers.get("Session") {
            let (id, timeout_s) = parse_session(header);
            if !id.is_empty() {
                self.session = Some(id);
                // PLAY often repeats the id without the time-out.
                self.timeout_s = timeout_s.unwrap_or(self.timeout_s);
            }
        }
    }

    fn refused(&self, step: Step, response: &Response) -> Error {
        let method = self.method(step);
        let answer = format!("{} {}", response.status, response.reason);
        let (kind, why) = match response.status {
            403 => (
                ErrorKind::Unauthorized,
                format!("the camera forbids {method} ({answer})"),
            ),
            404 | 410 => (
                ErrorKind::NotFound,
                format!("the camera has no stream at {} ({answer})", self.uri),
            ),
            454 => (
                ErrorKind::Unavailable,
                "the camera has forgotten the session".to_owned(),
            ),
            453 | 500..=599 => (
                ErrorKind::Unavailable,
                format!("the camera is busy or failing: {method}, {answer}"),
            ),
            _ => (
                ErrorKind::Unsupported,
                format!("the camera refuses {method} ({answer})"),
            ),
        };
        Error::new(kind, why)
    }

    fn method(&self, step: Step) -> &'static str {
        match step {
            Step::Options => "OPTIONS",
            Step::Describe => "DESCRIBE",
            Step::SetUp(_) => "SETUP",
            Step::Play => "PLAY",
            Step::KeepAlive if self.keep_alive_by_options => "OPTIONS",
            Step::KeepAlive => "GET_PARAMETER",
            Step::TearDown => "TEARDOWN",
        }
    }

    fn send(&mut self, step: Step, cnonce: &str, out: &mut Vec<u8>) {
        self.cseq += 1;
        let method = self.method(step);
        let uri = match step {
            Step::Options | Step::Describe => self.uri.clone(),
            Step::SetUp(track) => self.tracks[track].url.clone(),
            Step::Play | Step::KeepAlive | Step::TearDown => self.aggregate.clone(),
        };
        let mut request = Request::new(method, uri, self.cseq);
        if let Some(authenticator) = &mut self.authenticator {
            let authorization = authenticator.authorization(method, &request.uri, cnonce);
            request = request.with("Authorization", authorization);
        }
        request = request.with("User-Agent", self.user_agent.as_str());
        request = match step {
            Step::Describe => request.with("Accept", "application/sdp"),
            Step::SetUp(track) => request.with("Transport", self.transport_header(track)),
            Step::Play => request.with("Range", "npt=0.000-"),
            _ => request,
        };
        if let Some(session) = &self.session {
            request = request.with("Session", session.as_str());
        }
        request.write(out);
        self.pending = Some(step);
    }

    fn transport_header(&self, track: usize) -> String {
        match self.transport {
            TransportKind::Tcp => format!("RTP/AVP/TCP;unicast;interleaved={}-{}", 2 * track, 2 * track + 1),
            TransportKind::Udp => {
                let port = self.client_ports.get(track).copied().unwrap_or(0);
                format!("RTP/AVP;unicast;client_port={port}-{}", port.saturating_add(1))
            }
        }
    }
}

#[cfg(test)]
mod tests;
