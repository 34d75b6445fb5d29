//! Reads arbitrary bytes as an initialization segment and as a fragment. What reads whole must mean something: an
//! initialization segment that can be written again, a fragment whose sizes add up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::fmp4::{FragmentRead, fragment_header, init_segment, read_fragment_header, read_init};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(init) = read_init(bytes) {
        assert!(init.size_bytes <= bytes.len());
        if let Ok(written) = init_segment(&init.tracks) {
            assert_eq!(read_init(&written).expect("what was written reads").tracks, init.tracks);
        }
    }
    match read_fragment_header(bytes) {
        Ok(FragmentRead::Whole(header)) => {
            let data: u64 = header.samples.iter().map(|sample| u64::from(sample.size_bytes)).sum();
            assert_eq!(u64::from(header.moof_bytes) + data, header.size_bytes);
            assert!(header.moof_bytes as usize <= bytes.len());
            if data <= media_core::fmp4::MAX_FRAGMENT_BYTES {
                let written = fragment_header(header.sequence, header.track, header.media_time, &header.samples);
                let Ok(FragmentRead::Whole(again)) = read_fragment_header(&written) else {
                    panic!("what was written does not read");
                };
                assert_eq!(again.samples, header.samples);
            }
        }
        Ok(FragmentRead::NeedBytes(needed)) => assert!(needed > bytes.len()),
        Err(_) => {}
    }
});
