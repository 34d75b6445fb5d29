#![allow(clippy::unwrap_used)]

use super::*;
use bytes::Bytes;

const CHROMIUM: &str = include_str!("offers/chromium_audio_video.sdp");
const CHROMIUM_VIDEO: &str = include_str!("offers/chromium_video.sdp");
const FIREFOX: &str = include_str!("offers/firefox_audio_video.sdp");
const GSTREAMER: &str = include_str!("offers/gstreamer_video.sdp");

fn track(codec: Codec, clock_rate: u32, channels: u16, configuration: &[u8]) -> TrackParameters {
    TrackParameters {
        codec,
        clock_rate,
        configuration: Bytes::copy_from_slice(configuration),
        width: 0,
        height: 0,
        channels,
        reorder_depth: 0,
        fps_milli: 0,
    }
}

/// H.264 of a profile, as in `profile-level-id`.
fn h264(profile: u8, constraints: u8) -> TrackParameters {
    track(Codec::H264, 90_000, 0, &[1, profile, constraints, 40, 0xff])
}

fn agree(offer: &str, video: &TrackParameters, audio: Option<&TrackParameters>) -> Result<Agreed> {
    let candidates = ["127.0.0.1:8189".parse().unwrap(), "192.0.2.7:8189".parse().unwrap()];
    Identity::new()
        .unwrap()
        .agree("door/main", offer, video, audio, &candidates, false, Instant::now())
}

/// The lines of an answer from `m=` number `section` on to the next.
fn section(answer: &str, section: usize) -> Vec<&str> {
    let mut sections = answer.split("m=").skip(1);
    sections.nth(section).unwrap().lines().collect()
}

#[test]
fn chromium_gets_the_closest_profile_that_it_offers() {
    // Camera profile → payload type: 108 is constrained baseline, 102 baseline, 116 main; high is not offered.
    for (profile, constraints, expected) in [
        (0x42, 0xc0, 108),
        (0x42, 0, 102),
        (0x4d, 0x40, 116),
        (0x64, 0, 116),
        (0x64, 0x0c, 116),
        (0x6e, 0, 41),
    ] {
        let agreed = agree(CHROMIUM_VIDEO, &h264(profile, constraints), None).unwrap();
        assert_eq!(
            agreed.video.payload_type, expected,
            "profile {profile:x}{constraints:02x}"
        );
        let video = section(&agreed.answer, 0);
        assert_eq!(
            video[0],
            format!("video 9 UDP/TLS/RTP/SAVPF {expected} {}", expected + 1),
            "with retransmission"
        );
        assert!(video.contains(&"a=sendonly"), "{}", agreed.answer);
        assert!(video.iter().any(|line| line.contains("packetization-mode=1")));
    }
}

#[test]
fn audio_passes_where_both_have_it_and_is_refused_elsewhere() {
    let video = h264(0x4d, 0);
    for (audio, payload_type) in [
        (track(Codec::PcmA, 8000, 1, &[]), Some(8)),
        (track(Codec::PcmU, 8000, 1, &[]), Some(0)),
        (track(Codec::Opus, 48_000, 2, &[]), Some(111)),
        (track(Codec::PcmA, 16_000, 1, &[]), None),
        (track(Codec::Aac, 48_000, 2, &[]), None),
    ] {
        let agreed = agree(CHROMIUM, &video, Some(&audio)).unwrap();
        assert_eq!(
            agreed.audio.as_ref().map(|audio| audio.payload_type),
            payload_type,
            "{audio:?}"
        );
        let (sound, picture) = (section(&agreed.answer, 0), section(&agreed.answer, 1));
        let candidates = |section: &[&str]| section.iter().filter(|line| line.starts_with("a=candidate:")).count();
        let group = agreed
            .answer
            .lines()
            .find(|line| line.starts_with("a=group:BUNDLE"))
            .unwrap();
        if payload_type.is_some() {
            assert_eq!(
                (group, candidates(&sound), candidates(&picture)),
                ("a=group:BUNDLE 0 1", 2, 0)
            );
        } else {
            assert!(sound[0].starts_with("audio 0 "), "refused by port 0: {}", sound[0]);
            // Browsers ignore candidates in a refused section.
            assert_eq!(
                (group, candidates(&sound), candidates(&picture)),
                ("a=group:BUNDLE 1", 0, 2)
            );
        }
    }
}

