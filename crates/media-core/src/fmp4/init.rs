//! The initialization segment: `ftyp` + `moov` (ISO/IEC 14496-12 §4.3, §8.2), written and read.

use super::boxes::{BoxHeader, Boxes, Fields, kind_name, put_u16, put_u32, put_u64, write_box, write_full_box};
use super::sample_entry;
use crate::codec::timing_of;
use crate::error::{Error, ErrorKind, Result};
use crate::track::{TrackKind, TrackParameters};

/// Ticks per second of the movie header, so that edit lists are exact for video.
pub(crate) const MOVIE_TIMESCALE: u32 = 90_000;
/// Longest ftyp or moov of a recording that is read.
const MAX_INIT_BYTES: u64 = 1 << 20;
const UNITY_MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// What an initialization segment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// Tracks in order: index 0 has track_ID 1.
    pub tracks: Vec<TrackParameters>,
    /// Length of ftyp + moov.
    pub size_bytes: usize,
}

/// An edit list that presents the media from `media_time` (ticks of the track) for `duration` (movie ticks), after
/// `empty` movie ticks of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edit {
    pub empty: u64,
    pub media_time: i64,
    pub duration: u64,
}

/// The parts of a `trak` that differ between a recording and a movie.
pub(crate) struct TrackBox<'a> {
    pub track_id: u32,
    pub parameters: &'a TrackParameters,
    /// tkhd duration in movie ticks.
    pub movie_duration: u64,
    /// mdhd duration in ticks of the track.
    pub media_duration: u64,
    pub edit: Option<Edit>,
}

/// `ftyp` + `moov` of a recording with `tracks` (track_ID = index + 1).
///
/// `Invalid` without tracks, with more than 255, or with parameters that no sample entry can express.
pub fn init_segment(tracks: &[TrackParameters]) -> Result<Vec<u8>> {
    if tracks.is_empty() || tracks.len() > 255 {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("a recording of {} tracks", tracks.len()),
        ));
    }
    for (index, parameters) in tracks.iter().enumerate() {
        sample_entry::check(parameters).map_err(|e| e.within(format!("track {index}")))?;
    }
    let mut out = Vec::with_capacity(1024);
    write_box(&mut out, b"ftyp", |out| {
        out.extend_from_slice(b"iso6\0\0\0\0iso6cmfcmp41");
    });
    write_box(&mut out, b"moov", |out| {
        write_movie_header(out, 0, tracks.len() as u32 + 1);
        for (index, parameters) in tracks.iter().enumerate() {
            let track = TrackBox {
                track_id: index as u32 + 1,
                parameters,
                movie_duration: 0,
                media_duration: 0,
                edit: None,
            };
            write_track(out, &track, |out| {
                write_full_box(out, b"stts", 0, 0, |out| put_u32(out, 0));
                write_full_box(out, b"stsc", 0, 0, |out| put_u32(out, 0));
                write_full_box(out, b"stsz", 0, 0, |out| put_u64(out, 0));
                write_full_box(out, b"stco", 0, 0, |out| put_u32(out, 0));
            });
        }
        write_box(out, b"mvex", |out| {
            for index in 0..tracks.len() as u32 {
                write_full_box(out, b"trex", 0, 0, |out| {
                    put_u32(out, index + 1);
                    put_u32(out, 1); // default_sample_description_index
                    out.extend_from_slice(&[0; 12]); // default duration, size, flags: every trun has its own
                });
            }
        });
    });
    Ok(out)
}

/// Appends an mvhd with `duration` in movie ticks.
pub(crate) fn write_movie_header(out: &mut Vec<u8>, duration: u64, next_track_id: u32) {
    write_full_box(out, b"mvhd", 1, 0, |out| {
        put_u64(out, 0);
        put_u64(out, 0);
        put_u32(out, MOVIE_TIMESCALE);
        put_u64(out, duration);
        put_u32(out, 0x1_0000); // rate 1.0
        put_u16(out, 0x100); // volume 1.0
        out.extend_from_slice(&[0; 10]);
        put_matrix(out);
        out.extend_from_slice(&[0; 24]);
        put_u32(out, next_track_id);
    });
}

