//! The server's side of one RTSP connection (RFC 2326): requests in, answers and decisions out.
//!
//! Live sessions only: DESCRIBE, SETUP over the connection itself or UDP, PLAY, TEARDOWN and the keep-alives.
//! One session per connection; who owns sockets and media acts on the [`Action`] that comes with each answer.

use super::digest::{Algorithm, Challenge, Credentials, DigestChallenge, Verdict, verify};
use super::message::{Request, Response};
use std::sync::Arc;

/// How clients have to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Name and password in the clear.
    Basic,
    /// Digest with MD5, as most cameras ask for.
    DigestMd5,
    /// Digest with SHA-256.
    DigestSha256,
}

/// What is the same for every connection of a server.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Product name for the Server header.
    pub product: String,
    /// What the password protects.
    pub realm: String,
    /// Who may come in, and how; none: everybody.
    pub authentication: Option<(Scheme, Credentials)>,
    /// A session without a sign of life for so long is over.
    pub session_timeout_s: u32,
    /// The server's RTP and RTCP ports; none: interleaved only.
    pub udp_ports: Option<(u16, u16)>,
}

/// What a path shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presentation {
    /// The description to send.
    pub sdp: String,
    /// Number of tracks, controlled as `trackID=0` and so on.
    pub tracks: u8,
}

/// Where a track's packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Into the RTSP connection, on these channels.
    Interleaved {
        /// Channel of RTP.
        rtp_channel: u8,
        /// Channel of RTCP.
        rtcp_channel: u8,
    },
    /// To these ports of the client's address.
    Udp {
        /// Port of RTP.
        rtp_port: u16,
        /// Port of RTCP.
        rtcp_port: u16,
    },
}

/// A track that a client has set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackSetup {
    /// Number of the track within its presentation.
    pub track: u8,
    /// Where its packets go.
    pub delivery: Delivery,
    /// Synchronization source told to the client.
    pub ssrc: u32,
    /// Sequence number of the first packet.
    pub first_sequence: u16,
    /// RTP timestamp of the instant of PLAY.
    pub first_timestamp: u32,
}

/// What the owner of the connection has to do after sending the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Start the media of `path` on these tracks.
    Play {
        /// Path without leading slash and query.
        path: String,
        /// The tracks set up, ascending.
        tracks: Vec<TrackSetup>,
    },
    /// Stop the media; the connection stays.
    TearDown,
}

/// An answer and what it entails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// To be sent first.
    pub response: Response,
    /// To be done then.
    pub action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Init,
    Ready,
    Playing,
}

/// One client's connection.
#[derive(Debug)]
pub struct ServerSession {
    settings: Arc<ServerSettings>,
    challenge: Option<Challenge>,
    session_id: String,
    state: State,
    path: String,
    tracks: Vec<TrackSetup>,
    active_us: u64,
}

const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER, SET_PARAMETER";

impl ServerSession {
    /// A connection opened at `now_us` (any monotonic clock). `random` gives the nonce and the session's number.
    pub fn new(settings: Arc<ServerSettings>, now_us: u64, random: &mut dyn FnMut() -> u64) -> Self {
        let realm = settings.realm.clone();
        let challenge = settings.authentication.as_ref().map(|(scheme, _)| match scheme {
            Scheme::Basic => Challenge::Basic { realm },
            Scheme::DigestMd5 | Scheme::DigestSha256 => Challenge::Digest(DigestChallenge {
                realm,
                nonce: format!("{:016x}{:016x}", random(), random()),
                opaque: None,
                algorithm: if *scheme == Scheme::DigestMd5 {
                    Algorithm::Md5
                } else {
                    Algorithm::Sha256
                },
                qop_auth: *scheme == Scheme::DigestSha256,
                stale: false,
            }),
        });
        Self {
            settings,
            challenge,
            session_id: format!("{:016x}", random()),
            state: State::Init,
            path: String::new(),
            tracks: Vec::new(),
            active_us: now_us,
        }
    }

