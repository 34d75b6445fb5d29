//! Reads arbitrary bytes as a compound RTCP packet of a viewer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::rtp::feedback::{Feedback, MAX_NACK_SEQUENCES, MAX_TRANSPORT_PACKETS, parse_feedback, write_nack};

fuzz_target!(|bytes: &[u8]| {
    let Ok(found) = parse_feedback(bytes) else {
        return;
    };
    let mut asked = 0;
    for feedback in found {
        match feedback {
            Feedback::Nack { media_ssrc, sequences } => {
                asked += sequences.len();
                let mut written = Vec::new();
                write_nack(1, media_ssrc, &sequences, &mut written);
                assert_eq!(parse_feedback(&written).map(|again| again.len()), Ok(1));
            }
            Feedback::TransportFeedback(feedback) => assert!(feedback.arrivals_us.len() <= MAX_TRANSPORT_PACKETS),
            Feedback::ReceiverReport { blocks, .. } => assert!(blocks.len() < 32),
            _ => {}
        }
    }
    assert!(asked <= MAX_NACK_SEQUENCES);
});
