//! Reads arbitrary bytes as a session description and sets up what it describes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::rtp::track_receiver::TrackReceiver;
use media_core::rtsp::sdp::SessionDescription;
use media_core::rtsp::url::control_url;

fuzz_target!(|bytes: &[u8]| {
    let Ok(session) = SessionDescription::parse(bytes) else {
        return;
    };
    let _ = session.select();
    for media in &session.medias {
        let _ = control_url("rtsp://camera/stream?x=1", media.control.as_deref());
        let _ = TrackReceiver::new(media, true);
    }
});
