//! The half of the media core that does I/O: sockets, files, threads and tasks around `media-core`.

pub mod archive;
pub mod bitrate;
pub mod cameras;
pub mod clock;
pub mod front;
pub mod hub;
pub mod ingest;
pub mod recordings;
pub mod simulate;
pub mod source;
pub mod tap;
pub mod whep;
#[cfg(feature = "load")]
pub mod whep_load;
