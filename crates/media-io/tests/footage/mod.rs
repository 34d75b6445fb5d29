//! Clips for the simulated cameras out of any file that ffmpeg reads: ffmpeg copies it into a MOV file, ffprobe tells
//! where each sample lies.
#![allow(clippy::unwrap_used, dead_code)]

use bytes::Bytes;
use media_core::{Codec, TrackParameters};
use media_io::simulate::SourceUnit;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a program to its end and returns its standard output; panics with its messages when it fails or is missing.
pub fn output_of(program: &str, arguments: &[&str]) -> Vec<u8> {
    let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = ran.unwrap_or_else(|e| panic!("{program} is needed (Debian package ffmpeg): {e}"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {messages}", arguments.join(" "));
    output.stdout
}

/// Encodes a test clip with these ffmpeg arguments (inputs, codecs, duration) into `directory/name`.
pub fn encode(directory: &Path, name: &str, arguments: &str) -> std::path::PathBuf {
    let path = directory.join(name);
    let mut words: Vec<&str> = vec!["-v", "error", "-y"];
    words.extend(arguments.split_whitespace());
    words.push(path.to_str().unwrap());
    output_of("ffmpeg", &words);
    path
}

/// The tracks and units of a file. `fps` is needed for raw streams only.
pub fn read(path: &Path, fps: Option<&str>) -> (Vec<TrackParameters>, Vec<SourceUnit>) {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy.mov");
    let copied = copy.to_str().unwrap();
    let mut words = vec!["-v", "error", "-y"];
    words.extend(fps.iter().flat_map(|fps| ["-fflags", "+genpts", "-r", fps]));
    words.extend([
        "-i",
        path.to_str().unwrap(),
        "-map",
        "0:v?",
        "-map",
        "0:a?",
        "-c",
        "copy",
    ]);
    words.extend(["-video_track_timescale", "90000", "-f", "mov", copied]);
    output_of("ffmpeg", &words);

    let streams = output_of(
        "ffprobe",
        &["-v", "error", "-show_streams", "-show_data", "-of", "json", copied],
    );
    let streams: Value = serde_json::from_slice(&streams).unwrap();
    let tracks = streams["streams"].as_array().unwrap().iter().map(track).collect();
    let entries = "packet=stream_index,pts,dts,pos,size,flags";
    let packets = output_of(
        "ffprobe",
        &["-v", "error", "-show_entries", entries, "-of", "json", copied],
    );
    let packets: Value = serde_json::from_slice(&packets).unwrap();
    let bytes = Bytes::from(std::fs::read(&copy).unwrap());
    let mut units: Vec<SourceUnit> = packets["packets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|packet| unit(packet, &bytes))
        .collect();
    // The file interleaves in chunks; a camera sends by decoding time, which the server sees to per track.
    units.sort_by_key(|unit| unit.track);
    (tracks, units)
}

fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

fn track(stream: &Value) -> TrackParameters {
    let codec = match stream["codec_name"].as_str().unwrap() {
        "h264" => Codec::H264,
        "hevc" => Codec::H265,
        "mjpeg" => Codec::Mjpeg,
        "aac" => Codec::Aac,
        "pcm_alaw" => Codec::PcmA,
        "pcm_mulaw" => Codec::PcmU,
        other => panic!("codec {other} is not simulated"),
    };
    let keeps_configuration = matches!(codec, Codec::H264 | Codec::H265 | Codec::Aac);
    let dump = stream["extradata"]
        .as_str()
        .filter(|_| keeps_configuration)
        .unwrap_or("");
    let is_video = stream["codec_type"] == "video";
    TrackParameters {
        codec,
        clock_rate: if is_video {
            90_000
        } else {
            number(&stream["sample_rate"]) as u32
        },
        configuration: undumped(dump),
        width: number(&stream["width"]) as u32,
        height: number(&stream["height"]) as u32,
        channels: number(&stream["channels"]) as u16,
        reorder_depth: number(&stream["has_b_frames"]) as u8,
        fps_milli: 0,
    }
}

/// Bytes of `00000000: 0164 0028 …  .d.(…` lines.
fn undumped(dump: &str) -> Bytes {
    let digits = dump
        .lines()
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(_, rest)| {
            let hex: Vec<u8> = rest.bytes().take(40).filter(u8::is_ascii_hexdigit).collect();
            hex
        });
    let digits: Vec<u8> = digits.collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn unit(packet: &Value, file: &Bytes) -> SourceUnit {
    let at = number(&packet["pos"]) as usize;
    SourceUnit {
        track: number(&packet["stream_index"]) as u8,
        pts: number(&packet["pts"]),
        dts: number(&packet["dts"]),
        key: packet["flags"].as_str().unwrap_or("").starts_with('K'),
        data: file.slice(at..at + number(&packet["size"]) as usize),
    }
}
