//! Simulated cameras against ffmpeg and against our own depacketizers, with clips of every codec that ffmpeg makes.
#![allow(clippy::unwrap_used)]

mod footage;
mod viewer;

use media_core::rtp::depacketizer::Depacketizer;
use media_core::rtp::packet::RtpPacket;
use media_core::{Codec, TrackParameters};
use media_io::simulate::{Simulator, SimulatorSettings, SourceUnit};
use std::path::Path;
use std::process::{Command, Stdio};
use viewer::Viewer;

const PICTURE: &str = "-f lavfi -i testsrc2=s=320x240:r=30:d=1.6";
const SOUND: &str = "-f lavfi -i sine=f=440:r=48000:d=1.6";

/// Name and ffmpeg arguments of each clip: B-frames, two codecs of picture, three of sound, motion JPEG.
fn clips() -> [(&'static str, String); 4] {
    let x264 = "-c:v libx264 -preset ultrafast -g 12 -pix_fmt yuv420p";
    let x265 = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=error:keyint=12:bframes=2";
    [
        (
            "reordered.ts",
            format!("{PICTURE} {SOUND} {x264} -bf 2 -b_strategy 0 -c:a aac"),
        ),
        ("plain.h264", format!("{PICTURE} {x264} -bf 0")),
        (
            "h265.mov",
            format!("{PICTURE} {SOUND} {x265} -c:a pcm_alaw -ar 8000 -ac 1"),
        ),
        (
            "jpeg.mov",
            format!("{PICTURE} {SOUND} -c:v mjpeg -huffman default -pix_fmt yuvj420p -c:a pcm_mulaw -ar 8000 -ac 1"),
        ),
    ]
}

fn read(directory: &Path, name: &str, arguments: &str) -> (Vec<TrackParameters>, Vec<SourceUnit>) {
    let path = footage::encode(directory, name, arguments);
    footage::read(&path, name.ends_with(".h264").then_some("30"))
}

#[test]
fn ffmpeg_decodes_every_clip_over_tcp_and_udp_without_a_complaint() {
    let directory = tempfile::tempdir().unwrap();
    let settings = SimulatorSettings {
        cameras: 4,
        start_spread_ms: 0,
        stamp: true,
        ..SimulatorSettings::default()
    };
    let simulator = Simulator::new(settings);
    for (name, arguments) in clips() {
        let (tracks, units) = read(directory.path(), name, &arguments);
        simulator.add_source(tracks, &units).unwrap();
    }
    let port = simulator.start().unwrap();
    let mut running = Vec::new();
    for (camera, (name, _)) in clips().into_iter().enumerate() {
        for transport in ["tcp", "udp"] {
            let url = format!("rtsp://127.0.0.1:{port}/cam/{camera}");
            let arguments = [
                "-v",
                "error",
                "-rtsp_transport",
                transport,
                "-i",
                &url,
                "-t",
                "3",
                "-f",
                "framecrc",
                "-",
            ];
            let mut command = Command::new("ffmpeg");
            command
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            running.push((name, transport, command.spawn().unwrap()));
        }
    }
    for (name, transport, child) in running {
        let output = child.wait_with_output().unwrap();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && messages.is_empty(),
            "{name} over {transport}: {messages}"
        );
        let frames = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|line| line.starts_with("0,"))
            .count();
        assert!(frames >= 80, "{name} over {transport}: {frames} pictures in 3 s");
    }
}

/// What our own depacketizers make of two rounds of a clip.
#[test]
fn every_unit_comes_out_as_it_went_in() {
    let directory = tempfile::tempdir().unwrap();
    for (name, arguments) in clips() {
        let (tracks, units) = read(directory.path(), name, &arguments);
        let settings = SimulatorSettings {
            start_spread_ms: 0,
            ..SimulatorSettings::default()
        };
        let simulator = Simulator::new(settings);
        simulator.add_source(tracks.clone(), &units).unwrap();
        let mut viewer = Viewer::connect(simulator.start().unwrap(), "cam/0");
        let description = viewer.describe();
        assert_eq!(description.medias.len(), tracks.len(), "{name}");
        let mut receivers: Vec<_> = description
            .medias
            .iter()
            .map(|m| (Depacketizer::new(m).unwrap(), Vec::new()))
            .collect();
        (0..tracks.len()).for_each(|track| viewer.set_up_tcp(track));
        viewer.play();
        let sent_of = |track: usize| units.iter().filter(move |unit| usize::from(unit.track) == track);
        while receivers
            .iter()
            .enumerate()
            .any(|(track, (_, units))| units.len() < sent_of(track).count() * 3 / 2)
        {
            let (channel, packet) = viewer.next_packet().unwrap();
            if channel % 2 == 0 {
                let ((depacketizer, payload_type), units) = &mut receivers[usize::from(channel / 2)];
                let packet = RtpPacket::parse(&packet).unwrap();
                assert_eq!(packet.header.payload_type, *payload_type, "{name}");
                depacketizer.push(&packet, 0, units);
            }
        }
        for (track, (_, received)) in receivers.iter().enumerate() {
            let codec = tracks[track].codec;
            let sent = sent_of(track).chain(sent_of(track));
            for (number, (received, sent)) in received.iter().zip(sent).enumerate() {
                if codec == Codec::Mjpeg {
                    // RFC 2435 carries scan and tables; headers are written anew.
                    assert!(scan(&received.data) == scan(&sent.data), "{name}: picture {number}");
                } else {
                    assert!(
                        received.data == sent.data,
                        "{name}: unit {number} of track {track} ({codec:?})"
                    );
                }
            }
            let counters = receivers[track].0.0.counters();
            assert_eq!(
                (counters.discarded_units, counters.malformed_packets),
                (0, 0),
                "{name} track {track}"
            );
        }
    }
}

/// The entropy-coded data of a JPEG image with one scan.
fn scan(image: &[u8]) -> &[u8] {
    let start = image.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let header = usize::from(u16::from_be_bytes([image[start + 2], image[start + 3]]));
    let scan = &image[start + 2 + header..];
    scan.strip_suffix(&[0xff, 0xd9]).unwrap_or(scan)
}
