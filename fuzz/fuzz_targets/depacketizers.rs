//! Feeds arbitrary packets to each depacketizer, in order and through the reorder buffer.
//!
//! Input: a byte that chooses the codec and the transport, then packets of a flag byte (marker, steps of sequence
//! number and timestamp, RTCP), a length byte and so many bytes of payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::codec::nal;
use media_core::rtp::clock::Arrival;
use media_core::rtp::packet::RtpHeader;
use media_core::rtp::track_receiver::TrackReceiver;
use media_core::rtsp::sdp::SessionDescription;
use media_core::{AccessUnit, Codec};

const DESCRIPTIONS: [&str; 8] = [
    "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n\
     a=fmtp:96 sprop-parameter-sets=Z2QAKKzZQHgCJ+XARAAAAwAEAAADAPA8YMZY,aOvjyyLA\n",
    "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\n",
    "m=video 0 RTP/AVP 96\na=rtpmap:96 AV1/90000\n",
    "m=video 0 RTP/AVP 26\n",
    "m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/16000\na=fmtp:97 mode=AAC-hbr;config=1408;sizeLength=13;\
     indexLength=3;indexDeltaLength=3\n",
    "m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/8000/1\na=fmtp:97 mode=AAC-lbr;config=1588\n",
    "m=audio 0 RTP/AVP 8\n",
    "m=application 0 RTP/AVP 107\na=rtpmap:107 VND.ONVIF.METADATA/90000\n",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, mut rest)) = bytes.split_first() else {
        return;
    };
    let description = DESCRIPTIONS[usize::from(choice & 7)];
    let media = &SessionDescription::parse(description.as_bytes()).expect("ours").medias[0];
    let payload_type = media.formats[0].payload_type;
    let mut receiver = TrackReceiver::new(media, choice & 8 != 0).expect("ours");
    let (mut sequence, mut timestamp, mut now_us) = (65_530u16, u32::MAX - 9_000, 0u64);
    let mut units: Vec<AccessUnit> = Vec::new();
    while let [flags, length, tail @ ..] = rest {
        let (payload, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        sequence = sequence
            .wrapping_add(u16::from(flags >> 1 & 3))
            .wrapping_sub(u16::from(flags & 0x40 != 0) * 2);
        timestamp = timestamp.wrapping_add(u32::from(flags >> 3 & 3) * 3_000);
        now_us += 10_000;
        let arrival = Arrival {
            utc_us: 1_790_000_000_000_000 + now_us as i64,
            monotonic_us: now_us,
        };
        if flags & 0x20 != 0 {
            let _ = receiver.rtcp(payload, arrival);
            continue;
        }
        let header = RtpHeader {
            marker: flags & 1 != 0,
            payload_type,
            sequence,
            timestamp,
            ssrc: 1,
        };
        receiver.push(&[&header.to_bytes(), payload].concat(), arrival, &mut units);
    }
    let now = Arrival {
        utc_us: 1_790_000_100_000_000,
        monotonic_us: now_us + 1_000_000,
    };
    receiver.expire(now, &mut units);
    let mut last_dts = None;
    for unit in &units {
        assert!(!unit.data.is_empty());
        if matches!(unit.parameters.codec, Codec::H264 | Codec::H265) {
            let whole: usize = nal::length_prefixed(&unit.data).map(|nal| 4 + nal.len()).sum();
            assert_eq!(whole, unit.data.len(), "lengths fill the unit");
        }
        assert!(
            unit.discontinuity || last_dts.is_none_or(|last| unit.dts > last),
            "decoding times rise"
        );
        last_dts = Some(unit.dts);
    }
});
