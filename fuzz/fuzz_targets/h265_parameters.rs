//! Reads arbitrary bytes as H.265 parameter sets, hvcC and access units.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::codec::{codec_string, h265, nal};

const VPS: [u8; 4] = [0x40, 1, 0x0c, 1];
const PPS: [u8; 4] = [0x44, 1, 0xc1, 0x72];

fuzz_target!(|bytes: &[u8]| {
    if let Ok(parameters) = h265::parameters(&VPS, bytes, &PPS) {
        assert!(parameters.width > 0 && parameters.height > 0 && parameters.reorder_depth <= 16);
        let sets = h265::parameter_sets(&parameters.configuration).expect("just built");
        assert_eq!(sets, [&VPS[..], bytes, &PPS]);
        assert!(codec_string(&parameters).is_some());
    }
    let _ = h265::parameter_sets(bytes);
    let _ = h265::recovery_frames(bytes);
    let _ = h265::is_disposable(bytes, 1);
    let _ = h265::recovery_frames(&nal::to_length_prefixed(bytes));
});
