#![allow(clippy::unwrap_used)]
use super::super::digest::{Authenticator, parse_challenges, strongest};
use super::super::message::{Item, Limits, Parsed, parse};
use super::*;

fn settings(authentication: Option<Scheme>) -> Arc<ServerSettings> {
    let credentials = Credentials {
        username: "viewer".into(),
        password: "secret".into(),
    };
    Arc::new(ServerSettings {
        product: "simulator".into(),
        realm: "cameras".into(),
        authentication: authentication.map(|scheme| (scheme, credentials)),
        session_timeout_s: 60,
        udp_ports: Some((7000, 7001)),
    })
}

fn cameras(path: &str) -> Option<Presentation> {
    (path == "cam/0" || path == "cam/1").then(|| Presentation {
        sdp: "v=0\r\n".into(),
        tracks: 2,
    })
}

struct Client {
    session: ServerSession,
    cseq: u32,
    numbers: u64,
}

impl Client {
    fn new(authentication: Option<Scheme>) -> Self {
        let mut numbers = 0;
        let mut random = || {
            numbers += 1;
            numbers
        };
        Self {
            session: ServerSession::new(settings(authentication), 0, &mut random),
            cseq: 0,
            numbers: 100,
        }
    }

    fn ask(&mut self, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
        self.cseq += 1;
        let mut request = Request::new(method, format!("rtsp://host:554/{uri}"), self.cseq);
        for (name, value) in headers {
            request.headers.push(*name, *value);
        }
        self.send(&request)
    }

    fn send(&mut self, request: &Request) -> Answer {
        let Self { session, numbers, .. } = self;
        session.handle(request, 0, &cameras, &mut || {
            *numbers += 1;
            *numbers << 32 | *numbers
        })
    }

    fn status(&mut self, method: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
        self.ask(method, uri, headers).response.status
    }

    /// Sets track 0 up over the connection and returns the session's number.
    fn set_up(&mut self) -> String {
        let answer = self.ask(
            "SETUP",
            "cam/0/trackID=0",
            &[("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")],
        );
        assert_eq!(answer.response.status, 200);
        answer
            .response
            .headers
            .get("Session")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    }
}

#[test]
fn a_whole_session_over_tcp_and_udp() {
    let mut client = Client::new(None);
    let options = client.ask("OPTIONS", "cam/0", &[]).response;
    assert!(options.headers.get("Public").unwrap().contains("GET_PARAMETER"));
    let described = client
        .ask("DESCRIBE", "cam/0?quality=high", &[("Accept", "application/sdp")])
        .response;
    assert_eq!(described.headers.get("Content-Base"), Some("rtsp://host:554/cam/0/"));
    assert_eq!(&described.body[..], b"v=0\r\n");
    let id = client.set_up();
    let udp = client.ask(
        "SETUP",
        "cam/0/trackID=1",
        &[
            ("Session", &id),
            ("Transport", "RTP/AVP;multicast,RTP/AVP;unicast;client_port=5000-5001"),
        ],
    );
    let transport = udp.response.headers.get("Transport").unwrap();
    assert_eq!(
        transport,
        "RTP/AVP;unicast;client_port=5000-5001;server_port=7000-7001;ssrc=00000067;mode=\"PLAY\""
    );
    let played = client.ask("PLAY", "cam/0", &[("Session", &id)]);
    let Action::Play { path, tracks } = played.action else {
        panic!("no media started")
    };
    assert_eq!((path.as_str(), tracks.len()), ("cam/0", 2));
    assert_eq!(
        tracks[0].delivery,
        Delivery::Interleaved {
            rtp_channel: 0,
            rtcp_channel: 1
        }
    );
    assert_eq!(
        tracks[1].delivery,
        Delivery::Udp {
            rtp_port: 5000,
            rtcp_port: 5001
        }
    );
    let info = played.response.headers.get("RTP-Info").unwrap();
    assert!(
        info.starts_with("url=rtsp://host:554/cam/0/trackID=0;seq=101;rtptime=102,url="),
        "{info}"
    );
    assert_eq!(
        client.ask("PLAY", "cam/0", &[("Session", &id)]).action,
        Action::None,
        "already playing"
    );
    assert_eq!(client.status("GET_PARAMETER", "cam/0", &[("Session", &id)]), 200);
    let ended = client.ask("TEARDOWN", "cam/0", &[("Session", &id)]);
    assert_eq!((ended.response.status, ended.action), (200, Action::TearDown));
    assert_eq!(
        client.status("GET_PARAMETER", "cam/0", &[("Session", &id)]),
        454,
        "the session is gone"
    );
    client.set_up();
}

