#![allow(clippy::unwrap_used)]
//! Transcripts: what a camera answers, and what has to be asked.

use super::*;
use crate::rtsp::message::{Item, Limits, Parsed, parse};

const SDP: &str = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n\
                   m=audio 0 RTP/AVP 8\r\na=control:trackID=2\r\n";

struct Camera {
    client: Client,
    out: Vec<u8>,
}

impl Camera {
    fn new(transport: TransportKind) -> Self {
        Self::at("rtsp://10.0.0.9/s", transport, None)
    }

    fn at(url: &str, transport: TransportKind, credentials: Option<Credentials>) -> Self {
        let client = Client::new(&RtspUrl::parse(url).unwrap(), transport, credentials, "test");
        let mut camera = Self {
            client,
            out: Vec::new(),
        };
        camera.client.start("c", &mut camera.out);
        camera
    }

    fn with_password(url: &str) -> Self {
        let credentials = Credentials {
            username: "u".into(),
            password: "p".into(),
        };
        Self::at(url, TransportKind::Tcp, Some(credentials))
    }

    /// The request written last.
    fn asked(&mut self) -> Request {
        let bytes = std::mem::take(&mut self.out);
        match parse(&bytes, &Limits::default()).unwrap() {
            Parsed::Complete {
                item: Item::Request(request),
                consumed_bytes,
            } => {
                assert_eq!(consumed_bytes, bytes.len(), "one request at a time");
                request
            }
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, response: Response) -> Result<Progress> {
        self.client.on_response(&response, "c", &mut self.out)
    }

    fn ok(&mut self, headers: &[(&str, &str)]) -> Result<Progress> {
        let mut response = Response::new(200, "OK", None);
        for (name, value) in headers {
            response = response.with(name, *value);
        }
        self.answer(response)
    }

    fn status(&mut self, status: u16) -> Result<Progress> {
        self.answer(Response::new(status, "No", None))
    }

    fn describe(&mut self, base: Option<&str>, sdp: &str) -> Result<Progress> {
        let mut response = Response::new(200, "OK", None).with_body("application/sdp", sdp.to_owned());
        if let Some(base) = base {
            response = response.with("Content-Base", base);
        }
        self.answer(response)
    }

    /// Up to the first SETUP.
    fn described(transport: TransportKind) -> Self {
        let mut camera = Self::new(transport);
        assert_eq!(camera.asked().method, "OPTIONS");
        camera.ok(&[]).unwrap();
        assert_eq!(camera.asked().method, "DESCRIBE");
        assert_eq!(camera.describe(None, SDP).unwrap(), Progress::Described);
        camera.client.set_up(vec![5000, 5002], "c", &mut camera.out);
        camera
    }

    fn playing() -> Self {
        let mut camera = Self::described(TransportKind::Tcp);
        camera
            .ok(&[
                ("Session", "77;timeout=20"),
                ("Transport", "RTP/AVP/TCP;interleaved=0-1"),
            ])
            .unwrap();
        camera
            .ok(&[("Session", "77"), ("Transport", "RTP/AVP/TCP;interleaved=2-3")])
            .unwrap();
        camera.out.clear();
        assert_eq!(camera.ok(&[("Session", "77")]).unwrap(), Progress::Playing);
        camera
    }
}

#[test]
fn a_session_over_tcp_from_options_to_teardown() {
    let mut camera = Camera::described(TransportKind::Tcp);
    let setup = camera.asked();
    assert_eq!(
        (setup.method.as_str(), setup.uri.as_str()),
        ("SETUP", "rtsp://10.0.0.9/s/trackID=1")
    );
    assert_eq!(
        setup.headers.get("Transport"),
        Some("RTP/AVP/TCP;unicast;interleaved=0-1")
    );
    assert_eq!(setup.headers.get("Session"), None);
    camera
        .ok(&[
            ("Session", "77;timeout=20"),
            ("Transport", "RTP/AVP/TCP;unicast;interleaved=4-5"),
        ])
        .unwrap();
    let setup = camera.asked();
    assert_eq!(
        (setup.uri.as_str(), setup.headers.get("Session")),
        ("rtsp://10.0.0.9/s/trackID=2", Some("77"))
    );
    camera.ok(&[("Session", "77")]).unwrap();
    let play = camera.asked();
    assert_eq!((play.method.as_str(), play.uri.as_str()), ("PLAY", "rtsp://10.0.0.9/s"));
    assert_eq!(camera.ok(&[]).unwrap(), Progress::Playing);
    let deliveries: Vec<_> = camera.client.tracks().iter().map(|t| t.delivery.unwrap()).collect();
    assert_eq!(
        deliveries[0],
        Delivery::Interleaved {
            rtp_channel: 4,
            rtcp_channel: 5
        },
        "the camera's choice"
    );
    assert_eq!(
        deliveries[1],
        Delivery::Interleaved {
            rtp_channel: 2,
            rtcp_channel: 3
        },
        "as asked for"
    );
    assert!(camera.client.tear_down("c", &mut camera.out));
    let teardown = camera.asked();
    assert_eq!(
        (teardown.method.as_str(), teardown.headers.get("Session")),
        ("TEARDOWN", Some("77"))
    );
    assert_eq!(camera.ok(&[]).unwrap(), Progress::Closed);
}

#[test]
fn a_session_over_udp_names_its_ports() {
    let mut camera = Camera::described(TransportKind::Udp);
    assert_eq!(
        camera.asked().headers.get("Transport"),
        Some("RTP/AVP;unicast;client_port=5000-5001")
    );
    camera
        .ok(&[
            ("Session", "1"),
            (
                "Transport",
                "RTP/AVP;unicast;client_port=5000-5001;server_port=6970-6971",
            ),
        ])
        .unwrap();
    let delivery = camera.client.tracks()[0].delivery;
    assert_eq!(
        delivery,
        Some(Delivery::Udp {
            client_port: 5000,
            server_ports: Some((6970, 6971))
        })
    );
}

#[test]
fn a_camera_without_udp_is_asked_for_tcp() {
    let mut camera = Camera::described(TransportKind::Udp);
    camera.asked();
    assert_eq!(camera.status(461).unwrap(), Progress::InterleavedInstead);
    assert_eq!(
        camera.asked().headers.get("Transport"),
        Some("RTP/AVP/TCP;unicast;interleaved=0-1")
    );
    assert!(camera.status(461).is_err(), "refused again");
}

#[test]
fn a_challenge_is_answered_once() {
    let mut camera = Camera::with_password("rtsp://10.0.0.9/s");
    camera.asked();
    camera.ok(&[]).unwrap();
    assert_eq!(camera.asked().headers.get("Authorization"), None);
    let challenge = |nonce: &str, stale: &str| {
        Response::new(401, "Unauthorized", None)
            .with("WWW-Authenticate", "Basic realm=\"x\"")
            .with(
                "WWW-Authenticate",
                format!("Digest realm=\"x\", nonce=\"{nonce}\"{stale}"),
            )
    };
    camera.answer(challenge("n1", "")).unwrap();
    let again = camera.asked();
    assert_eq!(again.method, "DESCRIBE");
    assert!(
        again
            .headers
            .get("Authorization")
            .unwrap()
            .starts_with("Digest username=\"u\"")
    );
    assert_eq!(
        camera.answer(challenge("n2", "")).unwrap_err().kind(),
        ErrorKind::Unauthorized
    );
}

#[test]
fn an_old_nonce_is_replaced() {
    let challenge = |nonce: &str, rest: &str| {
        let value = format!("Digest realm=\"x\", nonce=\"{nonce}\"{rest}");
        Response::new(401, "Unauthorized", None).with("WWW-Authenticate", value)
    };
    // Said by stale=true.
    let mut camera = Camera::with_password("rtsp://10.0.0.9/s");
    camera.answer(challenge("n1", "")).unwrap();
    camera.answer(challenge("n2", ", stale=true")).unwrap();
    camera.ok(&[]).unwrap();
    // Not said, but the password was right before.
    camera.answer(challenge("n3", "")).unwrap();
    camera.out.clear();
    camera.describe(None, SDP).unwrap();
    camera.client.set_up(vec![], "c", &mut camera.out);
    assert!(
        camera
            .asked()
            .headers
            .get("Authorization")
            .unwrap()
            .contains("nonce=\"n3\"")
    );
    camera.answer(challenge("n4", "")).unwrap();
    assert!(
        camera
            .asked()
            .headers
            .get("Authorization")
            .unwrap()
            .contains("nonce=\"n4\"")
    );
    assert_eq!(
        camera.answer(challenge("n5", "")).unwrap_err().kind(),
        ErrorKind::Unauthorized,
        "not for ever"
    );
}

#[test]
fn missing_credentials_are_said_to_be_missing() {
    let mut camera = Camera::new(TransportKind::Tcp);
    let challenge = Response::new(401, "Unauthorized", None).with("WWW-Authenticate", "Basic realm=\"x\"");
    let error = camera.answer(challenge).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.message().contains("none is set"));
    let mut camera = Camera::with_password("rtsp://10.0.0.9/s");
    let challenge = Response::new(401, "Unauthorized", None).with("WWW-Authenticate", "Negotiate");
    assert_eq!(camera.answer(challenge).unwrap_err().kind(), ErrorKind::Unauthorized);
}

