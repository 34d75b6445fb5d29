//! Recordings and virtual movies as an independent implementation reads them: the `ffmpeg` program.
// A test of whole files: it writes them for the program to read.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod ffmpeg;

use ffmpeg::{Clip, Folder, Picture, Unit, encode_video, output_of, pictures, read_clip, record, write};
use media_core::codec::aac::AudioSpecificConfig;
use media_core::track::{Codec, TrackKind, TrackParameters};

const FRAME: i64 = 3600;
const FRAMES: usize = 100;
/// Intervals in picture numbers: all, across key frames, from and to key frames, one picture, the tail.
const INTERVALS: [(usize, usize); 7] = [(0, 100), (13, 40), (25, 50), (26, 27), (30, 99), (60, 100), (49, 51)];

/// Four seconds of a test picture at 25 frames per second, and what a decoder shows of it.
fn encode(folder: &Folder, codec: Codec, arguments: &str) -> (Clip, Vec<Picture>) {
    let source = "-f lavfi -i testsrc=size=320x180:rate=25:duration=4 -pix_fmt yuv420p";
    let command: Vec<&str> = source.split(' ').chain(arguments.split(' ')).collect();
    let (clip, path) = encode_video(folder, &command, codec);
    let shown = pictures(&path);
    assert_eq!(shown.len(), FRAMES);
    (clip, shown)
}

/// Pictures by their number in `shown`, with presentation times.
fn numbered(pictures: &[Picture], shown: &[Picture]) -> Vec<(usize, i64)> {
    let number = |hash: &str| shown.iter().position(|other| other.hash == hash).unwrap_or(usize::MAX);
    pictures
        .iter()
        .map(|picture| (number(&picture.hash), picture.pts))
        .collect()
}

/// Checks the recording itself, then movies that begin at and within pictures and end after and within pictures.
fn check_exact(name: &str, codec: Codec, arguments: &str, intervals: &[(usize, usize)]) {
    let folder = Folder::new(name);
    let (clip, shown) = encode(&folder, codec, arguments);
    let recording = record(&[&clip], 500_000);
    let file = write(&folder, "recording.mp4", &recording.bytes);
    let first = clip.units.iter().map(|unit| unit.pts).min().unwrap();
    // ffmpeg shows a fragmented file with negative composition offsets later by the greatest of them.
    let listed = pictures(&file);
    let whole: Vec<(usize, i64)> = (0..FRAMES).map(|n| (n, listed[0].pts + n as i64 * FRAME)).collect();
    assert_eq!(numbered(&listed, &shown), whole, "the recording shows what was encoded");
    for (place, (start, end)) in intervals.iter().enumerate() {
        // ffmpeg puts the first whole picture at time 0 where an edit begins within a picture, and its MJPEG decoder
        // shows that picture too.
        let inside = if *start > 0 && codec != Codec::Mjpeg { 1 } else { 0 };
        // One interval is enough to try cuts within pictures.
        let cuts = if place == 1 {
            &[(0, 0), (inside, 0), (0, 1)][..]
        } else {
            &[(0, 0)]
        };
        for (early, late) in cuts {
            let from = first + *start as i64 * FRAME - early;
            let until = first + *end as i64 * FRAME - late;
            let movie = write(&folder, "movie.mp4", &recording.movie(from, until));
            let expected: Vec<(usize, i64)> = (*start..*end).map(|n| (n, (n - start) as i64 * FRAME)).collect();
            let found = numbered(&pictures(&movie), &shown);
            assert_eq!(
                found, expected,
                "{name}: pictures {start} to {end}, {early} early, {late} late"
            );
        }
    }
}

#[test]
fn h264_with_b_frames() {
    check_exact(
        "h264-b",
        Codec::H264,
        "-c:v libx264 -bf 3 -x264-params keyint=25:b-pyramid=normal",
        &INTERVALS,
    );
}

#[test]
fn h264_baseline() {
    check_exact(
        "h264-base",
        Codec::H264,
        "-c:v libx264 -profile:v baseline -x264-params keyint=25",
        &INTERVALS,
    );
}

#[test]
fn h264_open_gop() {
    // After a start at a picture that is no IDR, ffmpeg's decoder does not show the last of fewer than four pictures.
    let intervals = [(0, 100), (13, 40), (25, 50), (26, 35), (30, 99), (60, 100)];
    check_exact(
        "h264-open",
        Codec::H264,
        "-c:v libx264 -bf 2 -x264-params keyint=25:open-gop=1",
        &intervals,
    );
}