#[test]
fn methods_out_of_turn_get_455_and_unknown_things_404_or_501() {
    let mut client = Client::new(None);
    let tcp = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1");
    assert_eq!(client.status("PLAY", "cam/0", &[]), 455);
    assert_eq!(client.status("TEARDOWN", "cam/0", &[]), 455);
    assert_eq!(client.status("DESCRIBE", "cam/7", &[]), 404);
    assert_eq!(client.status("SETUP", "cam/7/trackID=0", &[tcp]), 404);
    assert_eq!(client.status("SETUP", "cam/0/trackID=2", &[tcp]), 404);
    assert_eq!(client.status("SETUP", "cam/0/trackID=x", &[tcp]), 404);
    assert_eq!(client.status("SETUP", "cam/0", &[tcp]), 459, "which of the two tracks?");
    assert_eq!(client.status("DESCRIBE", "cam/0", &[("Accept", "text/html")]), 406);
    assert_eq!(client.status("PAUSE", "cam/0", &[]), 405);
    assert_eq!(client.status("BREW", "cam/0", &[]), 501);
    assert_eq!(client.status("OPTIONS", "cam/0", &[("Require", "replay")]), 551);
    let id = client.set_up();
    let session = ("Session", id.as_str());
    assert_eq!(
        client.status("SETUP", "cam/1/trackID=1", &[session, tcp]),
        455,
        "one path per session"
    );
    assert_eq!(client.status("PLAY", "cam/0", &[]), 454);
    assert_eq!(client.status("PLAY", "cam/0", &[("Session", "other")]), 454);
    assert_eq!(client.status("PLAY", "cam/1", &[session]), 404);
    assert_eq!(client.status("PLAY", "cam/0", &[session]), 200);
    assert_eq!(client.status("SETUP", "cam/0/trackID=1", &[session, tcp]), 455);
    let mut request = Request::new("OPTIONS", "*", 1);
    request.headers = Default::default();
    assert_eq!(client.send(&request).response.status, 400, "no CSeq");
}

#[test]
fn transports_that_cannot_be_served_get_461() {
    for transport in [
        "",
        "RTP/AVP;multicast",
        "RTP/AVP;unicast",
        "RTP/AVP;unicast;client_port=70000-70001",
        "RTP/AVP;unicast;client_port=0-1",
        "RTP/AVP/TCP;interleaved=256-257",
        "RTP/AVP/TCP;interleaved=0-1;mode=record",
        "RTP/SAVP;unicast;client_port=5000-5001",
    ] {
        let mut client = Client::new(None);
        assert_eq!(
            client.status("SETUP", "cam/0/trackID=0", &[("Transport", transport)]),
            461,
            "{transport}"
        );
    }
    let mut client = Client::new(None);
    let id = client.set_up();
    let clash = [("Session", id.as_str()), ("Transport", "RTP/AVP/TCP;interleaved=1-2")];
    assert_eq!(
        client.status("SETUP", "cam/0/trackID=1", &clash),
        461,
        "channel 1 is taken"
    );
    let mut tcp_only = (*settings(None)).clone();
    tcp_only.udp_ports = None;
    client.session = ServerSession::new(Arc::new(tcp_only), 0, &mut || 1);
    assert_eq!(
        client.status(
            "SETUP",
            "cam/0/trackID=0",
            &[("Transport", "RTP/AVP;client_port=5000-5001")]
        ),
        461
    );
}