    /// A sign of life outside requests: RTCP from the client.
    pub fn note_activity(&mut self, now_us: u64) {
        self.active_us = now_us;
    }

    /// True when the client has been silent for longer than the session's timeout: close the connection.
    pub fn is_expired(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.active_us) > u64::from(self.settings.session_timeout_s) * 1_000_000
    }

    /// Answers one request. `presentation_of` looks up a path (without leading slash and query); `random` gives
    /// sources, sequence numbers and timestamps.
    pub fn handle(
        &mut self,
        request: &Request,
        now_us: u64,
        presentation_of: &dyn Fn(&str) -> Option<Presentation>,
        random: &mut dyn FnMut() -> u64,
    ) -> Answer {
        self.active_us = now_us;
        let mut action = Action::None;
        let response = match self.refusal(request) {
            Some(refusal) => refusal,
            None => match request.method.as_str() {
                "OPTIONS" => self.ok(request).with("Public", METHODS),
                "DESCRIBE" => self.describe(request, presentation_of),
                "SETUP" => self.set_up(request, presentation_of, random),
                "PLAY" => self.play(request, &mut action),
                "TEARDOWN" => self.tear_down(request, &mut action),
                "GET_PARAMETER" | "SET_PARAMETER" => self.ok(request),
                "PAUSE" | "ANNOUNCE" | "RECORD" | "REDIRECT" => {
                    self.answer(request, 405, "Method Not Allowed").with("Allow", METHODS)
                }
                _ => self.answer(request, 501, "Not Implemented").with("Public", METHODS),
            },
        };
        Answer { response, action }
    }

    /// The answer to a request that nobody may make (for a camera that refuses every password).
    pub fn unauthorized(&self, request: &Request) -> Response {
        let realm = self.settings.realm.clone();
        let challenge = self.challenge.clone().unwrap_or(Challenge::Basic { realm });
        self.answer(request, 401, "Unauthorized")
            .with("WWW-Authenticate", challenge.to_header())
    }

    fn answer(&self, request: &Request, status: u16, reason: &str) -> Response {
        let response = Response::new(status, reason, request.headers.cseq()).with("Server", &self.settings.product);
        if status == 200 && self.state != State::Init {
            let timeout_s = self.settings.session_timeout_s;
            return response.with("Session", format!("{};timeout={timeout_s}", self.session_id));
        }
        response
    }

    fn ok(&self, request: &Request) -> Response {
        self.answer(request, 200, "OK")
    }

    fn refusal(&self, request: &Request) -> Option<Response> {
        if request.headers.cseq().is_none() {
            return Some(self.answer(request, 400, "Bad Request"));
        }
        if let Some(feature) = request.headers.get("Require") {
            return Some(
                self.answer(request, 551, "Option not supported")
                    .with("Unsupported", feature),
            );
        }
        // Clients ask for OPTIONS before they know that a password is wanted.
        if request.method != "OPTIONS"
            && let (Some(challenge), Some((_, credentials))) = (&self.challenge, &self.settings.authentication)
        {
            let verdict = match request.headers.get("Authorization") {
                Some(header) => verify(header, &request.method, challenge, credentials),
                None => Verdict::Refused,
            };
            let mut challenge = challenge.clone();
            if let Challenge::Digest(digest) = &mut challenge {
                digest.stale = verdict == Verdict::Stale;
            }
            if verdict != Verdict::Granted {
                let response = self.answer(request, 401, "Unauthorized");
                return Some(response.with("WWW-Authenticate", challenge.to_header()));
            }
        }
        let told = request
            .headers
            .get("Session")
            .map(|s| s.split(';').next().unwrap_or("").trim());
        let known = told.is_none_or(|id| id == self.session_id && self.state != State::Init);
        let wanted = matches!(request.method.as_str(), "PLAY" | "TEARDOWN") && self.state != State::Init;
        if !known || (wanted && told.is_none()) {
            return Some(self.answer(request, 454, "Session Not Found"));
        }
        None
    }

    fn describe(&self, request: &Request, presentation_of: &dyn Fn(&str) -> Option<Presentation>) -> Response {
        let accept = request.headers.get("Accept").unwrap_or("application/sdp");
        if !accept.contains("application/sdp") && !accept.contains("*/*") {
            return self.answer(request, 406, "Not Acceptable");
        }
        let (path, _) = split_uri(&request.uri);
        let Some(presentation) = presentation_of(path) else {
            return self.answer(request, 404, "Not Found");
        };
        let base = request
            .uri
            .split('?')
            .next()
            .unwrap_or(&request.uri)
            .trim_end_matches('/');
        self.ok(request)
            .with("Content-Base", format!("{base}/"))
            .with_body("application/sdp", presentation.sdp)
    }

    fn set_up(
        &mut self,
        request: &Request,
        presentation_of: &dyn Fn(&str) -> Option<Presentation>,
        random: &mut dyn FnMut() -> u64,
    ) -> Response {
        let (path, track) = split_uri(&request.uri);
        let Some(presentation) = presentation_of(path) else {
            return self.answer(request, 404, "Not Found");
        };
        let track = match track {
            Some(track) if track < presentation.tracks => track,
            Some(_) => return self.answer(request, 404, "Not Found"),
            None if presentation.tracks == 1 => 0,
            None => return self.answer(request, 459, "Aggregate Operation Not Allowed"),
        };
        let other_path = self.state == State::Ready && self.path != path;
        if self.state == State::Playing || other_path {
            return self.answer(request, 455, "Method Not Valid in This State");
        }
        let offered = request.headers.get("Transport").unwrap_or("");
        let delivery = offered.split(',').find_map(|one| self.delivery(one, track));
        let Some(delivery) = delivery else {
            return self.answer(request, 461, "Unsupported Transport");
        };
        let bits = random();
        let setup = TrackSetup {
            track,
            delivery,
            ssrc: bits as u32,
            // The first sequence number stays low: SRTP relays downstream count its wraps from zero.
            first_sequence: (bits >> 32) as u16 & 0x7fff,
            first_timestamp: random() as u32,
        };
        self.tracks.retain(|t| t.track != track);
        self.tracks.push(setup);
        self.tracks.sort_by_key(|t| t.track);
        self.path = path.to_owned();
        self.state = State::Ready;
        let transport = match delivery {
            Delivery::Interleaved {
                rtp_channel,
                rtcp_channel,
            } => {
                format!("RTP/AVP/TCP;unicast;interleaved={rtp_channel}-{rtcp_channel}")
            }
            Delivery::Udp { rtp_port, rtcp_port } => {
                let (own_rtp, own_rtcp) = self.settings.udp_ports.unwrap_or_default();
                format!("RTP/AVP;unicast;client_port={rtp_port}-{rtcp_port};server_port={own_rtp}-{own_rtcp}")
            }
        };
        self.ok(request).with(
            "Transport",
            format!("{transport};ssrc={:08X};mode=\"PLAY\"", setup.ssrc),
        )
    }

    /// One alternative of a Transport header, if we can serve it (RFC 2326 §12.39).
    fn delivery(&self, offered: &str, track: u8) -> Option<Delivery> {
        let mut fields = offered.split(';').map(str::trim);
        let profile = fields.next()?.to_ascii_uppercase();
        let fields: Vec<&str> = fields.collect();
        let value_of = |name: &str| {
            let named = fields.iter().filter_map(|f| f.split_once('='));
            named
                .filter(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, v)| v.trim_matches('"'))
                .next()
        };
        if fields.iter().any(|f| f.eq_ignore_ascii_case("multicast")) {
            return None;
        }
        if value_of("mode").is_some_and(|mode| !mode.eq_ignore_ascii_case("play")) {
            return None;
        }
        match profile.as_str() {
            "RTP/AVP/TCP" => {
                let (rtp, rtcp) = match value_of("interleaved") {
                    Some(pair) => pair_of(pair)?,
                    None => (u16::from(track) * 2, u16::from(track) * 2 + 1),
                };
                let (rtp_channel, rtcp_channel) = (u8::try_from(rtp).ok()?, u8::try_from(rtcp).ok()?);
                let taken = self
                    .tracks
                    .iter()
                    .filter(|t| t.track != track)
                    .any(|t| match t.delivery {
                        Delivery::Interleaved {
                            rtp_channel: a,
                            rtcp_channel: b,
                        } => [a, b].contains(&rtp_channel) || [a, b].contains(&rtcp_channel),
                        Delivery::Udp { .. } => false,
                    });
                (!taken).then_some(Delivery::Interleaved {
                    rtp_channel,
                    rtcp_channel,
                })
            }
            "RTP/AVP" | "RTP/AVP/UDP" => {
                self.settings.udp_ports?;
                let (rtp_port, rtcp_port) = pair_of(value_of("client_port")?)?;
                (rtp_port > 0 && rtcp_port > 0).then_some(Delivery::Udp { rtp_port, rtcp_port })
            }
            _ => None,
        }
    }

    fn play(&mut self, request: &Request, action: &mut Action) -> Response {
        let (path, track) = split_uri(&request.uri);
        match self.state {
            State::Init => return self.answer(request, 455, "Method Not Valid in This State"),
            State::Ready | State::Playing if path != self.path => return self.answer(request, 404, "Not Found"),
            State::Ready | State::Playing if track.is_some() && self.tracks.len() > 1 => {
                return self.answer(request, 460, "Only Aggregate Operation Allowed");
            }
            // A second PLAY of a live session changes nothing (some clients keep alive with it).
            State::Playing => return self.ok(request).with("Range", "npt=now-"),
            State::Ready => {}
        }
        self.state = State::Playing;
        *action = Action::Play {
            path: self.path.clone(),
            tracks: self.tracks.clone(),
        };
        let aggregate = request.uri.split('?').next().unwrap_or("").trim_end_matches('/');
        let aggregate = match track {
            Some(_) => aggregate.rsplit_once('/').map_or(aggregate, |(base, _)| base),
            None => aggregate,
        };
        let info = self.tracks.iter().map(|t| {
            let (track, sequence, timestamp) = (t.track, t.first_sequence, t.first_timestamp);
            format!("url={aggregate}/trackID={track};seq={sequence};rtptime={timestamp}")
        });
        let info = info.collect::<Vec<_>>().join(",");
        self.ok(request).with("Range", "npt=now-").with("RTP-Info", info)
    }

    fn tear_down(&mut self, request: &Request, action: &mut Action) -> Response {
        if self.state == State::Init {
            return self.answer(request, 455, "Method Not Valid in This State");
        }
        if self.state == State::Playing {
            *action = Action::TearDown;
        }
        self.state = State::Init;
        self.tracks.clear();
        self.path.clear();
        self.ok(request)
    }
}

/// Path (without leading slash and query) and track number of a request URI, absolute or not.
fn split_uri(uri: &str) -> (&str, Option<u8>) {
    let after_scheme = uri
        .split_once("://")
        .map_or(uri, |(_, rest)| rest.split_once('/').map_or("", |(_, p)| p));
    let all = after_scheme.trim_matches('/');
    // Clients append the control attribute to the whole URI, behind its query too.
    let (rest, track) = match all.rsplit_once("trackID=") {
        Some((rest, number)) if rest.ends_with('/') => match number.parse() {
            Ok(number) => (rest, Some(number)),
            Err(_) => (all, None),
        },
        _ => (all, None),
    };
    let path = rest.split('?').next().unwrap_or(rest);
    (path.trim_end_matches('/'), track)
}

/// `a-b`, or `a` for `a` and the number after it.
fn pair_of(text: &str) -> Option<(u16, u16)> {
    match text.split_once('-') {
        Some((first, second)) => Some((first.trim().parse().ok()?, second.trim().parse().ok()?)),
        None => {
            let first: u16 = text.trim().parse().ok()?;
            Some((first, first.checked_add(1)?))
        }
    }
}

#[cfg(test)]
mod tests;
