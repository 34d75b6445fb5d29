//! The body of every answer, whatever its origin.

use super::counters::{Counters, RouteClass};
use super::flow::FlowReader;
use super::upstream::UpstreamBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::OwnedSemaphorePermit;

/// Body of an answer; counts what passes and holds the place it was given until it is dropped.
pub struct FrontBody {
    payload: Payload,
    counted: Option<(Arc<Counters>, RouteClass)>,
    /// Given back when the body is dropped.
    _place: Option<OwnedSemaphorePermit>,
}

enum Payload {
    Empty,
    Whole(Bytes),
    Source(FlowReader),
    Upstream(Box<UpstreamBody>),
}

impl FrontBody {
    fn new(payload: Payload) -> Self {
        Self {
            payload,
            counted: None,
            _place: None,
        }
    }

    pub(super) fn empty() -> Self {
        Self::new(Payload::Empty)
    }

    pub(super) fn whole(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::empty()
        } else {
            Self::new(Payload::Whole(bytes))
        }
    }

    pub(super) fn source(reader: FlowReader) -> Self {
        Self::new(Payload::Source(reader))
    }

    pub(super) fn upstream(body: UpstreamBody) -> Self {
        Self::new(Payload::Upstream(Box::new(body)))
    }

    /// Counts the bytes under `class`.
    pub(super) fn counted(self, counters: &Arc<Counters>, class: RouteClass) -> Self {
        Self {
            counted: Some((counters.clone(), class)),
            ..self
        }
    }

    /// Keeps `place` taken while the body lives.
    pub(super) fn holding(self, place: OwnedSemaphorePermit) -> Self {
        Self {
            _place: Some(place),
            ..self
        }
    }
}

impl Body for FrontBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let frame = match &mut this.payload {
            Payload::Empty => None,
            Payload::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.payload = Payload::Empty;
                Some(Ok(Frame::data(bytes)))
            }
            Payload::Source(reader) => match ready!(reader.poll_chunk(cx)) {
                None => None,
                Some(Ok(chunk)) => Some(Ok(Frame::data(chunk))),
                Some(Err(error)) => {
                    tracing::error!(%error, "an answer broke off");
                    Some(Err(io::Error::other(error)))
                }
            },
            Payload::Upstream(body) => ready!(Pin::new(&mut **body).poll_frame(cx)),
        };
        if let (Some(Ok(frame)), Some((counters, class))) = (&frame, &this.counted)
            && let Some(data) = frame.data_ref()
        {
            counters.sent(*class, data.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.payload {
            Payload::Empty => true,
            Payload::Whole(_) => false,
            Payload::Source(reader) => reader.left_bytes() == 0,
            Payload::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.payload {
            Payload::Empty => SizeHint::with_exact(0),
            Payload::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Payload::Source(reader) => SizeHint::with_exact(reader.left_bytes()),
            Payload::Upstream(body) => body.size_hint(),
        }
    }
}