#[test]
fn a_password_in_the_url_is_used_and_not_sent_with_it() {
    let mut camera = Camera::at("rtsp://a:b@10.0.0.9/s", TransportKind::Tcp, None);
    assert_eq!(camera.asked().uri, "rtsp://10.0.0.9/s");
    camera
        .answer(Response::new(401, "No", None).with("WWW-Authenticate", "Basic realm=\"x\""))
        .unwrap();
    assert_eq!(camera.asked().headers.get("Authorization"), Some("Basic YTpi"));
}

#[test]
fn a_camera_that_fails_options_is_still_asked() {
    let mut camera = Camera::new(TransportKind::Tcp);
    camera.asked();
    camera.status(405).unwrap();
    assert_eq!(camera.asked().method, "DESCRIBE");
}

#[test]
fn odd_bases_and_controls_are_understood() {
    let sdp = |session: &str, media: &str| {
        format!("v=0\r\n{session}m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n{media}")
    };
    let cases = [
        // (Content-Base, session attributes, media attributes, SETUP, PLAY)
        (
            Some("rtsp://10.0.0.9/s/"),
            "a=control:*\r\n",
            "a=control:track1\r\n",
            "rtsp://10.0.0.9/s/track1",
            "rtsp://10.0.0.9/s/",
        ),
        (
            Some(""),
            "",
            "a=control:track1\r\n",
            "rtsp://10.0.0.9/s/track1",
            "rtsp://10.0.0.9/s",
        ),
        (
            Some("10.0.0.9"),
            "",
            "a=control:track1\r\n",
            "rtsp://10.0.0.9/s/track1",
            "rtsp://10.0.0.9/s",
        ),
        (
            None,
            "a=control:rtsp://10.0.0.9/all/\r\n",
            "a=control:track1\r\n",
            "rtsp://10.0.0.9/all/track1",
            "rtsp://10.0.0.9/all/",
        ),
        (
            None,
            "",
            "a=control:rtsp://192.168.1.2/x\r\n",
            "rtsp://192.168.1.2/x",
            "rtsp://10.0.0.9/s",
        ),
        (None, "", "", "rtsp://10.0.0.9/s", "rtsp://10.0.0.9/s"),
    ];
    for (base, session, media, setup, play) in cases {
        let mut camera = Camera::new(TransportKind::Tcp);
        camera.ok(&[]).unwrap();
        camera.describe(base, &sdp(session, media)).unwrap();
        camera.out.clear();
        camera.client.set_up(vec![], "c", &mut camera.out);
        assert_eq!(camera.asked().uri, setup);
        camera.ok(&[("Session", "1")]).unwrap();
        assert_eq!(camera.asked().uri, play);
    }
}

