//! The archive from outside: what is pushed into recorders is found again in files, timelines and playback, whatever
//! happens in between. Needs ffmpeg and ffprobe; the full-disk tests need root for a small tmpfs.
#![allow(clippy::unwrap_used)]

#[path = "../../../media-core/tests/camera_dump/mod.rs"]
mod camera_dump;
mod damage;
mod disk;
mod exports;
mod feed;
mod files;
mod foreign;
mod gaps;
mod golden;
mod hls;
mod killed;
mod long;
mod pictures;
mod playback;
mod rebuild;
mod recording;
mod start;