#[test]
fn h265_with_b_frames() {
    let arguments = "-c:v libx265 -preset superfast -x265-params log-level=none:keyint=25:bframes=3";
    check_exact("h265", Codec::H265, arguments, &INTERVALS);
}

#[test]
fn motion_jpeg() {
    check_exact("mjpeg", Codec::Mjpeg, "-c:v mjpeg -pix_fmt yuvj420p", &INTERVALS);
}

#[test]
fn intra_refresh_starts_at_a_recovery_point() {
    let folder = Folder::new("refresh");
    let arguments = "-c:v libx264 -bf 0 -x264-params keyint=25:intra-refresh=1";
    let (clip, shown) = encode(&folder, Codec::H264, arguments);
    assert!(clip.units.iter().filter(|unit| unit.key).count() > 1);
    let recording = record(&[&clip], 500_000);
    let movie = write(&folder, "movie.mp4", &recording.movie(90 * FRAME, 100 * FRAME));
    let expected: Vec<(usize, i64)> = (90..100).map(|number| (number, (number as i64 - 90) * FRAME)).collect();
    let found = numbered(&pictures(&movie), &shown);
    assert_eq!(
        found, expected,
        "whole pictures, from the refresh before the one cut in two"
    );
}

#[test]
fn a_gap_stays_a_gap() {
    let folder = Folder::new("gap");
    let (mut clip, shown) = encode(
        &folder,
        Codec::H264,
        "-c:v libx264 -bf 2 -x264-params keyint=20:scenecut=0",
    );
    let (lost, resumed) = (40 * FRAME, 60 * FRAME);
    clip.units.retain(|unit| unit.dts < lost || unit.dts >= resumed);
    let recording = record(&[&clip], 500_000);
    let movie = write(&folder, "movie.mp4", &recording.movie(30 * FRAME, 70 * FRAME));
    let expected: Vec<(usize, i64)> = (30..40)
        .chain(60..70)
        .map(|number| (number, (number as i64 - 30) * FRAME))
        .collect();
    assert_eq!(numbered(&pictures(&movie), &shown), expected);
}

#[test]
fn a_recording_cut_anywhere_plays_up_to_there() {
    let folder = Folder::new("torn");
    let (clip, shown) = encode(&folder, Codec::H264, "-c:v libx264 -bf 2 -x264-params keyint=25");
    let recording = record(&[&clip], 500_000);
    let fifth = recording.records[5];
    for cut in [0, 1, 50, fifth.moof_bytes as u64 - 1] {
        let torn = write(&folder, "torn.mp4", &recording.bytes[..(fifth.offset + cut) as usize]);
        let count: usize = recording.records[..5]
            .iter()
            .map(|record| record.samples as usize)
            .sum();
        let found = numbered(&pictures(&torn), &shown);
        // The last pictures before the cut may refer to later ones that are gone.
        assert!(found.len() >= count - 2, "{} of {count}", found.len());
        assert!(
            found[..count - 4]
                .iter()
                .enumerate()
                .all(|(place, (number, _))| place == *number)
        );
    }
}

fn audio(codec: Codec, clock_rate: u32, configuration: Vec<u8>) -> TrackParameters {
    TrackParameters {
        codec,
        clock_rate,
        configuration: configuration.into(),
        width: 0,
        height: 0,
        channels: 1,
        reorder_depth: 0,
        fps_milli: 0,
    }
}

/// A-law packets of 20 ms over `seconds`, every byte of which is known by its place.
fn telephone_sound(seconds: usize) -> (Clip, Vec<u8>) {
    let sound: Vec<u8> = (0..seconds * 8000)
        .map(|place| ((place * 7) ^ (place >> 8)) as u8)
        .collect();
    let units = sound.chunks(160).enumerate().map(|(number, data)| {
        let pts = number as i64 * 160;
        Unit {
            pts,
            dts: pts,
            key: true,
            data: data.to_vec(),
        }
    });
    (
        Clip {
            parameters: audio(Codec::PcmA, 8000, Vec::new()),
            units: units.collect(),
        },
        sound,
    )
}

