//! Reads arbitrary bytes as what an RTSP connection brings, and as the headers that matter in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::rtsp::client::{Client, Progress, TransportKind};
use media_core::rtsp::digest::{Credentials, parse_challenges};
use media_core::rtsp::message::{Item, Limits, Parsed, parse, resynchronize};
use media_core::rtsp::transport::{Transport, parse_session};
use media_core::rtsp::url::RtspUrl;

fuzz_target!(|bytes: &[u8]| {
    let Ok(url) = RtspUrl::parse("rtsp://u:p@camera/stream") else {
        return;
    };
    let mut client = Client::new(&url, TransportKind::Udp, None, "fuzz");
    let mut out = Vec::new();
    client.start("c", &mut out);
    let limits = Limits::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        match parse(rest, &limits) {
            Ok(Parsed::Complete { item, consumed_bytes }) => {
                assert!(consumed_bytes > 0);
                rest = &rest[consumed_bytes..];
                match item {
                    Item::Response(response) => {
                        let _ = parse_challenges(response.headers.all("WWW-Authenticate")).len();
                        let _ = Transport::parse(response.headers.get("Transport").unwrap_or_default());
                        let _ = parse_session(response.headers.get("Session").unwrap_or_default());
                        if let Ok(Progress::Described) = client.on_response(&response, "c", &mut out) {
                            client.set_up(vec![5000; client.tracks().len()], "c", &mut out);
                        }
                        let mut written = Vec::new();
                        response.write(&mut written);
                        let again = parse(&written, &limits);
                        let small = written.len() < limits.head_bytes && response.is_rtsp();
                        assert!(!small || matches!(again, Ok(Parsed::Complete { .. })));
                    }
                    Item::Request(request) => {
                        let _ = client.on_request(&request, &mut out);
                        let authorization = request.headers.get("Authorization").unwrap_or_default();
                        let credentials = Credentials {
                            username: "u".into(),
                            password: "p".into(),
                        };
                        for challenge in parse_challenges([authorization]) {
                            let _ = media_core::rtsp::digest::verify(authorization, "PLAY", &challenge, &credentials);
                        }
                    }
                    Item::Interleaved { payload, .. } => assert!(payload.len() < consumed_bytes),
                }
            }
            Ok(Parsed::Incomplete {
                wanted_bytes,
                blank_bytes,
            }) => {
                assert!(wanted_bytes > rest.len());
                // Without its blanks the same is missing, within what a message may hold.
                let kept = &rest[blank_bytes..];
                assert!(kept.len() <= limits.head_bytes + limits.body_bytes);
                if !kept.is_empty() {
                    let same = Parsed::Incomplete {
                        wanted_bytes: wanted_bytes - blank_bytes,
                        blank_bytes: 0,
                    };
                    assert_eq!(parse(kept, &limits), Ok(same));
                }
                return;
            }
            Err(_) => rest = &rest[resynchronize(rest, |channel| channel < 2)..],
        }
    }
});
