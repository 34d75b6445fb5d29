//! Ingest against simulated cameras, healthy and faulty, over loopback sockets. Needs ffmpeg for the footage.
#![allow(clippy::unwrap_used)]

mod cameras;
mod faults;
#[path = "../footage/mod.rs"]
mod footage;
mod healthy;
