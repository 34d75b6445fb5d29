//! What the tests record: made-up units for everything that does not decode, and a real clip for what does.

use bytes::Bytes;
use media_core::fmp4::{FragmentRead, read_fragment_header, read_init};
use media_core::recording::fragmenter::rescale;
use media_core::{AccessUnit, Codec, ErrorKind, TrackParameters};
use media_io::archive::{Archive, ArchiveOptions, RepairReport};
use media_io::clock::ManualClock;
use media_io::hub::Sink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

/// 2026-11-23T10:00:00Z.
pub const T0_US: i64 = 1_795_392_000_000_000 + 10 * 3_600_000_000;
pub const SECOND_US: i64 = 1_000_000;

pub fn open(directory: &Path) -> (Arc<Archive>, RepairReport) {
    open_with(directory, ArchiveOptions::default(), ManualClock::at(T0_US))
}

/// Opens an archive that may just have been closed: a program that another test starts has copies of all descriptors,
/// the lock's too, until it is executed.
pub fn open_with(directory: &Path, options: ArchiveOptions, clock: Arc<ManualClock>) -> (Arc<Archive>, RepairReport) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        match Archive::open(&directory.join("storage"), options, clock.clone()) {
            Err(e) if e.kind() == ErrorKind::Conflict && std::time::Instant::now() < end => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

pub fn video_parameters(configuration: &'static [u8]) -> Arc<TrackParameters> {
    Arc::new(TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: Bytes::from_static(configuration),
        width: 640,
        height: 360,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 25_000,
    })
}

/// A unit of one NAL unit whose content says which picture it is.
pub fn unit(parameters: &Arc<TrackParameters>, at_us: i64, key: bool, number: u32) -> Arc<AccessUnit> {
    let dts = rescale(at_us, 1_000_000, parameters.clock_rate);
    let mut data = vec![0, 0, 0, 200, if key { 0x65 } else { 0x41 }];
    data.extend_from_slice(&number.to_be_bytes());
    data.resize(204, 0x55);
    Arc::new(AccessUnit {
        track: u8::from(parameters.codec == Codec::Aac),
        pts: dts,
        dts,
        utc_us: at_us,
        received_us: 0,
        key,
        discontinuity: false,
        lost_packets: 0,
        data: Bytes::from(data),
        parameters: parameters.clone(),
    })
}

/// Pushes `frames` pictures at 25 per second from `from_us`, numbered from `number`, one GOP a second.
pub fn push_video(sink: &dyn Sink, parameters: &Arc<TrackParameters>, from_us: i64, frames: u32, number: u32) {
    for i in 0..frames {
        assert!(sink.push(&unit(
            parameters,
            from_us + i64::from(i) * 40_000,
            i % 25 == 0,
            number + i
        )));
    }
}

/// The numbers of the pictures in one `.mp4`, read box by box and not by our index.
pub fn numbers_in(path: &Path) -> Vec<u32> {
    let bytes = std::fs::read(path).unwrap();
    let mut at = read_init(&bytes).unwrap().size_bytes;
    let mut numbers = Vec::new();
    while at < bytes.len() {
        if &bytes[at + 4..at + 8] == b"prft" {
            at += 32;
            continue;
        }
        let FragmentRead::Whole(header) = read_fragment_header(&bytes[at..]).unwrap() else {
            panic!("torn at {at}")
        };
        let mut data = at + header.moof_bytes as usize;
        for sample in &header.samples {
            if header.track == 0 {
                numbers.push(u32::from_be_bytes(bytes[data + 5..data + 9].try_into().unwrap()));
            }
            data += sample.size_bytes as usize;
        }
        at += header.size_bytes as usize;
    }
    numbers
}

/// Every `.mp4` of a camera, by name.
pub fn videos_of(directory: &Path, camera_id: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for day in std::fs::read_dir(directory.join("storage/cameras").join(camera_id)).unwrap() {
        for file in std::fs::read_dir(day.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|e| e == "mp4") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

pub fn index_of(video: &Path) -> PathBuf {
    let name = video.file_name().unwrap().to_str().unwrap();
    video.with_file_name(name.replace("video_", "index_").replace(".mp4", ".vms-idx"))
}

/// A directory as a killed process leaves it: a copy made while the recorder still runs.
pub fn copy_of(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let status = Command::new("cp")
        .arg("-a")
        .arg(directory.join("storage"))
        .arg(copy.path())
        .status()
        .unwrap();
    assert!(status.success());
    copy
}

/// Ten seconds of 320×180 at 30 fps with a GOP of 2 s, B-frames and AAC, made by ffmpeg once per run.
pub struct Clip {
    /// Video and audio units in decoding order of each track; times start at 0.
    pub units: Vec<Arc<AccessUnit>>,
}

pub fn clip() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clip.mp4");
        let arguments = "-v error -f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 \
            -t 10 -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 60 -bf 2 -b:v 300k -c:a aac -b:a 64k \
            -f mp4 -movflags empty_moov+default_base_moof+frag_keyframe -video_track_timescale 90000";
        let made = Command::new("ffmpeg").args(arguments.split_whitespace()).arg(&path).output();
        let made = made.expect("ffmpeg is needed for this test: install Debian's ffmpeg");
        assert!(made.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&made.stderr));
        Clip { units: read_clip(&std::fs::read(path).unwrap()) }
    })
}

