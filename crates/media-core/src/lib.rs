//! The sans-IO half of the media core: bytes and times come in as arguments, bytes and decisions go out.
//!
//! No sockets, no files, no threads, no tokio, no pyo3 (see ARCHITECTURE.md). What does I/O with these pieces
//! lives in `media-io`.

pub mod codec;
pub mod decode_order;
pub mod error;
pub mod fmp4;
pub mod index;
pub mod movie;
pub mod playlist;
pub mod recording;
pub mod rtp;
pub mod rtsp;
pub mod srtp;
pub mod stamp;
pub mod track;
pub mod unit;

pub use error::{Error, ErrorKind, Result};
pub use track::{Codec, TrackKind, TrackParameters};
pub use unit::AccessUnit;