#[test]
fn sound_begins_with_the_picture_to_the_sample() {
    let folder = Folder::new("sound");
    let (video, shown) = encode(&folder, Codec::H264, "-c:v libx264 -bf 2 -x264-params keyint=25");
    let (audio, sound) = telephone_sound(4);
    let recording = record(&[&video, &audio], 500_000);
    for start in [0, 30, 33, 63] {
        let movie = write(&folder, "movie.mp4", &recording.movie(start * FRAME, 90 * FRAME));
        assert_eq!(
            pictures(&movie)[0],
            Picture {
                pts: 0,
                hash: shown[start as usize].hash.clone()
            }
        );
        let played = folder.path("played.alaw");
        output_of(
            "ffmpeg",
            &[
                "-v", "error", "-y", "-i", &movie, "-map", "0:a", "-c:a", "pcm_alaw", "-f", "alaw", &played,
            ],
        );
        let played = std::fs::read(&played).unwrap();
        let begin = start as usize * 320;
        let length = 90 * 320 - begin;
        assert_eq!(played[..length], sound[begin..][..length], "from picture {start}");
        assert!(played.len() < length + 160, "{} bytes for {length}", played.len());
    }
}

#[test]
fn every_codec_is_known_to_ffprobe() {
    let folder = Folder::new("codecs");
    let sine = "-v error -y -f lavfi -i sine=frequency=440:duration=1 -ac 1";
    let source = folder.path("sound.mp4");
    let encode = |arguments: &str| {
        let command: Vec<&str> = sine
            .split(' ')
            .chain(arguments.split(' '))
            .chain([&source[..]])
            .collect();
        output_of("ffmpeg", &command);
    };
    let lc = AudioSpecificConfig {
        object_type: 2,
        sample_rate: 44_100,
        output_rate: 44_100,
        channels: 1,
    };
    encode("-c:a aac -ar 44100");
    let aac = read_clip(&source, "a:0", audio(Codec::Aac, 44_100, lc.build().unwrap()));
    encode("-c:a libopus -ar 48000");
    // dOps: version 0, one channel, pre-skip 312, 48 kHz, no gain, mapping family 0.
    let opus_head = vec![0, 1, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0];
    let opus = read_clip(&source, "a:0", audio(Codec::Opus, 48_000, opus_head));
    let (pcma, _) = telephone_sound(1);
    let pcmu = Clip {
        parameters: audio(Codec::PcmU, 8000, Vec::new()),
        ..pcma.clone()
    };
    let metadata = Clip {
        parameters: TrackParameters {
            channels: 0,
            ..audio(Codec::OnvifMetadata, 90_000, Vec::new())
        },
        units: vec![Unit {
            pts: 0,
            dts: 0,
            key: true,
            data: b"<tt:MetadataStream/>".to_vec(),
        }],
    };
    for (clip, expected) in [
        (aac, "aac,audio,44100,1"),
        (opus, "opus,audio,48000,1"),
        (pcma, "pcm_alaw,audio,8000,1"),
        (pcmu, "pcm_mulaw,audio,8000,1"),
        (metadata, "data"),
    ] {
        let file = write(&folder, "recording.mp4", &record(&[&clip], 500_000).bytes);
        let found = output_of(
            "ffprobe",
            &[
                "-v",
                "error",
                "-show_entries",
                "stream=codec_type,codec_name,sample_rate,channels",
                "-of",
                "csv=p=0",
                &file,
            ],
        );
        assert!(found.trim().ends_with(expected), "{expected}: {found}");
        assert_eq!(ffmpeg::packet_times(&file, "0").len(), clip.units.len());
        if clip.parameters.codec.kind() == TrackKind::Audio {
            let decoded = output_of(
                "ffmpeg",
                &["-v", "error", "-xerror", "-i", &file, "-f", "framemd5", "-"],
            );
            assert!(decoded.lines().count() > 10);
        }
    }
}

#[test]
fn av1_plays() {
    let folder = Folder::new("av1");
    let arguments = "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 25";
    let (clip, shown) = encode(&folder, Codec::Av1, arguments);
    let recording = record(&[&clip], 500_000);
    let movie = write(&folder, "movie.mp4", &recording.movie(50 * FRAME, 100 * FRAME));
    let expected: Vec<(usize, i64)> = (50..100).map(|number| (number, (number as i64 - 50) * FRAME)).collect();
    assert_eq!(numbered(&pictures(&movie), &shown), expected);
}
