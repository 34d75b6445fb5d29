//! Test clips made by the `ffmpeg` program, written as recordings, and what `ffmpeg` reads back from bytes of ours.

#![allow(dead_code)]

use media_core::decode_order::DecodeOrder;
use media_core::fmp4::{FragmentHeader, FragmentRead, Sample, fragment_header, init_segment, read_fragment_header};
use media_core::index::{FLAG_CONTAINS_KEY, FLAG_STARTS_WITH_KEY, Fragment};
use media_core::track::{Codec, TrackKind, TrackParameters};
use media_core::{codec, movie};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Output of a program; a test that cannot run it fails and says why.
pub fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("this test needs the program `{program}` (Debian package ffmpeg): {e}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder that goes when the test ends.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("media-core-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One unit of a clip; times in ticks of the track.
#[derive(Debug, Clone)]
pub struct Unit {
    pub pts: i64,
    pub dts: i64,
    pub key: bool,
    pub data: Vec<u8>,
}

/// One track of a clip.
#[derive(Debug, Clone)]
pub struct Clip {
    pub parameters: TrackParameters,
    pub units: Vec<Unit>,
}

/// Reads a stream (`v:0`, `a:0`) of an MP4 made by ffmpeg. Video gets its DTS from `DecodeOrder`, as from a camera.
pub fn read_clip(path: &str, stream: &str, parameters: TrackParameters) -> Clip {
    let listing = output_of(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            "stream=time_base:packet=pts,size,pos",
            "-of",
            "compact=p=0:nk=0",
            path,
        ],
    );
    let file = std::fs::read(path).unwrap();
    let ticks: i64 = field(&listing, "time_base=1/").parse().unwrap();
    let mut order = DecodeOrder::new(&parameters);
    let units = listing
        .lines()
        .filter(|line| line.contains("pts="))
        .map(|line| {
            let number = |name: &str| field(line, name).parse::<i64>().unwrap();
            let pts = number("pts=") * parameters.clock_rate as i64 / ticks;
            let data = file[number("pos=") as usize..][..number("size=") as usize].to_vec();
            let (key, dts) = match parameters.codec {
                Codec::H264 => (codec::h264::is_random_access(&data), order.push(pts)),
                Codec::H265 => (codec::h265::is_random_access(&data), order.push(pts)),
                Codec::Av1 => (codec::av1::is_random_access(&data), order.push(pts)),
                _ => (true, pts),
            };
            Unit { pts, dts, key, data }
        })
        .collect();
    Clip { parameters, units }
}

fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let at = line.find(name).unwrap_or_else(|| panic!("no {name} in {line}")) + name.len();
    line[at..].split(['|', '\n']).next().unwrap()
}

/// Encodes with ffmpeg (`arguments` make one video stream) and reads the clip with parameters from its own sets.
pub fn encode_video(folder: &Folder, arguments: &[&str], codec: Codec) -> (Clip, String) {
    let path = folder.path("source.mp4");
    let mut command = vec!["-v", "error", "-y"];
    command.extend_from_slice(arguments);
    command.push(&path);
    output_of("ffmpeg", &command);
    let raw = folder.path("source.raw");
    let format = match codec {
        Codec::H264 => "h264",
        Codec::H265 => "hevc",
        Codec::Mjpeg => "mjpeg",
        _ => "obu",
    };
    output_of(
        "ffmpeg",
        &["-v", "error", "-y", "-i", &path, "-c", "copy", "-f", format, &raw],
    );
    let stream = std::fs::read(&raw).unwrap();
    let nals: Vec<&[u8]> = codec::nal::annex_b(&stream).collect();
    let parameters = match codec {
        Codec::H264 => {
            let set = |kind| *nals.iter().find(|nal| codec::h264::nal_type(nal) == kind).unwrap();
            codec::h264::parameters(set(codec::h264::NAL_SPS), set(codec::h264::NAL_PPS))
        }
        Codec::H265 => {
            let set = |kind| *nals.iter().find(|nal| codec::h265::nal_type(nal) == kind).unwrap();
            codec::h265::parameters(
                set(codec::h265::NAL_VPS),
                set(codec::h265::NAL_SPS),
                set(codec::h265::NAL_PPS),
            )
        }
        Codec::Mjpeg => codec::mjpeg::parameters(&stream),
        _ => codec::av1::parameters(&stream),
    };
    (read_clip(&path, "v:0", parameters.unwrap()), path)
}

/// A recording in memory and the index records of its fragments.
pub struct Recording {
    pub bytes: Vec<u8>,
    pub records: Vec<Fragment>,
    pub tracks: Vec<TrackParameters>,
}