/// ffmpeg writes both tracks' fragments as one moof: taken apart here with a small reader of its own.
fn read_clip(bytes: &[u8]) -> Vec<Arc<AccessUnit>> {
    let u32_at = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let tracks: Vec<Arc<TrackParameters>> = read_init(bytes).unwrap().tracks.into_iter().map(Arc::new).collect();
    let mut units = Vec::new();
    let mut at = 0;
    let mut position = vec![0i64; tracks.len()];
    while at < bytes.len() {
        let size = u32_at(at) as usize;
        if &bytes[at + 4..at + 8] == b"moof" {
            let mut traf = at + 8;
            while traf < at + size {
                let traf_size = u32_at(traf) as usize;
                if &bytes[traf + 4..traf + 8] == b"traf" {
                    read_traf(bytes, at, traf, &tracks, &mut position, &mut units);
                }
                traf += traf_size;
            }
        }
        at += size;
    }
    units.sort_by_key(|u: &Arc<AccessUnit>| rescale(u.dts, u.parameters.clock_rate, 1_000_000));
    units
}

fn read_traf(
    bytes: &[u8],
    moof: usize,
    traf: usize,
    tracks: &[Arc<TrackParameters>],
    position: &mut [i64],
    units: &mut Vec<Arc<AccessUnit>>,
) {
    let u32_at = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let end = traf + u32_at(traf) as usize;
    let (mut track, mut duration, mut size, mut flags) = (0usize, 0, 0, 0);
    let mut at = traf + 8;
    while at < end {
        match &bytes[at + 4..at + 8] {
            b"tfhd" => {
                let present = u32_at(at + 8) & 0xff_ffff;
                track = u32_at(at + 12) as usize - 1;
                let mut field = at + 16 + if present & 2 != 0 { 4 } else { 0 };
                for (bit, value) in [(8, &mut duration), (16, &mut size), (32, &mut flags)] {
                    if present & bit != 0 {
                        *value = u32_at(field);
                        field += 4;
                    }
                }
            }
            b"trun" => {
                let present = u32_at(at + 8) & 0xff_ffff;
                let count = u32_at(at + 12);
                let mut field = at + 16;
                let mut data = moof + u32_at(field) as usize;
                field += 4;
                let first_flags = (present & 4 != 0).then(|| u32_at(field));
                field += if present & 4 != 0 { 4 } else { 0 };
                for number in 0..count {
                    let (mut d, mut s, mut f, mut c) = (duration, size, flags, 0);
                    for (bit, value) in [(0x100, &mut d), (0x200, &mut s), (0x400, &mut f), (0x800, &mut c)] {
                        if present & bit != 0 {
                            *value = u32_at(field);
                            field += 4;
                        }
                    }
                    let f = if number == 0 { first_flags.unwrap_or(f) } else { f };
                    let parameters = &tracks[track];
                    let dts = position[track];
                    let pts = dts + i64::from(c as i32);
                    units.push(Arc::new(AccessUnit {
                        track: track as u8,
                        pts,
                        dts,
                        utc_us: rescale(pts, parameters.clock_rate, 1_000_000),
                        received_us: 0,
                        key: track == 1 || f & 0x1_0000 == 0,
                        discontinuity: false,
                        lost_packets: 0,
                        data: Bytes::copy_from_slice(&bytes[data..data + s as usize]),
                        parameters: parameters.clone(),
                    }));
                    position[track] += i64::from(d);
                    data += s as usize;
                }
            }
            _ => {}
        }
        at += u32_at(at) as usize;
    }
}

/// Pushes the clip as if the camera had sent it from `from_us` on, `seconds` long (looped, 10 s a turn).
pub fn push_clip(sink: &dyn Sink, from_us: i64, seconds: i64) {
    for turn in 0..(seconds + 9) / 10 {
        for unit in &clip().units {
            let rate = unit.parameters.clock_rate;
            let at = rescale(from_us + turn * 10 * SECOND_US, 1_000_000, rate);
            let (pts, dts) = (unit.pts + at, unit.dts + at);
            let since_us = rescale(dts, rate, 1_000_000) - from_us;
            // 10 s are no whole number of AAC frames: the turn's last would overlap the next one's first.
            let cut_us = (turn + 1) * 10 * SECOND_US - if unit.track == 1 { 22_000 } else { 0 };
            if since_us >= seconds * SECOND_US || since_us >= cut_us {
                continue;
            }
            let moved = AccessUnit {
                pts,
                dts,
                utc_us: rescale(pts, rate, 1_000_000),
                ..(**unit).clone()
            };
            assert!(sink.push(&Arc::new(moved)));
        }
    }
}

/// What ffprobe says about a file, as lines of `entries`.
pub fn ffprobe(path: &Path, arguments: &[&str]) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(arguments)
        .arg(path)
        .output();
    let output = output.expect("ffprobe is needed for this test: install Debian's ffmpeg");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.trim().is_empty(),
        "ffprobe {}: {errors}",
        path.display()
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Decodes every picture; how many there were. Fails on any complaint of the decoder.
pub fn decode(path: &Path) -> usize {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:v", "-f", "framecrc", "-fps_mode", "passthrough", "-"])
        .output()
        .expect("ffmpeg is needed for this test: install Debian's ffmpeg");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.trim().is_empty(),
        "ffmpeg {}: {errors}",
        path.display()
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|l| !l.starts_with('#'))
        .count()
}