/// Appends a trak; `tables` appends what follows stsd inside stbl.
pub(crate) fn write_track(out: &mut Vec<u8>, track: &TrackBox<'_>, tables: impl FnOnce(&mut Vec<u8>)) {
    let parameters = track.parameters;
    let kind = parameters.codec.kind();
    write_box(out, b"trak", |out| {
        // Flags: enabled, in movie.
        write_full_box(out, b"tkhd", 1, 3, |out| {
            put_u64(out, 0);
            put_u64(out, 0);
            put_u32(out, track.track_id);
            put_u32(out, 0);
            put_u64(out, track.movie_duration);
            out.extend_from_slice(&[0; 12]); // reserved, layer, alternate_group
            put_u16(out, if kind == TrackKind::Audio { 0x100 } else { 0 });
            put_u16(out, 0);
            put_matrix(out);
            put_u32(out, parameters.width << 16);
            put_u32(out, parameters.height << 16);
        });
        if let Some(edit) = track.edit {
            write_edit_list(out, edit);
        }
        write_box(out, b"mdia", |out| {
            write_full_box(out, b"mdhd", 1, 0, |out| {
                put_u64(out, 0);
                put_u64(out, 0);
                put_u32(out, parameters.clock_rate);
                put_u64(out, track.media_duration);
                put_u16(out, 0x55c4); // language "und"
                put_u16(out, 0);
            });
            let (handler, name): (&[u8; 4], &[u8]) = match kind {
                TrackKind::Video => (b"vide", b"Video\0"),
                TrackKind::Audio => (b"soun", b"Audio\0"),
                TrackKind::Metadata => (b"meta", b"Metadata\0"),
            };
            write_full_box(out, b"hdlr", 0, 0, |out| {
                put_u32(out, 0);
                out.extend_from_slice(handler);
                out.extend_from_slice(&[0; 12]);
                out.extend_from_slice(name);
            });
            write_box(out, b"minf", |out| {
                match kind {
                    TrackKind::Video => write_full_box(out, b"vmhd", 0, 1, |out| put_u64(out, 0)),
                    TrackKind::Audio => write_full_box(out, b"smhd", 0, 0, |out| put_u32(out, 0)),
                    TrackKind::Metadata => write_full_box(out, b"nmhd", 0, 0, |_| ()),
                }
                write_box(out, b"dinf", |out| {
                    write_full_box(out, b"dref", 0, 0, |out| {
                        put_u32(out, 1);
                        // Flag 1: the data is in this file.
                        write_full_box(out, b"url ", 0, 1, |_| ());
                    });
                });
                write_box(out, b"stbl", |out| {
                    write_full_box(out, b"stsd", 0, 0, |out| {
                        put_u32(out, 1);
                        sample_entry::write(out, parameters);
                    });
                    tables(out);
                });
            });
        });
    });
}

fn write_edit_list(out: &mut Vec<u8>, edit: Edit) {
    write_box(out, b"edts", |out| {
        write_full_box(out, b"elst", 1, 0, |out| {
            put_u32(out, if edit.empty > 0 { 2 } else { 1 });
            if edit.empty > 0 {
                put_u64(out, edit.empty);
                put_u64(out, -1i64 as u64);
                put_u32(out, 0x1_0000);
            }
            put_u64(out, edit.duration);
            put_u64(out, edit.media_time as u64);
            put_u32(out, 0x1_0000); // rate 1.0
        });
    });
}

fn put_matrix(out: &mut Vec<u8>) {
    for value in UNITY_MATRIX {
        put_u32(out, value);
    }
}

/// Reads ftyp + moov at the start of `bytes` (the first 64 KiB of a file are enough for what `init_segment` writes).
///
/// `Malformed` when they are torn or broken, `Unsupported` for sample entries that `init_segment` does not write.
/// `reorder_depth` and `fps_milli` come from the parameter sets in the decoder configuration.
pub fn read_init(bytes: &[u8]) -> Result<Init> {
    let ftyp = top_level_box(bytes, 0, b"ftyp")?;
    let moov = top_level_box(bytes, ftyp, b"moov")?;
    let body = &bytes[ftyp + 8..ftyp + moov];
    let mut tracks = Vec::new();
    let mut boxes = Boxes::new(body, "moov");
    while let Some((kind, body)) = boxes.next()? {
        if kind == *b"trak" {
            if tracks.len() == 255 {
                return Err(Error::malformed("moov: more than 255 tracks"));
            }
            let (track_id, parameters) = read_track(body).map_err(|e| e.within(format!("track {}", tracks.len())))?;
            if track_id != tracks.len() as u32 + 1 {
                return Err(Error::malformed(format!(
                    "moov: track_ID {track_id} at place {}",
                    tracks.len() + 1
                )));
            }
            tracks.push(parameters);
        }
    }
    if tracks.is_empty() {
        return Err(Error::malformed("moov: no tracks"));
    }
    Ok(Init {
        tracks,
        size_bytes: ftyp + moov,
    })
}

/// Whole size of the box of `kind` at `at`, all of which is in `bytes`.
fn top_level_box(bytes: &[u8], at: usize, kind: &[u8; 4]) -> Result<usize> {
    let name = kind_name(*kind);
    let rest = &bytes[at..];
    let torn = || {
        Error::malformed(format!(
            "the file is torn inside its {name}, {} bytes from its start",
            bytes.len()
        ))
    };
    let header = BoxHeader::read(rest)?.ok_or_else(torn)?;
    if header.kind != *kind || header.header_bytes != 8 {
        return Err(Error::malformed(format!(
            "{} at byte {at}, {name} expected",
            kind_name(header.kind)
        )));
    }
    if header.size_bytes > MAX_INIT_BYTES {
        return Err(Error::malformed(format!("{name} of {} bytes", header.size_bytes)));
    }
    if header.size_bytes as usize > rest.len() {
        return Err(torn());
    }
    Ok(header.size_bytes as usize)
}

