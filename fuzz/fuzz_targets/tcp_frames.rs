//! Reads arbitrary bytes as the datagrams of a TCP connection.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| media_io::whep::fuzzing::read_frames(stream));