#[test]
fn redirections_are_followed() {
    for status in [301, 302] {
        let mut camera = Camera::new(TransportKind::Tcp);
        camera.ok(&[]).unwrap();
        let answer = Response::new(status, "Moved", None).with("Location", "rtsp://10.0.0.10:8554/t");
        let Progress::Redirected(url) = camera.answer(answer).unwrap() else {
            panic!()
        };
        assert_eq!((url.host.as_str(), url.port), ("10.0.0.10", 8554));
    }
    let mut camera = Camera::new(TransportKind::Tcp);
    camera.ok(&[]).unwrap();
    assert!(
        camera
            .answer(Response::new(302, "Found", None).with("Location", "http://h/"))
            .is_err()
    );
}

#[test]
fn sound_that_is_refused_is_done_without() {
    let mut camera = Camera::described(TransportKind::Tcp);
    camera.ok(&[("Session", "1")]).unwrap();
    camera.out.clear();
    camera.status(404).unwrap();
    assert_eq!(camera.asked().method, "PLAY");
    assert_eq!(camera.ok(&[]).unwrap(), Progress::Playing);
    assert_eq!(camera.client.tracks()[1].delivery, None);
}

#[test]
fn the_session_is_kept_alive_in_the_way_the_camera_knows() {
    let mut camera = Camera::playing();
    assert_eq!(
        camera.client.keep_alive_s(),
        10,
        "half of the stated time, which PLAY did not repeat"
    );
    camera.client.keep_alive("c", &mut camera.out);
    let request = camera.asked();
    assert_eq!(
        (request.method.as_str(), request.headers.get("Session")),
        ("GET_PARAMETER", Some("77"))
    );
    camera.client.keep_alive("c", &mut camera.out);
    assert!(camera.out.is_empty(), "one at a time");
    camera.status(501).unwrap();
    camera.client.keep_alive("c", &mut camera.out);
    assert_eq!(camera.asked().method, "OPTIONS");
    camera.ok(&[]).unwrap();
    // By what the camera lists.
    let mut camera = Camera::new(TransportKind::Tcp);
    camera.ok(&[("Public", "OPTIONS, DESCRIBE, SETUP, PLAY")]).unwrap();
    assert!(camera.client.keep_alive_by_options);
}