#[test]
fn each_scheme_asks_for_the_password_and_takes_only_the_right_one() {
    for scheme in [Scheme::Basic, Scheme::DigestMd5, Scheme::DigestSha256] {
        let mut client = Client::new(Some(scheme));
        assert_eq!(client.status("OPTIONS", "cam/0", &[]), 200);
        let asked = client.ask("DESCRIBE", "cam/0", &[]).response;
        assert_eq!(asked.status, 401);
        let challenges = parse_challenges(asked.headers.all("WWW-Authenticate"));
        let challenge = strongest(&challenges).unwrap().clone();
        for (password, wanted) in [("wrong", 401), ("secret", 200)] {
            let credentials = Credentials {
                username: "viewer".into(),
                password: password.into(),
            };
            let mut authenticator = Authenticator::new(challenge.clone(), credentials);
            let header = authenticator.authorization("DESCRIBE", "rtsp://host:554/cam/0", "c");
            assert_eq!(
                client.status("DESCRIBE", "cam/0", &[("Authorization", &header)]),
                wanted,
                "{scheme:?}"
            );
        }
    }
}

#[test]
fn a_nonce_of_another_connection_is_called_stale() {
    let mut client = Client::new(Some(Scheme::DigestMd5));
    let other = Challenge::Digest(DigestChallenge {
        realm: "cameras".into(),
        nonce: "old".into(),
        opaque: None,
        algorithm: Algorithm::Md5,
        qop_auth: false,
        stale: false,
    });
    let credentials = Credentials {
        username: "viewer".into(),
        password: "secret".into(),
    };
    let header = Authenticator::new(other, credentials).authorization("DESCRIBE", "rtsp://host:554/cam/0", "c");
    let asked = client.ask("DESCRIBE", "cam/0", &[("Authorization", &header)]).response;
    assert!(asked.status == 401 && asked.headers.get("WWW-Authenticate").unwrap().contains("stale=true"));
}

#[test]
fn silence_ends_a_session_and_any_sign_of_life_prolongs_it() {
    let mut client = Client::new(None);
    assert!(!client.session.is_expired(60_000_000));
    assert!(client.session.is_expired(60_000_001));
    client.session.note_activity(30_000_000);
    assert!(!client.session.is_expired(90_000_000));
}

#[test]
fn answers_parse_on_the_clients_side() {
    let mut client = Client::new(None);
    let mut bytes = Vec::new();
    let answer = client.ask("DESCRIBE", "cam/0", &[]);
    answer.response.write(&mut bytes);
    let Ok(Parsed::Complete {
        item: Item::Response(parsed),
        consumed_bytes,
    }) = parse(&bytes, &Limits::default())
    else {
        panic!("unreadable answer");
    };
    assert_eq!(
        (parsed.status, consumed_bytes, &parsed.body[..]),
        (200, bytes.len(), &b"v=0\r\n"[..])
    );
}

#[test]
fn uris_are_split_however_clients_write_them() {
    for (uri, wanted) in [
        ("rtsp://host/cam/0", ("cam/0", None)),
        ("rtsp://host/cam/0/", ("cam/0", None)),
        ("rtsp://user:pass@host:554/cam/0/trackID=1", ("cam/0", Some(1))),
        ("rtsp://host/cam/0?a=b/trackID=1", ("cam/0", Some(1))),
        ("/cam/0/trackID=0", ("cam/0", Some(0))),
        ("rtsp://host/cam/0/trackID=300", ("cam/0/trackID=300", None)),
        ("rtsp://host", ("", None)),
        ("*", ("*", None)),
        ("", ("", None)),
    ] {
        assert_eq!(split_uri(uri), wanted, "{uri}");
    }
}
