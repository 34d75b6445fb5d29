//! Reads arbitrary text as the offer of a browser that wants to watch.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| media_io::whep::fuzzing::read_offer(text));
