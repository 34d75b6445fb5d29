//! Who may use a media route: by the grant in its address, else by what the application says of the session.

use super::body::FrontBody;
use super::expiring::{ExpiringMap, Fingerprint};
use super::grant::{Claims, GrantKey, StartedTokens, Use};
use super::peer::Peer;
use super::problem::{self, Problem};
use super::upstream::{RequestBody, Upstream, UpstreamBody, UpstreamError};
use crate::clock::Clock;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use serde::Deserialize;
use std::sync::Arc;

/// How long an answer of the application counts.
const ANSWER_US: i64 = 30_000_000;
const ANSWERS: usize = 8_192;
const STARTED_TOKENS: usize = 65_536;
const ANSWER_BYTES: usize = 64 << 10;
const ASK_PATH: &str = "/internal/grants";

/// Checks grants, and asks the application for one where a request brings none.
pub(super) struct Authorizer {
    key: GrantKey,
    started: StartedTokens,
    answers: Mutex<ExpiringMap<Arc<Authorized>>>,
    clock: Arc<dyn Clock>,
    upstream: Arc<Upstream>,
}

/// What a request may use.
pub(super) struct Authorized {
    pub(super) token: String,
    pub(super) claims: Claims,
}

/// A refusal: ours, or the application's own words.
pub(super) enum Refusal {
    Problem(Problem),
    Passed(Box<Response<FrontBody>>),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Refusal {
    pub(super) fn into_response(self) -> Response<FrontBody> {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Passed(response) => *response,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    grant: String,
}

impl Authorizer {
    pub(super) fn new(grant_key: &[u8], clock: Arc<dyn Clock>, upstream: Arc<Upstream>) -> Self {
        Self {
            key: GrantKey::new(grant_key),
            started: StartedTokens::new(STARTED_TOKENS),
            answers: Mutex::new(ExpiringMap::new(ANSWERS)),
            clock,
            upstream,
        }
    }

    /// Permits `wanted` by `token` where there is one, else by the session in `headers`.
    pub(super) async fn authorize(
        &self,
        token: Option<&str>,
        headers: &HeaderMap,
        peer: &Peer,
        wanted: &Use<'_>,
    ) -> Result<Arc<Authorized>, Refusal> {
        let authorized = match token {
            Some(token) => {
                let claims = self
                    .key
                    .verify(token)
                    .ok_or_else(|| Problem::unauthorized("The token is not genuine"))?;
                Arc::new(Authorized {
                    token: token.to_owned(),
                    claims,
                })
            }
            None => self.session_grant(headers, peer, wanted).await?,
        };
        authorized.claims.permit(wanted)?;
        self.started
            .start(&authorized.token, &authorized.claims, self.clock.utc_us())?;
        Ok(authorized)
    }

    /// A token for `[start_us, end_us)` of `stream` alone that carries no more than `authorized` does.
    pub(super) fn narrow(
        &self,
        authorized: &Authorized,
        stream: &str,
        start_us: i64,
        end_us: i64,
    ) -> Result<String, Problem> {
        let claims = authorized.claims.narrowed(stream, start_us, end_us);
        let token = self.key.sign(&claims);
        self.started.start(&token, &claims, self.clock.utc_us())?;
        Ok(token)
    }

    async fn session_grant(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
        wanted: &Use<'_>,
    ) -> Result<Arc<Authorized>, Refusal> {
        let authorization = headers.get(AUTHORIZATION);
        let cookie = headers.get(COOKIE);
        if authorization.is_none() && cookie.is_none() {
            return Err(Problem::unauthorized("A token or a session is needed").into());
        }
        let bytes_of = |value: Option<&HeaderValue>| value.map_or(Vec::new(), |value| value.as_bytes().to_vec());
        let fingerprint = Fingerprint::of(&[
            &bytes_of(authorization),
            &bytes_of(cookie),
            wanted.camera_id.as_bytes(),
            wanted.action.as_bytes(),
        ]);
        let now_us = self.clock.utc_us();
        if let Some(known) = self.answers.lock().get(&fingerprint, now_us) {
            return Ok(known.clone());
        }
        let token = self.ask(headers, peer, wanted).await?;
        let claims = self.key.verify(&token).ok_or_else(|| {
            tracing::error!("the application gave a grant that is signed with another key");
            Problem::internal()
        })?;
        let until_us = (now_us + ANSWER_US).min(claims.starts_before.min(claims.expires_at).saturating_mul(1_000_000));
        let authorized = Arc::new(Authorized { token, claims });
        self.answers
            .lock()
            .insert(fingerprint, authorized.clone(), until_us, now_us);
        Ok(authorized)
    }

    async fn ask(&self, headers: &HeaderMap, peer: &Peer, wanted: &Use<'_>) -> Result<String, Refusal> {
        let question = serde_json::json!({"camera_id": wanted.camera_id, "action": wanted.action}).to_string();
        let mut request = Request::new(RequestBody::whole(Bytes::from(question)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(ASK_PATH);
        let asked = request.headers_mut();
        for name in [AUTHORIZATION, COOKIE, HOST] {
            if let Some(value) = headers.get(&name) {
                asked.insert(name, value.clone());
            }
        }
        asked.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
        asked.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        peer.forwarded(asked);
        let answer = self.upstream.send(request).await.map_err(|error| problem_of(&error))?;
        let (head, body) = read(answer).await?;
        if head.status.is_success() {
            let answer: Answer = serde_json::from_slice(&body).map_err(|error| {
                tracing::error!(%error, "the application's answer about a grant cannot be read");
                Problem::bad_gateway()
            })?;
            return Ok(answer.grant);
        }
        let mut response = Response::new(FrontBody::whole(body));
        *response.status_mut() = if head.status.is_client_error() || head.status.is_server_error() {
            head.status
        } else {
            StatusCode::BAD_GATEWAY
        };
        for name in [CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE] {
            if let Some(value) = head.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
            .headers_mut()
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(problem::MEDIA_TYPE));
        Err(Refusal::Passed(Box::new(response)))
    }
}

async fn read(answer: Response<UpstreamBody>) -> Result<(http::response::Parts, Bytes), Problem> {
    let (head, body) = answer.into_parts();
    match Limited::new(body, ANSWER_BYTES).collect().await {
        Ok(body) => Ok((head, body.to_bytes())),
        Err(error) => {
            tracing::warn!(%error, "the application's answer about a grant broke off");
            Err(Problem::bad_gateway())
        }
    }
}

/// What the client is told when the application gives no answer.
pub(super) fn problem_of(error: &UpstreamError) -> Problem {
    match error {
        UpstreamError::Down(error) => {
            tracing::debug!(%error, "the application does not answer");
            Problem::unavailable("The application does not answer; it may be starting")
        }
        UpstreamError::Timeout => Problem::timeout(),
        UpstreamError::Broken(error) => {
            tracing::warn!(%error, "the application broke off");
            Problem::bad_gateway()
        }
    }
}
