//! The archive from outside: what is pushed into recorders is found again in files, timelines and playback, whatever
//! happens in between. Needs ffmpeg and ffprobe; the full-disk tests need root for a small tmpfs.
#![allow(clippy::unwrap_used)]

mod disk;
mod exports;
mod feed;
mod hls;
mod killed;
mod long;
mod pictures;
mod playback;
mod recording;
mod start;
