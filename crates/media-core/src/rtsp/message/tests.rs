#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn complete(bytes: &[u8]) -> (Item<'_>, usize) {
    match parse(bytes, &Limits::default()).unwrap() {
        Parsed::Complete { item, consumed_bytes } => (item, consumed_bytes),
        Parsed::Incomplete { wanted_bytes, .. } => panic!("incomplete, wants {wanted_bytes}"),
    }
}

fn response(bytes: &[u8]) -> Response {
    match complete(bytes).0 {
        Item::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_survives_writing_and_parsing() {
    let request = Request::new("DESCRIBE", "rtsp://10.0.0.9/a b", 3).with("Accept", "application/sdp\r\nX: y");
    let mut bytes = Vec::new();
    request.write(&mut bytes);
    let (item, consumed_bytes) = complete(&bytes);
    assert_eq!(consumed_bytes, bytes.len());
    let Item::Request(back) = item else { panic!() };
    assert_eq!(back.method, "DESCRIBE");
    assert_eq!(back.uri, "rtsp://10.0.0.9/ab");
    assert_eq!(back.headers.cseq(), Some(3));
    assert_eq!(back.headers.get("x"), None, "a value cannot forge a header");
}

#[test]
fn an_answer_with_a_body_survives_writing_and_parsing() {
    let answer = Response::new(200, "OK", Some(2)).with_body("application/sdp", "v=0\r\n");
    let mut bytes = Vec::new();
    answer.write(&mut bytes);
    let end = bytes.len();
    bytes.extend_from_slice(b"$\x00\x00\x01x");
    let (item, consumed_bytes) = complete(&bytes);
    assert_eq!(consumed_bytes, end);
    let Item::Response(back) = item else { panic!() };
    assert_eq!(&back.body[..], b"v=0\r\n");
    assert!(back.is_rtsp());
}

#[test]
fn every_prefix_of_a_message_is_incomplete_and_asks_for_more() {
    let bytes = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nabc";
    for end in 0..bytes.len() {
        match parse(&bytes[..end], &Limits::default()).unwrap() {
            Parsed::Incomplete {
                wanted_bytes,
                blank_bytes: 0,
            } => assert!(wanted_bytes > end && wanted_bytes <= bytes.len()),
            other => panic!("{end}: {other:?}"),
        }
    }
}

#[test]
fn interleaved_frames_are_lent_from_the_buffer() {
    let mut bytes = interleaved_header(2, 3).to_vec();
    bytes.extend_from_slice(b"abcRTSP");
    assert_eq!(
        complete(&bytes),
        (
            Item::Interleaved {
                channel: 2,
                payload: b"abc"
            },
            7
        )
    );
    assert_eq!(
        parse(&bytes[..2], &Limits::default()).unwrap(),
        Parsed::Incomplete {
            wanted_bytes: 4,
            blank_bytes: 0
        }
    );
    assert_eq!(
        parse(&bytes[..5], &Limits::default()).unwrap(),
        Parsed::Incomplete {
            wanted_bytes: 7,
            blank_bytes: 0
        }
    );
}

#[test]
fn line_feeds_alone_end_lines() {
    let answer = response(b"RTSP/1.0 401 Unauthorized\nCSeq: 1\nWWW-Authenticate: Basic realm=\"x\"\n\n");
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers.get("www-authenticate"), Some("Basic realm=\"x\""));
}

#[test]
fn folded_and_oddly_spelt_headers_are_read() {
    let answer = response(b"RTSP/1.0 200\r\ncseq : 7\r\nTRANSPORT: RTP/AVP;\r\n\tunicast\r\njunk line\r\n\r\n");
    assert_eq!(answer.headers.cseq(), Some(7));
    assert_eq!(answer.headers.get("Transport"), Some("RTP/AVP; unicast"));
    assert_eq!(answer.reason, "");
}

#[test]
fn blank_lines_before_a_message_or_frame_are_skipped() {
    assert_eq!(response(b"\r\n\r\nRTSP/1.0 200 OK\r\n\r\n").status, 200);
    assert_eq!(
        complete(b"\r\n$\x01\x00\x01z"),
        (
            Item::Interleaved {
                channel: 1,
                payload: b"z"
            },
            7
        )
    );
}

#[test]
fn blanks_need_not_be_kept_until_something_follows_them() {
    let blanks = b"\r\n \t".repeat(1 << 18);
    let incomplete = |bytes: &[u8]| match parse(bytes, &Limits::default()).unwrap() {
        Parsed::Incomplete {
            wanted_bytes,
            blank_bytes,
        } => (wanted_bytes - bytes.len(), blank_bytes),
        other => panic!("{other:?}"),
    };
    assert_eq!(incomplete(&blanks), (1, blanks.len()));
    for (begun, missing_bytes) in [
        (&b"$"[..], 3),
        (b"$\x00\x00\x02x", 1),
        (b"RTSP/1.0 200", 1),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 3\r\n\r\na", 2),
    ] {
        let bytes = [&blanks, begun].concat();
        assert_eq!(incomplete(&bytes), (missing_bytes, blanks.len()), "{begun:?}");
    }
}

#[test]
fn a_web_server_is_recognized() {
    let answer = response(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n");
    assert!(!answer.is_rtsp());
}

#[test]
fn oversized_messages_are_refused() {
    let limits = Limits {
        head_bytes: 64,
        body_bytes: 10,
    };
    let long = [b"RTSP/1.0 200 OK\r\nX: ".as_slice(), &[b'a'; 100]].concat();
    assert!(parse(&long, &limits).is_err());
    assert!(parse(b"RTSP/1.0 200 OK\r\nContent-Length: 11\r\n\r\n", &limits).is_err());
    assert!(parse(b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n", &limits).is_err());
}

#[test]
fn noise_is_malformed_and_the_next_frame_is_found() {
    let mut bytes = vec![0xde, 0xad, b'$', 9, 0, 40, 0x80];
    bytes.extend_from_slice(&interleaved_header(0, 12));
    bytes.extend_from_slice(&[0x80; 12]);
    assert!(parse(&bytes, &Limits::default()).is_err());
    let skip = resynchronize(&bytes, |channel| channel < 2);
    assert_eq!(skip, 7);
    assert!(parse(&bytes[skip..], &Limits::default()).is_ok());
    assert!(parse(b"GARBAGE\r\n\r\n", &Limits::default()).is_err());
    assert!(parse(b"SSH-2.0-OpenSSH_9.2\r\n", &Limits::default()).is_err());
    assert!(
        parse(b"A\x00\x01\x02", &Limits::default()).is_err(),
        "binary noise that starts with a letter"
    );
    assert_eq!(resynchronize(b"xxRTS", |_| false), 2);
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        match parse(&bytes, &Limits::default()) {
            Ok(Parsed::Complete { consumed_bytes, .. }) => prop_assert!(consumed_bytes > 0 && consumed_bytes <= bytes.len()),
            Ok(Parsed::Incomplete { wanted_bytes, blank_bytes }) => {
                prop_assert!(wanted_bytes > bytes.len() && blank_bytes <= bytes.len());
            }
            Err(_) => prop_assert!(bytes.is_empty() || resynchronize(&bytes, |_| true) > 0),
        }
    }
}
