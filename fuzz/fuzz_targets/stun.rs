//! Reads arbitrary datagrams as STUN requests that name a session.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| media_io::whep::fuzzing::read_stun(datagram));
