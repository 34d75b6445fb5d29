#![allow(clippy::unwrap_used)]
use super::*;
use crate::fmp4::{FragmentRead, Sample, fragment_header, read_fragment_header};
use crate::index;
use crate::track::Codec;
use proptest::prelude::*;

fn video(reorder_depth: u8) -> TrackParameters {
    TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: bytes::Bytes::from_static(&[1, 66, 0, 30, 255, 224, 0]),
        width: 64,
        height: 48,
        channels: 0,
        reorder_depth,
        fps_milli: 0,
    }
}

fn audio() -> TrackParameters {
    TrackParameters {
        codec: Codec::PcmA,
        clock_rate: 8_000,
        width: 0,
        height: 0,
        channels: 1,
        ..video(0)
    }
}

/// A file of fragments as a recorder lays them out, with the references that an index gives.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    references: Vec<FragmentRef>,
}

impl File {
    fn add(&mut self, track: u8, media_time: i64, samples: &[Sample]) {
        let header = fragment_header(self.references.len() as u32, track, media_time as u64, samples);
        let data_bytes: u32 = samples.iter().map(|sample| sample.size_bytes).sum();
        let record = index::Fragment {
            track,
            samples: samples.len() as u16,
            key_samples: samples.iter().filter(|sample| sample.key).count() as u16,
            media_time,
            duration: samples.iter().map(|sample| sample.duration).sum(),
            size_bytes: header.len() as u32 + data_bytes,
            offset: self.bytes.len() as u64,
            moof_bytes: header.len() as u32,
            ..Default::default()
        };
        self.references.push(FragmentRef::whole(9, &record, 0));
        self.bytes.extend_from_slice(&header);
        for (number, sample) in samples.iter().enumerate() {
            self.bytes.extend(std::iter::repeat_n(
                16 * track + number as u8,
                sample.size_bytes as usize,
            ));
        }
    }

    fn header(&self, reference: &FragmentRef) -> FragmentHeader {
        match read_fragment_header(&self.bytes[reference.offset as usize..]).unwrap() {
            FragmentRead::Whole(header) => header,
            FragmentRead::NeedBytes(_) => panic!("torn"),
        }
    }

    fn movie_bytes(&self, movie: &Movie) -> Vec<u8> {
        let head = movie.tables(|reference| Ok(self.header(reference))).unwrap();
        let mut bytes = Vec::new();
        while let Some(slice) = movie.slice_at(bytes.len() as u64) {
            let (source, offset, length) = match slice {
                Slice::Head { offset, length } => (&head, offset, length),
                Slice::File { file, offset, length } => {
                    assert_eq!(file, 9);
                    (&self.bytes, offset, length)
                }
            };
            bytes.extend_from_slice(&source[offset as usize..][..length as usize]);
        }
        bytes
    }
}

fn sample(duration: u32, size_bytes: u32, key: bool) -> Sample {
    Sample {
        duration,
        size_bytes,
        key,
        composition_offset: 0,
    }
}

/// The body of the first box of `kind`, by search.
fn table<'a>(movie: &'a [u8], kind: &[u8; 4]) -> &'a [u8] {
    let at = movie.windows(4).position(|window| window == kind).unwrap();
    let size = u32::from_be_bytes(movie[at - 4..at].try_into().unwrap()) as usize;
    &movie[at + 4..at - 4 + size]
}

fn numbers(body: &[u8]) -> Vec<u32> {
    body.chunks_exact(4)
        .map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()))
        .collect()
}

fn plan(parameters: TrackParameters, fragments: &[FragmentRef]) -> TrackPlan {
    TrackPlan {
        parameters,
        fragments: fragments.to_vec(),
    }
}

#[test]
fn tables_name_the_very_bytes_and_gaps_stay() {
    let mut file = File::default();
    file.add(0, 0, &[sample(3000, 5, true), sample(3000, 2, false)]);
    file.add(0, 90_000, &[sample(3000, 3, false), sample(3000, 4, true)]);
    let movie = Movie::new(vec![plan(video(0), &file.references)], 3000, 93_000).unwrap();
    let bytes = file.movie_bytes(&movie);
    assert_eq!(bytes.len() as u64, movie.size_bytes());
    assert_eq!(
        numbers(table(&bytes, b"stts"))[1..],
        [4, 1, 3000, 1, 87_000, 1, 3000, 1, 3000]
    );
    assert_eq!(numbers(table(&bytes, b"stsz"))[1..], [0, 4, 5, 2, 3, 4]);
    assert_eq!(numbers(table(&bytes, b"stss"))[1..], [2, 1, 4]);
    assert_eq!(numbers(table(&bytes, b"stsc"))[1..], [1, 1, 2, 1]);
    let head = movie.head_bytes() as u32;
    assert_eq!(numbers(table(&bytes, b"co64"))[1..], [2, 0, head, 0, head + 7]);
    assert_eq!(bytes[head as usize..], [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1]);
    // One edit: 93,000 movie ticks from media time 3,000.
    assert_eq!(numbers(table(&bytes, b"elst"))[1..], [1, 0, 93_000, 0, 3000, 0x1_0000]);
    assert!(!bytes.windows(4).any(|window| window == b"ctts"));
}

