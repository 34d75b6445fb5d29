#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn mufasa() -> Credentials {
    Credentials {
        username: "Mufasa".into(),
        password: "Circle of Life".into(),
    }
}

fn digest(headers: &[&str]) -> DigestChallenge {
    match strongest(&parse_challenges(headers.iter().copied())).cloned().unwrap() {
        Challenge::Digest(d) => d,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_examples_of_rfc_7616_come_out() {
    let headers = [
        "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
        "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
    ];
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    for (header, response) in [
        (
            headers[0],
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
        (headers[1], "8ca523f5e9506fed4657c9700eebdbec"),
    ] {
        let challenge = Challenge::Digest(digest(&[header]));
        let text = Authenticator::new(challenge, mufasa()).authorization("GET", "/dir/index.html", cnonce);
        assert!(text.contains(&format!("response=\"{response}\"")), "{text}");
        assert!(text.contains("opaque=\"FQhe/"), "{text}");
    }
    assert_eq!(digest(&headers).algorithm, Algorithm::Sha256, "the stronger is chosen");
}

#[test]
fn the_old_form_without_qop_stays_bare() {
    let challenge = Challenge::Digest(digest(&["Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd\""]));
    let text = Authenticator::new(challenge.clone(), mufasa()).authorization("DESCRIBE", "rtsp://h/", "ignored");
    assert!(
        !text.contains("qop") && !text.contains("cnonce") && !text.contains("algorithm"),
        "{text}"
    );
    assert_eq!(verify(&text, "DESCRIBE", &challenge, &mufasa()), Verdict::Granted);
}

#[test]
fn several_challenges_in_one_header_are_told_apart() {
    let found = parse_challenges(["Basic realm=\"a, b\", Digest realm=\"r\\\"x\", nonce=n1, stale=TRUE,Negotiate"]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], Challenge::Basic { realm: "a, b".into() });
    let Challenge::Digest(d) = &found[1] else { panic!() };
    assert_eq!((d.realm.as_str(), d.nonce.as_str(), d.stale), ("r\"x", "n1", true));
    assert!(matches!(strongest(&found), Some(Challenge::Digest(_))));
}

#[test]
fn challenges_we_cannot_answer_are_left_out() {
    assert!(parse_challenges(["Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256", "Bearer"]).is_empty());
    assert!(parse_challenges(["Digest realm=\"r\""]).is_empty(), "no nonce");
    assert_eq!(strongest(&[]), None);
}

#[test]
fn both_sides_agree_for_every_scheme() {
    let credentials = Credentials {
        username: "ad\"min".into(),
        password: "pa:ss\\".into(),
    };
    let mut offered = vec![Challenge::Basic { realm: "cam".into() }];
    for algorithm in [
        Algorithm::Md5,
        Algorithm::Md5Session,
        Algorithm::Sha256,
        Algorithm::Sha256Session,
    ] {
        for qop_auth in [false, true] {
            let (realm, nonce) = ("ca\"m".to_owned(), "abc".to_owned());
            let opaque = Some("o".to_owned());
            offered.push(Challenge::Digest(DigestChallenge {
                realm,
                nonce,
                opaque,
                algorithm,
                qop_auth,
                stale: false,
            }));
        }
    }
    for challenge in offered {
        let header = challenge.to_header();
        let read = parse_challenges([header.as_str()]);
        assert_eq!(read, std::slice::from_ref(&challenge), "{header}");
        let mut client = Authenticator::new(challenge.clone(), credentials.clone());
        for _ in 0..2 {
            let text = client.authorization("PLAY", "rtsp://h/s?a=1,2", "c0ffee");
            assert_eq!(
                verify(&text, "PLAY", &challenge, &credentials),
                Verdict::Granted,
                "{text}"
            );
            let wrong = Credentials {
                password: "no".into(),
                ..credentials.clone()
            };
            assert_eq!(verify(&text, "PLAY", &challenge, &wrong), Verdict::Refused);
        }
    }
}

#[test]
fn an_answer_to_an_old_nonce_is_stale() {
    let old = digest(&["Digest realm=\"r\", nonce=\"old\", qop=\"auth\""]);
    let new = Challenge::Digest(DigestChallenge {
        nonce: "new".into(),
        ..old.clone()
    });
    let text = Authenticator::new(Challenge::Digest(old), mufasa()).authorization("PLAY", "u", "c");
    assert_eq!(verify(&text, "PLAY", &new, &mufasa()), Verdict::Stale);
    assert_eq!(verify("Digest", "PLAY", &new, &mufasa()), Verdict::Refused);
    assert_eq!(verify("", "PLAY", &new, &mufasa()), Verdict::Refused);
}

#[test]
fn a_password_is_not_shown() {
    assert!(!format!("{:?}", mufasa()).contains("Circle"));
}

proptest! {
    #[test]
    fn any_header_is_read(header in "\\PC{0,80}") {
        let _ = parse_challenges([header.as_str()]);
        let _ = verify(&header, "PLAY", &Challenge::Basic { realm: String::new() }, &mufasa());
    }
}
