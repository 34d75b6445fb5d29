//! Which part of the front answers a request, and what every answer carries.

use super::FrontConfig;
use super::authorize::Authorizer;
use super::body::FrontBody;
use super::counters::{Counters, RouteClass};
use super::files::{NotServed, StaticFiles};
use super::listener::Lifeline;
use super::media::Media;
use super::peer::Peer;
use super::problem::Problem;
use super::proxy::{Passed, Proxy, is_internal};
use super::routes::{MediaPath, MediaRoutes};
use super::upstream::Upstream;
use http::header::{HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// First segments of paths that are the application's, whatever files there are.
const APPLICATION: [&str; 11] = [
    "api",
    "ws",
    "healthz",
    "readyz",
    "metrics",
    "graphql",
    "docs",
    "redoc",
    "openapi.json",
    "internal",
    ".well-known",
];
/// Places for requests of files of the web page, and of health checks.
const STATIC_PLACES: usize = 256;
const HEALTH_PLACES: usize = 32;
/// Buffers of a tunnel: little goes up, video comes down.
const TUNNEL_UP_BYTES: usize = 8 << 10;
const TUNNEL_DOWN_BYTES: usize = 64 << 10;

/// Answers every request of every connection.
pub(super) struct Service {
    pub(super) counters: Arc<Counters>,
    pub(super) upstream: Arc<Upstream>,
    /// None: recordings lie elsewhere, and the application is asked for them like for the rest.
    media: Option<Media>,
    media_places: Arc<Semaphore>,
    files: StaticFiles,
    proxy: Proxy,
    static_places: Arc<Semaphore>,
    health_places: Arc<Semaphore>,
    runtime: Handle,
}

impl Service {
    pub(super) fn new(
        config: &FrontConfig,
        counters: Arc<Counters>,
        routes: Option<Arc<dyn MediaRoutes>>,
        runtime: &Handle,
    ) -> Self {
        let limits = &config.limits;
        let upstream = Upstream::new(config.upstream_socket.clone(), limits.upstream_timeout, runtime.clone());
        let media_places = Arc::new(Semaphore::new(config.media_concurrency));
        Self {
            counters,
            media: routes.map(|routes| Media {
                routes,
                authorizer: Authorizer::new(&config.grant_key, config.clock.clone(), upstream.clone()),
                places: media_places.clone(),
                runtime: runtime.clone(),
            }),
            media_places,
            files: StaticFiles::new(config.static_dir.clone(), runtime.clone()),
            proxy: Proxy {
                upstream: upstream.clone(),
                runtime: runtime.clone(),
                body_limit_bytes: limits.request_body_bytes,
                body_stall_timeout: limits.request_body_stall_timeout,
            },
            upstream,
            static_places: Arc::new(Semaphore::new(STATIC_PLACES)),
            health_places: Arc::new(Semaphore::new(HEALTH_PLACES)),
            runtime: runtime.clone(),
        }
    }

    /// Answers one request. `lifeline` lives as long as a tunnel that comes of it.
    pub(super) async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
        lifeline: &Lifeline,
    ) -> Response<FrontBody> {
        let (mut class, response) = match self.route(request, &peer, lifeline).await {
            (class, Ok(response)) => (class, response),
            (class, Err(problem)) => (class, problem.into_response()),
        };
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            class = RouteClass::Tunnel;
        }
        self.counters.answered(class, response.status());
        let mut response = response.map(|body| body.counted(&self.counters, class));
        let headers = response.headers_mut();
        let mut add = |name: HeaderName, value: &'static str| {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        };
        add(X_CONTENT_TYPE_OPTIONS, "nosniff");
        // Addresses may carry tokens.
        add(REFERRER_POLICY, "no-referrer");
        response
    }

    async fn route(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: &Peer,
        lifeline: &Lifeline,
    ) -> (RouteClass, Result<Response<FrontBody>, Problem>) {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if head.method == Method::CONNECT || !path.starts_with('/') {
            return (
                RouteClass::Api,
                Err(Problem::bad_request("The address is no path of this server")),
            );
        }
        if is_internal(path) {
            return (
                RouteClass::Api,
                Err(Problem::not_found("There is nothing at this address")),
            );
        }
        if let Some(path) = MediaPath::parse(path) {
            if let Some(media) = &self.media {
                return (RouteClass::Media, Ok(media.answer(path, &head, peer).await));
            }
            let answer = match self.media_places.clone().try_acquire_owned() {
                Ok(place) => self
                    .pass(head, body, peer, lifeline)
                    .await
                    .map(|r| r.map(|body| body.holding(place))),
                Err(_) => Err(Problem::exhausted("All places for playback are taken")),
            };
            return (RouteClass::Media, answer);
        }
        let first = path.split('/').nth(1).unwrap_or_default();
        if matches!(first, "healthz" | "readyz") {
            let answer = match self.health_places.clone().try_acquire_owned() {
                Ok(place) => self
                    .pass(head, body, peer, lifeline)
                    .await
                    .map(|r| r.map(|body| body.holding(place))),
                Err(_) => Err(Problem::exhausted("Too many ask how the server is")),
            };
            return (RouteClass::Health, answer);
        }
        if !APPLICATION.contains(&first) && matches!(head.method, Method::GET | Method::HEAD) {
            let Ok(place) = self.static_places.clone().try_acquire_owned() else {
                return (
                    RouteClass::Static,
                    Err(Problem::exhausted("All places for files are taken")),
                );
            };
            match self.files.answer(&head).await {
                Ok(response) => return (RouteClass::Static, Ok(response.map(|body| body.holding(place)))),
                Err(NotServed::Problem(problem)) => return (RouteClass::Static, Err(problem)),
                Err(NotServed::Absent) => {}
            }
        }
        (RouteClass::Api, self.pass(head, body, peer, lifeline).await)
    }

    async fn pass(
        self: &Arc<Self>,
        head: http::request::Parts,
        body: Incoming,
        peer: &Peer,
        lifeline: &Lifeline,
    ) -> Result<Response<FrontBody>, Problem> {
        match self.proxy.pass(head, body, peer).await? {
            Passed::Answer(answer) => Ok(answer),
            Passed::Tunnel {
                answer,
                client,
                application,
            } => {
                self.runtime
                    .spawn(tunnel(client, application, self.counters.clone(), lifeline.clone()));
                Ok(answer)
            }
        }
    }
}

/// Copies both ways until one side ends or the front stops.
async fn tunnel(client: OnUpgrade, application: OnUpgrade, counters: Arc<Counters>, mut lifeline: Lifeline) {
    let copy = async {
        let (client, application) = tokio::try_join!(client, application)?;
        let (mut client, mut application) = (TokioIo::new(client), TokioIo::new(application));
        let copied =
            tokio::io::copy_bidirectional_with_sizes(&mut client, &mut application, TUNNEL_UP_BYTES, TUNNEL_DOWN_BYTES)
                .await;
        Ok::<_, hyper::Error>(copied)
    };
    tokio::select! {
        copied = copy => match copied {
            Ok(Ok((up, down))) => counters.sent(RouteClass::Tunnel, up + down),
            Ok(Err(error)) => tracing::debug!(%error, "a tunnel broke"),
            Err(error) => tracing::debug!(%error, "a tunnel did not come about"),
        },
        () = lifeline.draining() => {}
    }
}