#[test]
fn trimming_starts_at_the_key_frame_and_ends_before_the_end() {
    let mut file = File::default();
    let mut samples = [
        sample(3000, 5, false),
        sample(3000, 2, true),
        sample(3000, 3, false),
        sample(3000, 4, false),
    ];
    samples[2].composition_offset = -6000;
    file.add(0, 30_000, &samples);
    let whole = file.references[0];
    let header = file.header(&whole);
    assert_eq!(whole.last_key_until(&header, 33_000), Some(1));
    assert_eq!(whole.last_key_until(&header, 32_999), None);
    assert_eq!(whole.samples_before(&header, 39_000), 3);
    assert_eq!(whole.samples_before(&header, 39_001), 4);
    assert_eq!(whole.samples_before(&header, 30_001), 3, "decoded late, shown early");
    assert_eq!(whole.samples_before(&header, 30_000), 0);
    let trimmed = whole.trim(&header, 1..3).unwrap();
    assert_eq!((trimmed.samples, trimmed.key_samples, trimmed.data_bytes), (2, 1, 5));
    assert_eq!((trimmed.media_time, trimmed.duration), (33_000, 6000));
    let movie = Movie::new(vec![plan(video(1), &[trimmed])], 33_000, 6000).unwrap();
    let bytes = file.movie_bytes(&movie);
    assert_eq!(bytes[movie.head_bytes() as usize..], [1, 1, 2, 2, 2]);
    assert_eq!(numbers(table(&bytes, b"ctts")), [0, 2, 1, 6000, 1, 0]);
    assert_eq!(numbers(table(&bytes, b"elst"))[1..5], [1, 0, 6000, 0]);
    assert_eq!(
        numbers(table(&bytes, b"elst"))[5],
        6000,
        "the shift of the composition offsets"
    );
    assert!(whole.trim(&header, 2..5).is_err());
}

#[test]
fn an_intra_refresh_movie_lists_only_its_first_key_sample() {
    let mut file = File::default();
    for time in [0, 6000] {
        file.add(0, time, &[sample(3000, 5, true), sample(3000, 5, true)]);
    }
    let mut fragments = file.references.clone();
    list_first_key_only(&mut fragments);
    let movie = Movie::new(vec![plan(video(0), &fragments)], 6000, 3000).unwrap();
    assert_eq!(numbers(table(&file.movie_bytes(&movie), b"stss"))[1..], [1, 1]);
}

#[test]
fn a_track_that_starts_later_waits_in_an_empty_edit() {
    let mut file = File::default();
    file.add(0, 0, &[sample(90_000, 5, true), sample(90_000, 5, false)]);
    file.add(1, 4000, &[sample(8000, 6, true), sample(8000, 6, true)]);
    let tracks = vec![
        plan(video(0), &file.references[..1]),
        plan(audio(), &file.references[1..]),
    ];
    let movie = Movie::new(tracks.clone(), 0, 180_000).unwrap();
    let bytes = file.movie_bytes(&movie);
    let audio_part = &bytes[bytes.windows(4).rposition(|window| window == b"trak").unwrap()..];
    let empty = [2, 0, 45_000, u32::MAX, u32::MAX, 0x1_0000];
    assert_eq!(numbers(table(audio_part, b"elst"))[1..7], empty);
    assert_eq!(numbers(table(audio_part, b"elst"))[7..], [0, 135_000, 0, 0, 0x1_0000]);
    assert!(
        !audio_part[..movie.head_bytes() as usize / 3]
            .windows(4)
            .any(|window| window == b"stss")
    );
    // From 1 s on: the sound's first half second is cut, exactly.
    let movie = Movie::new(tracks.clone(), 90_000, 90_000).unwrap();
    let bytes = file.movie_bytes(&movie);
    let audio_part = &bytes[bytes.windows(4).rposition(|window| window == b"trak").unwrap()..];
    assert_eq!(
        numbers(table(audio_part, b"elst"))[1..],
        [1, 0, 90_000, 0, 4000, 0x1_0000]
    );
    // Before the sound begins there is no sound track.
    let movie = Movie::new(tracks, 0, 45_000).unwrap();
    assert_eq!(
        file.movie_bytes(&movie)
            .windows(4)
            .filter(|window| window == b"trak")
            .count(),
        1
    );
}

