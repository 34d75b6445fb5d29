//! A blocking RTSP client for tests: asks, and hands out packets one by one.
#![allow(clippy::unwrap_used, dead_code)]

use media_core::rtsp::digest::{Authenticator, Credentials, parse_challenges, strongest};
use media_core::rtsp::message::{Item, Limits, Parsed, Request, Response, parse};
use media_core::rtsp::sdp::SessionDescription;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

/// One connection to a camera.
pub struct Viewer {
    pub stream: TcpStream,
    uri: String,
    session: Option<String>,
    authenticator: Option<Authenticator>,
    cseq: u32,
    buffer: Vec<u8>,
    packets: VecDeque<(u8, Vec<u8>)>,
}

/// A client's pair of UDP ports.
pub struct UdpPorts {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
}

impl Viewer {
    pub fn connect(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self {
            stream,
            uri: format!("rtsp://127.0.0.1:{port}/{path}"),
            session: None,
            authenticator: None,
            cseq: 0,
            buffer: Vec::new(),
            packets: VecDeque::new(),
        }
    }

    /// Sends a request for the camera's URI with `suffix` and returns the answer; packets before it are kept.
    pub fn ask(&mut self, method: &str, suffix: &str, headers: &[(&str, &str)]) -> Response {
        self.cseq += 1;
        let uri = format!("{}{suffix}", self.uri);
        let mut request = Request::new(method, uri.as_str(), self.cseq);
        if let Some(authenticator) = &mut self.authenticator {
            request = request.with("Authorization", authenticator.authorization(method, &uri, "abcd"));
        }
        if let Some(session) = &self.session {
            request = request.with("Session", session.as_str());
        }
        for (name, value) in headers {
            request = request.with(name, *value);
        }
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        self.stream.write_all(&bytes).unwrap();
        loop {
            match self.next_item() {
                Some(Ok(response)) => {
                    assert_eq!(response.headers.cseq(), Some(self.cseq));
                    return response;
                }
                Some(Err(packet)) => self.packets.push_back(packet),
                None => panic!("the camera closed instead of answering {method}"),
            }
        }
    }

    /// Prepares to answer the challenge of a refused DESCRIBE; false when none came.
    pub fn log_in(&mut self, username: &str, password: &str) -> bool {
        let refused = self.ask("DESCRIBE", "", &[]);
        let challenges = parse_challenges(refused.headers.all("WWW-Authenticate"));
        let credentials = Credentials {
            username: username.into(),
            password: password.into(),
        };
        self.authenticator = strongest(&challenges).map(|c| Authenticator::new(c.clone(), credentials));
        self.authenticator.is_some()
    }

    pub fn describe(&mut self) -> SessionDescription {
        let response = self.ask("DESCRIBE", "", &[("Accept", "application/sdp")]);
        assert_eq!(response.status, 200);
        SessionDescription::parse(&response.body).unwrap()
    }

    fn set_up(&mut self, track: usize, transport: &str) {
        let response = self.ask("SETUP", &format!("/trackID={track}"), &[("Transport", transport)]);
        assert_eq!(response.status, 200, "{response:?}");
        let session = response.headers.get("Session").unwrap().split(';').next();
        self.session = session.map(str::to_owned);
    }

    /// RTP on channel 2 × track, RTCP on the one after it.
    pub fn set_up_tcp(&mut self, track: usize) {
        self.set_up(
            track,
            &format!("RTP/AVP/TCP;unicast;interleaved={}-{}", track * 2, track * 2 + 1),
        );
    }

    pub fn set_up_udp(&mut self, track: usize) -> UdpPorts {
        let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let ports = UdpPorts {
            rtp: bind(),
            rtcp: bind(),
        };
        for socket in [&ports.rtp, &ports.rtcp] {
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        }
        let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
        let transport = format!("RTP/AVP;unicast;client_port={}-{}", port(&ports.rtp), port(&ports.rtcp));
        self.set_up(track, &transport);
        ports
    }

    pub fn play(&mut self) {
        assert_eq!(self.ask("PLAY", "", &[("Range", "npt=0.000-")]).status, 200);
    }

    /// Describes, sets every track up over the connection and plays.
    pub fn watch(port: u16, path: &str) -> Self {
        let mut viewer = Self::connect(port, path);
        let tracks = viewer.describe().medias.len();
        (0..tracks).for_each(|track| viewer.set_up_tcp(track));
        viewer.play();
        viewer
    }

    /// The next interleaved packet and its channel; none once the camera has closed the connection.
    pub fn next_packet(&mut self) -> Option<(u8, Vec<u8>)> {
        if let Some(packet) = self.packets.pop_front() {
            return Some(packet);
        }
        loop {
            match self.next_item()? {
                Ok(_) => {}
                Err(packet) => return Some(packet),
            }
        }
    }

    /// Reads until the camera closes; panics when it has not within `limit`.
    pub fn read_to_the_end(&mut self, limit: Duration) {
        let begin = std::time::Instant::now();
        while self.next_packet().is_some() {
            assert!(begin.elapsed() < limit, "the camera goes on");
        }
    }

    fn next_item(&mut self) -> Option<Result<Response, (u8, Vec<u8>)>> {
        loop {
            match parse(&self.buffer, &Limits::default()).unwrap() {
                Parsed::Complete { item, consumed_bytes } => {
                    let found = match item {
                        Item::Interleaved { channel, payload } => Err((channel, payload.to_vec())),
                        Item::Response(response) => Ok(response),
                        Item::Request(request) => panic!("a camera asks: {request:?}"),
                    };
                    self.buffer.drain(..consumed_bytes);
                    return Some(found);
                }
                Parsed::Incomplete { .. } => {
                    let mut chunk = [0; 65_536];
                    match self.stream.read(&mut chunk) {
                        Ok(0) => return None,
                        Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                        Err(e) => panic!("nothing comes from the camera: {e}"),
                    }
                }
            }
        }
    }
}
