//! The archive as front's media routes.

use crate::archive::Archive;
use crate::front::{MediaRoutes, Playback};
use crate::source::ByteSource;
use media_core::Result;
use std::sync::Arc;

impl MediaRoutes for Archive {
    fn playback(&self, camera_id: &str, stream: &str, start_us: i64, end_us: i64) -> Result<Playback> {
        let playback = Self::playback(self, camera_id, stream, start_us, end_us)?;
        Ok(Playback {
            source: playback.source,
            start_us: playback.start_us,
            next_start_us: playback.next_start_us,
        })
    }

    fn hls_playlist(&self, camera_id: &str, stream: &str, start_us: i64, end_us: i64) -> Result<String> {
        Self::hls_playlist(self, camera_id, stream, start_us, end_us)
    }

    fn hls_init(&self, camera_id: &str, stream: &str, name: &str) -> Result<Arc<dyn ByteSource>> {
        Self::hls_init(self, camera_id, stream, name)
    }

    fn hls_segment(
        &self,
        camera_id: &str,
        stream: &str,
        name: &str,
        granted_us: (i64, i64),
    ) -> Result<Arc<dyn ByteSource>> {
        Self::hls_segment(self, camera_id, stream, name, granted_us)
    }
}
