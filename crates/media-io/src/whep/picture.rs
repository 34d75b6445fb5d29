//! What becomes of a video unit on its way to a browser: its NAL units without those that mean nothing in RTP,
//! parameter sets before every key frame, and only pictures in display order.

use media_core::codec::{h264, h265, nal};
use media_core::{AccessUnit, Codec};
use std::borrow::Cow;

/// The unit to send for `unit` (H.264 or H.265, as those codecs document), most often its own bytes.
///
/// Delimiters, fillers and ends of sequence are left out. A key frame without a complete group of parameter sets of its
/// own is preceded by those of the track: a decoder that joins has no others.
pub(super) fn sent_unit(unit: &AccessUnit) -> Cow<'_, [u8]> {
    let codec = unit.parameters.codec;
    let (mut sets, mut leave_out) = (0, false);
    for nal in nal::length_prefixed(&unit.data) {
        match role(codec, nal) {
            Role::Set(bit) => sets |= bit,
            Role::Framing => leave_out = true,
            Role::Picture => {}
        }
    }
    let needed = if codec == Codec::H265 {
        VPS | SPS | PPS
    } else {
        SPS | PPS
    };
    let lacks_sets = unit.key && sets & needed != needed;
    if !lacks_sets && !leave_out {
        return Cow::Borrowed(&unit.data);
    }
    let configuration = &unit.parameters.configuration;
    let mut sent = Vec::with_capacity(configuration.len() + 64 + unit.data.len());
    if lacks_sets {
        let of_track = match codec {
            Codec::H265 => h265::parameter_sets(configuration),
            _ => h264::parameter_sets(configuration),
        };
        // A torn configuration leaves the picture as it is: some decoders have the sets from before.
        for set in of_track.unwrap_or_default() {
            if matches!(role(codec, set), Role::Set(_)) {
                nal::push_length_prefixed(&mut sent, set);
            }
        }
    }
    for nal in nal::length_prefixed(&unit.data) {
        if !matches!(role(codec, nal), Role::Framing) {
            nal::push_length_prefixed(&mut sent, nal);
        }
    }
    Cow::Owned(sent)
}

const VPS: u8 = 1;
const SPS: u8 = 2;
const PPS: u8 = 4;

enum Role {
    /// Access unit delimiter, filler data, end of sequence or stream: RTP timestamps and markers say the same.
    Framing,
    /// A parameter set, as one of the bits above.
    Set(u8),
    /// Slices, SEI and all else.
    Picture,
}

fn role(codec: Codec, nal: &[u8]) -> Role {
    match (codec, h264::nal_type(nal), h265::nal_type(nal)) {
        // ITU-T H.265 table 7-1.
        (Codec::H265, _, 32) => Role::Set(VPS),
        (Codec::H265, _, 33) => Role::Set(SPS),
        (Codec::H265, _, 34) => Role::Set(PPS),
        (Codec::H265, _, 35..=38) => Role::Framing,
        (Codec::H265, ..) => Role::Picture,
        // ITU-T H.264 table 7-1.
        (_, 7, _) => Role::Set(SPS),
        (_, 8, _) => Role::Set(PPS),
        (_, 9..=12, _) => Role::Framing,
        _ => Role::Picture,
    }
}

/// Drops the pictures that WebRTC cannot show: it plays pictures as they come, so one that belongs before another
/// already sent (a B picture) has lost its turn. Non-reference B pictures leave without a trace; where others refer to
/// a B picture (pyramids) the decoder conceals what is missing.
#[derive(Debug, Default)]
pub(super) struct DisplayOrder {
    newest_pts: Option<i64>,
}