#[test]
fn answers_say_what_a_viewer_needs() {
    let agreed = agree(CHROMIUM_VIDEO, &h264(0x4d, 0), None).unwrap();
    for needed in [
        "a=ice-lite",
        "a=setup:passive",
        "a=fingerprint:sha-256 ",
        " 127.0.0.1 8189 typ host",
        "a=rtcp-mux",
    ] {
        assert!(agreed.answer.contains(needed), "{needed} in {}", agreed.answer);
    }
    assert!(!agreed.answer.contains("transport-cc"), "no feedback that nobody reads");
    assert!(agreed.answer.contains("playout-delay"));
}

#[test]
fn one_certificate_serves_all() {
    let identity = Identity::new().unwrap();
    let fingerprint = || {
        let agreed = identity
            .agree("a", CHROMIUM_VIDEO, &h264(0x4d, 0), None, &[], false, Instant::now())
            .unwrap();
        agreed
            .answer
            .lines()
            .find(|line| line.starts_with("a=fingerprint"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(fingerprint(), fingerprint());
}

#[test]
fn firefox_and_gstreamer() {
    let audio = track(Codec::PcmU, 8000, 1, &[]);
    let agreed = agree(FIREFOX, &h264(0x64, 0), Some(&audio)).unwrap();
    // Profiles 42e01f (126) and 42001f (105): baseline is the nearer one to high.
    assert_eq!(agreed.video.payload_type, 105);
    assert_eq!(
        agreed.audio.map(|audio| audio.payload_type),
        Some(0),
        "a bundle-only section is not a refused one"
    );
    assert!(section(&agreed.answer, 1)[0].starts_with("audio 9 "));

    let agreed = agree(GSTREAMER, &h264(0x64, 0), Some(&audio)).unwrap();
    assert_eq!((agreed.video.payload_type, agreed.audio.is_none()), (96, true));
    assert!(
        !agreed.answer.contains("a=group"),
        "no bundle was offered: {}",
        agreed.answer
    );
}

#[test]
fn h265_where_it_is_offered() {
    let offer = CHROMIUM_VIDEO
        .replace("a=rtpmap:102 H264/90000", "a=rtpmap:102 H265/90000")
        .replace(
            "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
            "a=fmtp:102 level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST",
        );
    let mut hvcc = vec![1u8, 2];
    hvcc.resize(23, 0);
    let agreed = agree(&offer, &track(Codec::H265, 90_000, 0, &hvcc), None).unwrap();
    assert_eq!(agreed.video.payload_type, 102, "main 10 goes out as what is offered");
}

#[test]
fn no_common_codec_names_both_sides() {
    for codec in [Codec::Mjpeg, Codec::H265, Codec::Av1] {
        let error = agree(CHROMIUM_VIDEO, &track(codec, 90_000, 0, &[]), None)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(
            error.message(),
            format!(
                "door/main sends {}, the viewer takes vp8, vp9, h264, av1",
                codec.as_str()
            )
        );
    }
}

#[test]
fn what_is_no_offer_to_receive_video_is_malformed() {
    let no_fingerprint: String = CHROMIUM_VIDEO
        .lines()
        .filter(|l| !l.contains("fingerprint"))
        .fold(String::new(), |t, l| t + l + "\r\n");
    let no_ice: String = CHROMIUM_VIDEO
        .lines()
        .filter(|l| !l.contains("ice-"))
        .fold(String::new(), |t, l| t + l + "\r\n");
    let offers = [
        String::new(),
        "v=0\r\n".to_owned(),
        "{\"type\":\"offer\"}".to_owned(),
        CHROMIUM_VIDEO.replace("a=recvonly", "a=sendonly"),
        CHROMIUM_VIDEO.replace("m=video", "m=audio"),
        CHROMIUM_VIDEO
            .replace("m=video 9", "m=video 0")
            .replace("BUNDLE 0", "BUNDLE"),
        CHROMIUM_VIDEO
            .replace("a=mid:0", "a=mid:video-0")
            .replace("BUNDLE 0", "BUNDLE video-0"),
        CHROMIUM_VIDEO.replace("a=mid:0\r\n", ""),
        no_fingerprint,
        no_ice,
        CHROMIUM.replace("a=mid:1", "a=mid:0"),
    ];
    for offer in &offers {
        let error = agree(offer, &h264(0x4d, 0), None).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error} for {offer:.60}");
    }
}

#[test]
fn no_mutation_of_an_offer_makes_it_panic() {
    let identity = Identity::new().unwrap();
    let audio = track(Codec::PcmA, 8000, 1, &[]);
    let lines: Vec<&str> = CHROMIUM.lines().collect();
    let try_it = |text: &str| {
        let _ = identity.agree("a", text, &h264(0x4d, 0), Some(&audio), &[], true, Instant::now());
    };
    for index in 0..lines.len() {
        let mut changed = lines.clone();
        match index % 3 {
            0 => drop(changed.remove(index)),
            1 => changed.insert(index, lines[index]),
            _ => changed[index] = &lines[index][..lines[index].len() / 2],
        }
        try_it(&changed.join("\r\n"));
    }
    for length in (0..CHROMIUM.len()).step_by(397) {
        try_it(&CHROMIUM[..length]);
    }
}

#[test]
fn one_payload_type_for_two_codecs_is_malformed() {
    // str0m panics here.
    let offer = CHROMIUM
        .replace("SAVPF 111 63 9 0 8 13", "SAVPF 111 63 9 0 116 13")
        .replace("a=rtpmap:8 PCMA/8000", "a=rtpmap:116 PCMA/8000");
    let audio = track(Codec::PcmA, 8000, 1, &[]);
    let error = agree(&offer, &h264(0x4d, 0), Some(&audio)).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
}
#[test]
fn sound_and_picture_have_one_source_so_that_they_are_shown_in_step() {
    let agreed = agree(CHROMIUM, &h264(0x42, 0xc0), Some(&track(Codec::PcmA, 8000, 1, &[]))).unwrap();
    let of = |section_index: usize, start: &str| {
        let lines = section(&agreed.answer, section_index);
        let words = lines
            .iter()
            .filter(|line| line.starts_with("a=ssrc:") || line.starts_with("a=msid:"))
            .filter_map(|line| line.split_once(start))
            .filter_map(|(_, rest)| rest.split(' ').next());
        let mut words: Vec<String> = words.map(str::to_owned).collect();
        words.dedup();
        words
    };
    assert_eq!(of(0, "cname:"), std::slice::from_ref(&agreed.cname));
    assert_eq!(of(1, "cname:"), std::slice::from_ref(&agreed.cname));
    assert_eq!(of(0, "msid:"), of(1, "msid:"));
    assert_eq!(of(1, "msid:").len(), 1);
    let semantic = format!("a=msid-semantic: WMS {}", of(0, "msid:")[0]);
    assert!(agreed.answer.lines().any(|line| line == semantic), "{}", agreed.answer);
}

#[test]
fn what_packets_need_is_as_the_answer_says() {
    let agreed = agree(CHROMIUM, &h264(0x42, 0xc0), Some(&track(Codec::PcmA, 8000, 1, &[]))).unwrap();
    let (video, audio) = (agreed.video, agreed.audio.unwrap());
    let says = |line: String| assert!(agreed.answer.contains(&line), "{line} in {}", agreed.answer);
    let (repeats_type, repeats_ssrc) = video.repeats.unwrap();
    says(format!("a=ssrc-group:FID {} {repeats_ssrc}\r\n", video.ssrc));
    says(format!("a=fmtp:{repeats_type} apt={}\r\n", video.payload_type));
    says(format!("a=ssrc:{} cname:{}\r\n", audio.ssrc, agreed.cname));
    says(format!(
        "a=extmap:{} urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
        video.mid_id.unwrap()
    ));
    let delay = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
    says(format!("a=extmap:{} {delay}\r\n", video.playout_delay_id.unwrap()));
    assert_eq!((audio.playout_delay_id, audio.repeats), (None, None));
}
