//! The media routes: playback and HLS, authorized here, read by the archive.

use super::authorize::{Authorized, Authorizer, Refusal};
use super::body::FrontBody;
use super::content::{self, Opened, Wanted, put};
use super::grant::Use;
use super::instant::{format_rfc3339_us, parse_rfc3339_us};
use super::peer::Peer;
use super::problem::Problem;
use super::routes::{MediaPath, MediaResource, MediaRoutes, is_name};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

const VMS_START: HeaderName = HeaderName::from_static("vms-start");
const VMS_NEXT_START: HeaderName = HeaderName::from_static("vms-next-start");
const ACTION: &str = "playback";
const METHODS: &str = "GET, HEAD, OPTIONS";

/// Serves recordings.
pub(super) struct Media {
    pub(super) routes: Arc<dyn MediaRoutes>,
    pub(super) authorizer: Authorizer,
    /// Taken after authorization alone: who may see nothing takes no place from those who may.
    pub(super) places: Arc<Semaphore>,
    pub(super) runtime: Handle,
}

/// The query of a media route.
#[derive(Default)]
struct Query {
    start: Option<String>,
    end: Option<String>,
    stream: Option<String>,
    token: Option<String>,
}

impl Media {
    /// Answers a request for `path`; never fails, and lets pages of every origin read the answer.
    pub(super) async fn answer(&self, path: MediaPath, head: &Parts, peer: &Peer) -> Response<FrontBody> {
        let mut response = match head.method {
            Method::OPTIONS => preflight(),
            Method::GET | Method::HEAD => match self.serve(path, head, peer).await {
                Ok(response) => response,
                Err(refusal) => refusal.into_response(),
            },
            _ => Problem::method_not_allowed(METHODS).into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(
                "Location, Vms-Start, Vms-Next-Start, ETag, Content-Range, Content-Length, Accept-Ranges, Retry-After",
            ),
        );
        response
    }

    async fn serve(&self, path: MediaPath, head: &Parts, peer: &Peer) -> Result<Response<FrontBody>, Refusal> {
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let stream = query.stream.as_deref().unwrap_or("main").to_owned();
        if !is_name(&stream) {
            return Err(Problem::invalid("“stream” is the name of a stream such as main or sub").into());
        }
        let range_us = match path.resource {
            MediaResource::Playback | MediaResource::Playlist => Some(query.range_us()?),
            MediaResource::Init(_) | MediaResource::Segment(_) => None,
        };
        let wanted = Use {
            camera_id: &path.camera_id,
            action: ACTION,
            stream: &stream,
            range_us,
        };
        let authorized = self
            .authorizer
            .authorize(query.token.as_deref(), &head.headers, peer, &wanted)
            .await?;
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| Problem::exhausted("All places for playback are taken"))?;
        let what = Wanted::of(&head.method, &head.headers);
        let routes = self.routes.clone();
        let camera_id = path.camera_id;
        let answer = match (path.resource, range_us) {
            (MediaResource::Playlist, Some((start_us, end_us))) => {
                let token = match query.token {
                    Some(token) => token,
                    None => self.authorizer.narrow(&authorized, &stream, start_us, end_us)?,
                };
                self.playlist(camera_id, stream, start_us, end_us, &token).await
            }
            (MediaResource::Init(name), _) => {
                let open = move || {
                    let source = routes.hls_init(&camera_id, &stream, &name).map_err(Problem::from)?;
                    Ok(Opened {
                        source,
                        headers: cached("private, max-age=3600"),
                    })
                };
                content::answer(&self.runtime, what, open).await
            }
            (MediaResource::Segment(name), _) => {
                content::answer(&self.runtime, what, move || {
                    segment(&*routes, &authorized, &camera_id, &stream, &name)
                })
                .await
            }
            (_, Some((start_us, end_us))) => {
                content::answer(&self.runtime, what, move || {
                    playback(&*routes, &camera_id, &stream, start_us, end_us)
                })
                .await
            }
            (_, None) => Err(Problem::internal().into()),
        };
        answer.map(|response| response.map(|body| body.holding(place)))
    }

    async fn playlist(
        &self,
        camera_id: String,
        stream: String,
        start_us: i64,
        end_us: i64,
        token: &str,
    ) -> Result<Response<FrontBody>, Refusal> {
        let query = if stream == "main" {
            format!("token={token}")
        } else {
            format!("stream={stream}&token={token}")
        };
        let routes = self.routes.clone();
        let asked = self
            .runtime
            .spawn_blocking(move || routes.hls_playlist(&camera_id, &stream, start_us, end_us));
        let playlist = asked.await.map_err(|_| Problem::internal())?.map_err(Problem::from)?;
        let mut response = Response::new(FrontBody::whole(Bytes::from(with_query(&playlist, &query))));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        Ok(response)
    }
}