#[test]
fn the_end_is_the_end_of_what_is_recorded() {
    let mut file = File::default();
    file.add(0, 900_000, &[sample(3000, 5, true), sample(3000, 5, false)]);
    let tracks = vec![plan(video(0), &file.references)];
    let movie = Movie::new(tracks.clone(), 900_000, 90_000).unwrap();
    assert_eq!(movie.duration_90k(), 6000);
    assert_eq!(
        Movie::new(tracks.clone(), 906_000, 90_000).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(Movie::new(tracks, 0, 900_000).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        Movie::new(vec![plan(video(0), &[])], 0, 1).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(Movie::new(vec![], 0, 1).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn overlapping_fragments_do_not_shift_what_follows() {
    let mut file = File::default();
    for time in [0, 5000, 12_000] {
        file.add(0, time, &[sample(3000, 1, true), sample(3000, 1, true)]);
    }
    let movie = Movie::new(vec![plan(video(0), &file.references)], 0, 90_000).unwrap();
    let durations: Vec<u32> = numbers(table(&file.movie_bytes(&movie), b"stts"))[2..]
        .chunks(2)
        .map(|run| run[1])
        .collect();
    assert_eq!(durations, [3000, 2000, 3000, 4000, 3000, 3000]);
}

#[test]
fn fragments_out_of_order_or_too_far_apart_are_invalid() {
    let mut file = File::default();
    file.add(0, 0, &[sample(3000, 1, true)]);
    let late = FragmentRef {
        media_time: 1 << 32,
        ..file.references[0]
    };
    for fragments in [[file.references[0], late], [late, file.references[0]]] {
        let error = Movie::new(vec![plan(video(0), &fragments)], 0, 1 << 34).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

#[test]
fn headers_that_differ_from_the_index_are_malformed() {
    let mut file = File::default();
    file.add(0, 0, &[sample(3000, 4, true), sample(3000, 4, false)]);
    let header = file.header(&file.references[0]);
    let movie = Movie::new(vec![plan(video(0), &file.references)], 0, 6000).unwrap();
    let tables = |change: fn(&mut FragmentHeader)| {
        movie.tables(|_| {
            let mut header = header.clone();
            change(&mut header);
            Ok(header)
        })
    };
    assert!(tables(|_| ()).is_ok());
    for change in [
        (|header| header.moof_bytes += 1) as fn(&mut FragmentHeader),
        |header| header.samples.truncate(1),
        |header| header.samples[0].size_bytes = 5,
        |header| header.samples[0].key = false,
    ] {
        assert_eq!(tables(change).unwrap_err().kind(), ErrorKind::Malformed);
    }
    assert!(
        file.references[0]
            .trim(
                &FragmentHeader {
                    moof_bytes: 1,
                    ..header.clone()
                },
                0..1
            )
            .is_err()
    );
}

proptest! {
    #[test]
    fn every_byte_is_where_the_tables_say(
        fragments in proptest::collection::vec((0u8..2, 1usize..5, 0i64..4000, 1u32..9), 1..12), depth in 0u8..2,
    ) {
        let mut file = File::default();
        let mut time = 0;
        for (track, count, gap, size) in &fragments {
            let rate = if *track == 0 { 1 } else { 8_000 };
            let samples: Vec<_> = (0..*count).map(|n| sample(300, size + n as u32, n == 0 || *track == 1)).collect();
            // Audio times count 1/8000 s; what matters here is only that each track's own times grow.
            file.add(*track, time / rate, &samples);
            time += gap + 300 * *count as i64 * 8_000;
        }
        let of = |track: u8| -> Vec<FragmentRef> {
            file.references.iter().zip(&fragments).filter(|(_, f)| f.0 == track).map(|(r, _)| *r).collect()
        };
        let movie = Movie::new(vec![plan(video(depth), &of(0)), plan(audio(), &of(1))], 0, 1 << 40);
        prop_assume!(movie.is_ok());
        let movie = movie.unwrap();
        let bytes = file.movie_bytes(&movie);
        prop_assert_eq!(bytes.len() as u64, movie.size_bytes());
        prop_assert!(movie.slice_at(movie.size_bytes()).is_none());
        // Each chunk of the first track begins with its fragment's first sample.
        let offsets: Vec<usize> = numbers(table(&bytes, b"co64"))[2..].chunks(2).map(|pair| pair[1] as usize).collect();
        for (offset, reference) in offsets.iter().zip(of(0)) {
            let length = reference.data_bytes as usize;
            prop_assert_eq!(&bytes[*offset..][..length], &file.bytes[reference.data_offset as usize..][..length]);
        }
    }
}