fn read_track(trak: &[u8]) -> Result<(u32, TrackParameters)> {
    let mut tkhd = Fields::new(Boxes::new(trak, "trak").find(b"tkhd")?, "tkhd");
    let version = tkhd.u32()? >> 24;
    tkhd.take(if version == 0 { 8 } else { 16 })?;
    let track_id = tkhd.u32()?;
    let mdia = Boxes::new(trak, "trak").find(b"mdia")?;
    let mut mdhd = Fields::new(Boxes::new(mdia, "mdia").find(b"mdhd")?, "mdhd");
    let version = mdhd.u32()? >> 24;
    mdhd.take(if version == 0 { 8 } else { 16 })?;
    let clock_rate = mdhd.u32()?;
    if clock_rate == 0 {
        return Err(Error::malformed("mdhd: timescale 0"));
    }
    let minf = Boxes::new(mdia, "mdia").find(b"minf")?;
    let stbl = Boxes::new(minf, "minf").find(b"stbl")?;
    let mut stsd = Fields::new(Boxes::new(stbl, "stbl").find(b"stsd")?, "stsd");
    stsd.take(8)?;
    let mut parameters = sample_entry::read(stsd.rest(), clock_rate)?;
    (parameters.reorder_depth, parameters.fps_milli) = timing_of(parameters.codec, &parameters.configuration);
    Ok((track_id, parameters))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::track::Codec;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn parameters(codec: Codec) -> TrackParameters {
        let (width, height) = if codec.kind() == TrackKind::Video {
            (640, 360)
        } else {
            (0, 0)
        };
        TrackParameters {
            codec,
            clock_rate: if codec.kind() == TrackKind::Audio {
                48_000
            } else {
                90_000
            },
            configuration: match codec {
                Codec::PcmA | Codec::PcmU | Codec::Mjpeg | Codec::OnvifMetadata => Bytes::new(),
                Codec::Aac => Bytes::from_static(&[0x11, 0x90]),
                _ => Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7]),
            },
            width,
            height,
            channels: if codec.kind() == TrackKind::Audio { 2 } else { 0 },
            reorder_depth: 0,
            fps_milli: 0,
        }
    }

    const CODECS: [Codec; 9] = [
        Codec::H264,
        Codec::H265,
        Codec::Av1,
        Codec::Mjpeg,
        Codec::Aac,
        Codec::PcmA,
        Codec::PcmU,
        Codec::Opus,
        Codec::OnvifMetadata,
    ];

    #[test]
    fn every_codec_reads_back() {
        let tracks: Vec<_> = CODECS.into_iter().map(parameters).collect();
        let bytes = init_segment(&tracks).unwrap();
        let init = read_init(&bytes).unwrap();
        assert_eq!(init.tracks, tracks);
        assert_eq!(init.size_bytes, bytes.len());
    }

    #[test]
    fn a_long_configuration_reads_back() {
        for length in [127, 128, 300, 16_400] {
            let mut audio = parameters(Codec::Aac);
            audio.configuration = vec![7; length].into();
            let bytes = init_segment(std::slice::from_ref(&audio)).unwrap();
            assert_eq!(read_init(&bytes).unwrap().tracks, [audio]);
        }
    }

    #[test]
    fn every_cut_is_torn() {
        let bytes = init_segment(&[parameters(Codec::H264)]).unwrap();
        for length in 0..bytes.len() {
            assert!(
                read_init(&bytes[..length]).unwrap_err().message().contains("torn"),
                "{length}"
            );
        }
    }

    #[test]
    fn parameters_that_cannot_be_written_are_invalid() {
        let sound = parameters(Codec::H264);
        assert!(init_segment(&[]).is_err());
        for broken in [
            TrackParameters {
                clock_rate: 0,
                ..sound.clone()
            },
            TrackParameters {
                width: 70_000,
                ..sound.clone()
            },
            TrackParameters {
                configuration: Bytes::new(),
                ..sound.clone()
            },
            TrackParameters {
                configuration: vec![0; 70_000].into(),
                ..sound.clone()
            },
            TrackParameters {
                channels: 0,
                ..parameters(Codec::PcmA)
            },
        ] {
            assert_eq!(init_segment(&[broken]).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn foreign_sample_entries_are_unsupported() {
        let mut bytes = init_segment(&[parameters(Codec::PcmA)]).unwrap();
        let at = bytes.windows(4).position(|window| window == b"alaw").unwrap();
        bytes[at..at + 4].copy_from_slice(b"fLaC");
        assert_eq!(read_init(&bytes).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_init(&bytes);
        }

        #[test]
        fn flipped_bits_never_panic(flips in proptest::collection::vec((any::<usize>(), 0u8..8), 1..6)) {
            let tracks: Vec<_> = CODECS.into_iter().map(parameters).collect();
            let mut bytes = init_segment(&tracks).unwrap();
            let length = bytes.len();
            for (at, bit) in flips {
                bytes[at % length] ^= 1 << bit;
            }
            let _ = read_init(&bytes);
        }
    }
}