#[test]
fn a_forgotten_session_ends_the_connection() {
    let mut camera = Camera::playing();
    camera.client.keep_alive("c", &mut camera.out);
    assert_eq!(camera.status(454).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn refusals_say_what_they_mean() {
    for (status, kind) in [
        (404, ErrorKind::NotFound),
        (403, ErrorKind::Unauthorized),
        (453, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
        (415, ErrorKind::Unsupported),
    ] {
        let mut camera = Camera::new(TransportKind::Tcp);
        camera.ok(&[]).unwrap();
        assert_eq!(camera.status(status).unwrap_err().kind(), kind, "{status}");
    }
}

#[test]
fn a_web_server_and_a_stream_without_video_are_named() {
    let mut camera = Camera::new(TransportKind::Tcp);
    let web = Response {
        version: "HTTP/1.1".into(),
        ..Response::new(400, "Bad Request", None)
    };
    let error = camera.answer(web).unwrap_err();
    assert!(error.message().contains("answers, but not with RTSP"));
    let mut camera = Camera::new(TransportKind::Tcp);
    camera.ok(&[]).unwrap();
    assert!(
        camera
            .describe(None, "v=0\r\nm=audio 0 RTP/AVP 8\r\n")
            .unwrap_err()
            .message()
            .contains("no video")
    );
    let mut camera = Camera::new(TransportKind::Tcp);
    camera.ok(&[]).unwrap();
    assert_eq!(camera.describe(None, "").unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn requests_of_the_camera_are_answered() {
    let mut camera = Camera::playing();
    let ask = |camera: &mut Camera, request: Request| camera.client.on_request(&request, &mut camera.out);
    assert_eq!(ask(&mut camera, Request::new("OPTIONS", "*", 9)), Progress::Waiting);
    assert!(camera.out.starts_with(b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n"));
    assert_eq!(ask(&mut camera, Request::new("TEARDOWN", "*", 10)), Progress::Closed);
    let redirect = Request::new("REDIRECT", "*", 11).with("Location", "rtsp://h/");
    assert!(matches!(ask(&mut camera, redirect), Progress::Redirected(_)));
    camera.out.clear();
    ask(&mut camera, Request::new("RECORD", "*", 12));
    assert!(camera.out.starts_with(b"RTSP/1.0 501"));
}

#[test]
fn interim_and_unasked_answers_change_nothing() {
    let mut camera = Camera::playing();
    assert_eq!(camera.ok(&[]).unwrap(), Progress::Waiting);
    camera.client.keep_alive("c", &mut camera.out);
    assert_eq!(camera.status(100).unwrap(), Progress::Waiting);
    assert_eq!(camera.client.waiting_for(), Some("GET_PARAMETER"));
}
