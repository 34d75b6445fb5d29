//! Fragmented MP4 (ISO/IEC 14496-12): what the recorder writes and what repair and playback read back.
//!
//! A file is one `ftyp` + `moov`, then `moof` + `mdat` pairs, each holding samples of one track (docs/format/recording.md).

pub(crate) mod boxes;
mod fragment;
mod init;
pub(crate) mod sample_entry;

pub use fragment::{
    FragmentHeader, FragmentRead, MAX_FRAGMENT_BYTES, MAX_MOOF_BYTES, Sample, TFDT_TIME_POSITION, fragment_header,
    read_fragment_header,
};

pub(crate) use init::{Edit, MOVIE_TIMESCALE, TrackBox, write_movie_header, write_track};
pub use init::{Init, init_segment, read_init};