impl DisplayOrder {
    /// Whether `unit` (video, in decoding order) comes after everything sent so far.
    pub(super) fn admits(&mut self, unit: &AccessUnit) -> bool {
        let late = self.newest_pts.is_some_and(|newest| unit.pts <= newest);
        if late && unit.parameters.reorder_depth > 0 && !unit.key && !unit.discontinuity {
            return false;
        }
        self.newest_pts = Some(unit.pts);
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use media_core::TrackParameters;
    use std::sync::Arc;

    fn unit(codec: Codec, configuration: &[u8], key: bool, nals: &[&[u8]]) -> AccessUnit {
        let mut data = Vec::new();
        for nal in nals {
            data.extend_from_slice(&(nal.len() as u32).to_be_bytes());
            data.extend_from_slice(nal);
        }
        AccessUnit {
            track: 0,
            pts: 0,
            dts: 0,
            utc_us: 0,
            received_us: 0,
            key,
            discontinuity: false,
            lost_packets: 0,
            data: data.into(),
            parameters: Arc::new(TrackParameters {
                codec,
                clock_rate: 90_000,
                configuration: Bytes::copy_from_slice(configuration),
                width: 0,
                height: 0,
                channels: 0,
                reorder_depth: 2,
                fps_milli: 0,
            }),
        }
    }

    fn nals(unit: &AccessUnit) -> Vec<Vec<u8>> {
        nal::length_prefixed(&sent_unit(unit)).map(<[u8]>::to_vec).collect()
    }

    const AVCC: &[u8] = &[
        1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 4, 0x67, 0x4d, 0x40, 0x1f, 1, 0, 3, 0x68, 0xee, 0x3c,
    ];
    const SPS: &[u8] = &[0x67, 0x4d, 0x40, 0x1f];
    const PPS: &[u8] = &[0x68, 0xee, 0x3c];

    fn hvcc() -> Vec<u8> {
        let mut record = vec![0u8; 22];
        record.push(4);
        for (nal_type, nal) in [
            (32u8, &[0x40u8, 1, 9][..]),
            (33, &[0x42, 1, 9]),
            (34, &[0x44, 1]),
            (39, &[0x4e, 1, 5]),
        ] {
            record.extend_from_slice(&[0x80 | nal_type, 0, 1, 0, nal.len() as u8]);
            record.extend_from_slice(nal);
        }
        record
    }

    #[test]
    fn key_frames_without_parameter_sets_get_the_tracks() {
        let idr: &[u8] = &[0x65, 1, 2];
        let with = unit(Codec::H264, AVCC, true, &[&[9, 0xf0], idr]);
        assert_eq!(nals(&with), [SPS, PPS, idr]);
        let half = unit(Codec::H264, AVCC, true, &[SPS, idr]);
        assert_eq!(nals(&half), [SPS, PPS, SPS, idr]);
        let h265 = unit(Codec::H265, &hvcc(), true, &[&[0x26, 1, 7]]);
        let expected: [&[u8]; 4] = [&[0x40, 1, 9], &[0x42, 1, 9], &[0x44, 1], &[0x26, 1, 7]];
        assert_eq!(nals(&h265), expected);
    }

    #[test]
    fn own_parameter_sets_and_other_pictures_pass_as_they_are() {
        let sei: &[u8] = &[6, 5, 1];
        let idr: &[u8] = &[0x65, 1, 2];
        let own = unit(Codec::H264, AVCC, true, &[SPS, PPS, sei, idr, &[12, 0xff], &[10]]);
        assert_eq!(nals(&own), [SPS, PPS, sei, idr]);
        let slice: &[u8] = &[0x41, 1];
        let plain = unit(Codec::H264, AVCC, false, &[slice]);
        assert!(
            matches!(sent_unit(&plain), Cow::Borrowed(bytes) if *bytes == plain.data),
            "nothing to copy"
        );
    }

    #[test]
    fn torn_configurations_leave_the_picture_alone() {
        let idr: &[u8] = &[0x65, 1];
        for length in 0..AVCC.len() {
            let torn = unit(Codec::H264, &AVCC[..length], true, &[idr]);
            assert_eq!(nals(&torn), [idr], "avcC cut at {length}");
        }
        let hvcc = hvcc();
        for length in 0..hvcc.len() {
            let torn = unit(Codec::H265, &hvcc[..length], true, &[&[0x26, 1]]);
            assert_eq!(nals(&torn).last().unwrap(), &[0x26u8, 1], "hvcC cut at {length}");
        }
    }

    #[test]
    fn pictures_out_of_display_order_are_dropped() {
        let mut order = DisplayOrder::default();
        let mut admits = |pts, key, discontinuity| {
            let mut picture = unit(Codec::H264, AVCC, key, &[&[0x41]]);
            (picture.pts, picture.discontinuity) = (pts, discontinuity);
            order.admits(&picture)
        };
        // I0 P4 B2 b1 b3 P8 …: a pyramid.
        let shown: Vec<bool> = [0, 4, 2, 1, 3, 8]
            .into_iter()
            .map(|pts| admits(pts, pts == 0, false))
            .collect();
        assert_eq!(shown, [true, true, false, false, false, true]);
        assert!(
            admits(3, true, false),
            "a key frame starts anew even where the clock went back"
        );
        assert!(admits(4, false, false));
        assert!(admits(1, false, true), "so does a discontinuity");
        assert!(admits(2, false, false));
    }

    #[test]
    fn without_reordering_nothing_is_dropped() {
        let mut order = DisplayOrder::default();
        let mut picture = unit(Codec::H264, AVCC, false, &[&[0x41]]);
        Arc::get_mut(&mut picture.parameters).unwrap().reorder_depth = 0;
        for pts in [5, 4, 4, 9] {
            picture.pts = pts;
            assert!(order.admits(&picture));
        }
    }
}
