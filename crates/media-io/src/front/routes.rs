//! What the archive gives to the front, and which paths ask for it.

use crate::source::ByteSource;
use media_core::Result;
use percent_encoding::percent_decode_str;
use std::sync::Arc;

/// Recordings as the front serves them. Every call may block on the disk; the front calls from blocking threads.
///
/// Times are µs since the Unix epoch, ranges are `[start_us, end_us)` with `start_us < end_us`. Camera ids and streams
/// are 1 to 64 characters of `[A-Za-z0-9_-]`; whether they exist is the implementation's to say (`NotFound`).
pub trait MediaRoutes: Send + Sync {
    /// One MP4 that presents the range.
    fn playback(&self, camera_id: &str, stream: &str, start_us: i64, end_us: i64) -> Result<Playback>;

    /// An HLS media playlist of the range. Its URIs are relative: `init-NAME.mp4` and `segment-NAME.m4s`, NAME being
    /// 1 to 128 characters of `[A-Za-z0-9_.-]` of the implementation's choice. The front adds queries to them.
    fn hls_playlist(&self, camera_id: &str, stream: &str, start_us: i64, end_us: i64) -> Result<String>;

    /// The initialization section called `name` in a playlist.
    fn hls_init(&self, camera_id: &str, stream: &str, name: &str) -> Result<Arc<dyn ByteSource>>;

    /// The media segment called `name` in a playlist. `Forbidden` when it holds what no playlist within `granted_us`
    /// lists; names come from clients. `i64::MIN` and `i64::MAX` are no bounds.
    fn hls_segment(
        &self,
        camera_id: &str,
        stream: &str,
        name: &str,
        granted_us: (i64, i64),
    ) -> Result<Arc<dyn ByteSource>>;
}

/// An MP4 made of recordings.
pub struct Playback {
    /// Its bytes.
    pub source: Arc<dyn ByteSource>,
    /// The instant that it begins with: `start_us`, or the next recorded one after it.
    pub start_us: i64,
    /// Where a new request shall go on, when this one ends before the range does.
    pub next_start_us: Option<i64>,
}

/// A path that the front answers from recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaPath {
    pub(super) camera_id: String,
    pub(super) resource: MediaResource,
}

/// What of a camera's recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MediaResource {
    Playback,
    Playlist,
    Init(String),
    Segment(String),
}

impl MediaPath {
    /// None for every other path.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (camera_id, rest) = path.strip_prefix("/api/v1/cameras/")?.split_once('/')?;
        let resource = match rest {
            "playback.mp4" => MediaResource::Playback,
            "playback/index.m3u8" => MediaResource::Playlist,
            _ => {
                let file = rest.strip_prefix("playback/")?;
                if let Some(name) = file.strip_prefix("init-").and_then(|name| name.strip_suffix(".mp4")) {
                    MediaResource::Init(piece(name)?)
                } else {
                    MediaResource::Segment(piece(file.strip_prefix("segment-")?.strip_suffix(".m4s")?)?)
                }
            }
        };
        let camera_id = percent_decode_str(camera_id).decode_utf8().ok()?.into_owned();
        is_name(&camera_id).then_some(Self { camera_id, resource })
    }
}

/// 1 to 64 characters of `[A-Za-z0-9_-]`.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn piece(name: &str) -> Option<String> {
    let name = percent_decode_str(name).decode_utf8().ok()?;
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    ((1..=128).contains(&name.len()) && plain && !name.contains("..")).then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn media_paths() {
        let parse =
            |path: &str| MediaPath::parse(&format!("/api/v1/cameras/{path}")).map(|p| (p.camera_id, p.resource));
        assert_eq!(parse("c-1/playback.mp4"), Some(("c-1".into(), MediaResource::Playback)));
        assert_eq!(
            parse("c%2D1/playback/index.m3u8"),
            Some(("c-1".into(), MediaResource::Playlist))
        );
        assert_eq!(
            parse("c/playback/init-a.mp4"),
            Some(("c".into(), MediaResource::Init("a".into())))
        );
        assert_eq!(
            parse("c/playback/segment-a_2.m4s"),
            Some(("c".into(), MediaResource::Segment("a_2".into())))
        );
        for other in [
            "c",
            "c/",
            "/playback.mp4",
            "c/playback.mp4/x",
            "c/timeline",
            "c/playback/init-.mp4",
            "c/playback/init-a.m4s",
            "c/playback/segment-a%2Fb.m4s",
            "c/playback/segment-...m4s",
            "c/playback/segment-%2e%2e.m4s",
            "c%2Fd/playback.mp4",
            "c%00/playback.mp4",
            "../x/playback.mp4",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