fn playback(
    routes: &dyn MediaRoutes,
    camera_id: &str,
    stream: &str,
    start_us: i64,
    end_us: i64,
) -> Result<Opened, Refusal> {
    let playback = routes
        .playback(camera_id, stream, start_us, end_us)
        .map_err(Problem::from)?;
    let mut headers = cached("private, no-cache");
    put(&mut headers, VMS_START, format_rfc3339_us(playback.start_us));
    if let Some(next_start_us) = playback.next_start_us {
        put(&mut headers, VMS_NEXT_START, format_rfc3339_us(next_start_us));
    }
    Ok(Opened {
        source: playback.source,
        headers,
    })
}

fn segment(
    routes: &dyn MediaRoutes,
    authorized: &Authorized,
    camera_id: &str,
    stream: &str,
    name: &str,
) -> Result<Opened, Refusal> {
    let source = routes
        .hls_segment(camera_id, stream, name, authorized.claims.granted_us())
        .map_err(Problem::from)?;
    Ok(Opened {
        source,
        headers: cached("private, max-age=3600"),
    })
}

fn cached(policy: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(policy));
    headers
}

fn preflight() -> Response<FrontBody> {
    let mut response = Response::new(FrontBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization, Range, If-Range, If-Match, If-None-Match"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    response
}

impl Query {
    fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            let field = match &*name {
                "start" => &mut query.start,
                "end" => &mut query.end,
                "stream" => &mut query.stream,
                "token" => &mut query.token,
                _ => continue,
            };
            field.get_or_insert_with(|| value.into_owned());
        }
        query
    }

    fn range_us(&self) -> Result<(i64, i64), Problem> {
        let read = |name: &str, text: &Option<String>| {
            let text = text
                .as_ref()
                .ok_or_else(|| Problem::invalid(format!("“{name}” is missing")))?;
            parse_rfc3339_us(text).map_err(|error| Problem::from(error.within(name)))
        };
        let (start_us, end_us) = (read("start", &self.start)?, read("end", &self.end)?);
        if start_us >= end_us {
            return Err(Problem::invalid("“start” must come before “end”"));
        }
        Ok((start_us, end_us))
    }
}

/// The playlist with `query` added to every URI: those on lines of their own and those in URI attributes
/// (RFC 8216 §4.1, §4.2).
fn with_query(playlist: &str, query: &str) -> String {
    const ATTRIBUTE: &str = "URI=\"";
    let mut text = String::with_capacity(playlist.len() * 2);
    for line in playlist.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        let uri = if !content.starts_with('#') {
            0..content.len()
        } else if let Some(at) = content.find(ATTRIBUTE) {
            let start = at + ATTRIBUTE.len();
            start..content[start..].find('"').map_or(start, |length| start + length)
        } else {
            0..0
        };
        text.push_str(&line[..uri.end]);
        if !uri.is_empty() {
            text.push(if line[uri.clone()].contains('?') { '&' } else { '?' });
            text.push_str(query);
        }
        text.push_str(&line[uri.end..]);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_uri_of_a_playlist_gets_the_query() {
        let playlist = "#EXTM3U\n#EXT-X-MAP:URI=\"init-1.mp4\",BYTERANGE=\"9@0\"\r\n#EXTINF:2.0,\nsegment-1.m4s\n\n\
                        segment-2.m4s?x=1\n#EXT-X-MAP:URI=\"broken\n#EXT-X-ENDLIST";
        assert_eq!(
            with_query(playlist, "token=t"),
            "#EXTM3U\n#EXT-X-MAP:URI=\"init-1.mp4?token=t\",BYTERANGE=\"9@0\"\r\n#EXTINF:2.0,\nsegment-1.m4s?token=t\n\n\
             segment-2.m4s?x=1&token=t\n#EXT-X-MAP:URI=\"broken\n#EXT-X-ENDLIST"
        );
        assert_eq!(with_query("", "q"), "");
    }

    #[test]
    fn a_query_gives_a_range() {
        let range = |text: &str| Query::parse(text).range_us().map_err(|problem| problem.status.as_u16());
        assert_eq!(
            range("start=1970-01-01T00:00:00Z&end=1970-01-01T02:00:01%2B02:00"),
            Ok((0, 1_000_000))
        );
        assert_eq!(
            range("start=1970-01-01T00:00:00Z&end=1970-01-01T02:00:01+02:00"),
            Ok((0, 1_000_000))
        );
        assert_eq!(range("start=1970-01-01T00:00:00Z"), Err(422));
        assert_eq!(range("start=1970-01-01T00:00:00Z&end=1970-01-01T00:00:00Z"), Err(422));
        assert_eq!(range("start=yesterday&end=1970-01-01T00:00:00Z"), Err(422));
    }
}