/// Writes clips as tracks of one file, in fragments of at least `fragment_us` of decoding time.
pub fn record(clips: &[&Clip], fragment_us: i64) -> Recording {
    let tracks: Vec<TrackParameters> = clips.iter().map(|clip| clip.parameters.clone()).collect();
    let mut bytes = init_segment(&tracks).unwrap();
    let mut pending: Vec<(i64, usize, &[Unit], Option<i64>)> = Vec::new();
    for (track, clip) in clips.iter().enumerate() {
        let rate = clip.parameters.clock_rate as i64;
        let mut rest = &clip.units[..];
        while !rest.is_empty() {
            let until = rest[0].dts + fragment_us * rate / 1_000_000;
            let count = rest.iter().position(|unit| unit.dts >= until).unwrap_or(rest.len());
            let (units, after) = rest.split_at(count);
            pending.push((
                units[0].dts * 1_000_000 / rate,
                track,
                units,
                after.first().map(|unit| unit.dts),
            ));
            rest = after;
        }
    }
    pending.sort_by_key(|(time, track, ..)| (*time, *track));
    let mut records = Vec::new();
    for (sequence, (start_us, track, units, next_dts)) in pending.into_iter().enumerate() {
        let parameters = &tracks[track];
        let usual = match parameters.codec.kind() {
            TrackKind::Audio => 1024,
            _ => 3600,
        };
        let ends = units[1..]
            .iter()
            .map(|unit| unit.dts)
            .chain([next_dts.unwrap_or(units[units.len() - 1].dts + usual)]);
        let samples: Vec<Sample> = units
            .iter()
            .zip(ends)
            .map(|(unit, end)| Sample {
                duration: (end - unit.dts) as u32,
                size_bytes: unit.data.len() as u32,
                key: unit.key,
                composition_offset: (unit.pts - unit.dts) as i32,
            })
            .collect();
        let header = fragment_header(sequence as u32, track as u8, units[0].dts as u64, &samples);
        let offset = bytes.len() as u64;
        bytes.extend_from_slice(&header);
        units.iter().for_each(|unit| bytes.extend_from_slice(&unit.data));
        let keys = samples.iter().filter(|sample| sample.key).count() as u16;
        records.push(Fragment {
            track: track as u8,
            flags: if keys > 0 { FLAG_CONTAINS_KEY } else { 0 } | if units[0].key { FLAG_STARTS_WITH_KEY } else { 0 },
            samples: samples.len() as u16,
            key_samples: keys,
            start_us,
            media_time: units[0].dts,
            duration: samples.iter().map(|sample| sample.duration).sum(),
            size_bytes: (bytes.len() as u64 - offset) as u32,
            offset,
            moof_bytes: header.len() as u32,
            sequence: sequence as u32,
            ..Default::default()
        });
    }
    Recording { bytes, records, tracks }
}

impl Recording {
    /// Header of a fragment, from the bytes of the file.
    pub fn header(&self, reference: &movie::FragmentRef) -> FragmentHeader {
        match read_fragment_header(&self.bytes[reference.offset as usize..]).unwrap() {
            FragmentRead::Whole(header) => header,
            FragmentRead::NeedBytes(needed) => panic!("torn: {needed} bytes needed"),
        }
    }

    /// The movie that presents [start, end) in ticks of 1/90000 s, as bytes.
    pub fn movie(&self, start: i64, end: i64) -> Vec<u8> {
        let mut plans = Vec::new();
        for (track, parameters) in self.tracks.iter().enumerate() {
            let rate = parameters.clock_rate as i64;
            let (start, end) = (start * rate / 90_000, (end * rate + 89_999) / 90_000);
            let all: Vec<movie::FragmentRef> = self
                .records
                .iter()
                .filter(|record| record.track as usize == track)
                .map(|record| movie::FragmentRef::whole(0, record, 0))
                .collect();
            let header = |reference: &movie::FragmentRef| Ok(self.header(reference));
            let mut fragments = movie::select(&all, parameters, start, end, header).unwrap();
            let first = fragments
                .first()
                .map_or(&[][..], |fragment| &self.bytes[fragment.data_offset as usize..]);
            if parameters.codec == Codec::H264 && codec::h264::recovery_frames(first) > Some(0) {
                let before = fragments[0].media_time - 1;
                fragments = movie::select(&all, parameters, before, end, header).unwrap();
                movie::list_first_key_only(&mut fragments);
            }
            plans.push(movie::TrackPlan {
                parameters: parameters.clone(),
                fragments,
            });
        }
        let movie = movie::Movie::new(plans, start, (end - start) as u64).unwrap();
        let head = movie.tables(|reference| Ok(self.header(reference))).unwrap();
        assert_eq!(head.len() as u64, movie.head_bytes());
        let mut bytes = Vec::new();
        while let Some(slice) = movie.slice_at(bytes.len() as u64) {
            let (source, offset, length) = match slice {
                movie::Slice::Head { offset, length } => (&head, offset, length),
                movie::Slice::File { offset, length, .. } => (&self.bytes, offset, length),
            };
            bytes.extend_from_slice(&source[offset as usize..][..length as usize]);
        }
        assert_eq!(bytes.len() as u64, movie.size_bytes());
        bytes
    }
}

/// A decoded picture: presentation time in ticks of 1/90000 s and the hash of its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub pts: i64,
    pub hash: String,
}

/// What ffmpeg presents of the first video stream.
pub fn pictures(path: &str) -> Vec<Picture> {
    let listing = output_of(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-copyts",
            "-i",
            path,
            "-map",
            "0:v:0",
            "-vsync",
            "passthrough",
            "-enc_time_base",
            "1:90000",
            "-f",
            "framemd5",
            "-",
        ],
    );
    listing
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let columns: Vec<&str> = line.split(',').map(str::trim).collect();
            Picture {
                pts: columns[2].parse().unwrap(),
                hash: columns[5].to_owned(),
            }
        })
        .collect()
}

/// Presentation times (seconds) of the packets of a stream.
pub fn packet_times(path: &str, stream: &str) -> Vec<f64> {
    let listing = output_of(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            "packet=pts_time",
            "-of",
            "csv=p=0",
            path,
        ],
    );
    listing
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok())
        .collect()
}

/// Writes `bytes` into the folder and returns the path.
pub fn write(folder: &Folder, name: &str, bytes: &[u8]) -> String {
    let path = folder.path(name);
    std::fs::write(Path::new(&path), bytes).unwrap();
    path
}
