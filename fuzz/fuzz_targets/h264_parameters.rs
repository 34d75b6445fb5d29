//! Reads arbitrary bytes as H.264 parameter sets, avcC and access units.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::codec::{codec_string, h264, nal};
use media_core::decode_order::DecodeOrder;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(parameters) = h264::parameters(bytes, &[0x68, 0xeb]) {
        assert!(parameters.width > 0 && parameters.height > 0 && parameters.reorder_depth <= 16);
        assert_eq!(h264::parameter_sets(&parameters.configuration).expect("just built"), [bytes, &[0x68, 0xeb]]);
        assert!(codec_string(&parameters).is_some());
        let mut order = DecodeOrder::new(&parameters);
        let (first, second) = (order.push(0), order.push(-90_000));
        assert!(first < second);
    }
    let _ = h264::parameter_sets(bytes);
    let _ = h264::recovery_frames(bytes);
    let _ = h264::is_disposable(bytes);
    let unit = nal::to_length_prefixed(bytes);
    let _ = h264::recovery_frames(&unit);
    let nals: Vec<&[u8]> = nal::annex_b(bytes).collect();
    assert_eq!(nal::length_prefixed(&unit).collect::<Vec<_>>(), nals);
});
