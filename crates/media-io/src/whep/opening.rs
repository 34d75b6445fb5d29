//! How a session begins: what is agreed on with a viewer, and the random numbers that its streams begin with.

use super::adaptation::{Rung, suits};
use super::handshake::Handshake;
use super::instants::Instants;
use super::ladder::Ladder;
use super::outgoing::Outgoing;
use super::reception::{Command, OpenSession};
use super::session::Session;
use super::viewer::Streams;
use super::{SessionId, Whep, addresses, candidates, ice_ufrags, transcoding};
use crate::hub::Hub;
use media_core::{Error, ErrorKind, Result, TrackParameters};
use std::sync::Arc;
use std::time::Instant;

impl Whep {
    pub(super) fn agree(
        &self,
        hub: Arc<Hub>,
        sub: Option<(Arc<Hub>, Option<u32>)>,
        offer_sdp: &str,
    ) -> Result<(SessionId, String)> {
        let hubs = std::iter::once(&hub).chain(sub.as_ref().map(|(sub, _)| sub));
        let mut shown: Vec<_> = hubs.filter_map(|hub| Some((hub, hub.parameters(0)?))).collect();
        // Streams of different codecs do not change over: the viewer gets the one that suits its tile now.
        if let ([(_, main), (_, small)], Some((_, tile_height_px))) = (&shown[..], &sub)
            && main.codec != small.codec
            && suits(*tile_height_px, small.height) == Rung::Sub
        {
            shown.reverse();
        }
        if shown.is_empty() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("{} has shown nothing yet", hub.name()),
            ));
        }
        let sound = shown.iter().find_map(|(hub, _)| hub.parameters(1));
        let audio = sound.as_ref().map(|sent| self.transcoders.heard_as(sent));
        let (id, origins) = random_start()?;
        let instants = self.reserve(&id, offer_sdp)?;
        let now = Instant::now();
        let candidates = addresses::reachable(&self.bound);
        let more = candidates::lines(&self.public, &self.bound, &self.bound_tcp);
        let agree = |(shown, video): &(&Arc<Hub>, Arc<TrackParameters>)| {
            let name = shown.name();
            self.identity.agree(
                name,
                offer_sdp,
                video,
                audio.as_deref(),
                &candidates,
                sub.is_some(),
                now,
            )
        };
        let agreed = match (agree(&shown[0]), shown.get(1)) {
            (Err(error), Some(other)) if error.kind() == ErrorKind::Unsupported => agree(other).map_err(|_| error),
            (agreed, _) => agreed,
        };
        let sent = agreed.and_then(|mut agreed| {
            if let Some(sound) = sound.filter(|_| agreed.audio.is_some()) {
                agreed.video.shown_after_ms = transcoding::shown_after_ms(&sound);
            }
            let answer = candidates::insert(&agreed.answer, &more);
            let handshake = Handshake::new(agreed.rtc, agreed.dtls, now);
            let stream = |agreed, at: usize| {
                Outgoing::new(
                    agreed,
                    origins.timestamps[at],
                    origins.sequences[at],
                    origins.sequences[at + 2],
                )
            };
            let codec = agreed.video.codec;
            let ladder = sub
                .as_ref()
                .map(|(sub, tile_height_px)| Ladder::new(hub.clone(), sub.clone(), codec, *tile_height_px));
            let streams = Streams {
                video: stream(agreed.video, 0),
                audio: agreed.audio.map(|audio| stream(audio, 1)),
                cname: agreed.cname,
                ladder,
                instants,
            };
            let sub = sub.as_ref().map(|(sub, _)| sub.clone());
            let session = Session::new(id.clone(), hub.clone(), sub, handshake, streams, now);
            let gone = |_| Error::new(ErrorKind::Unavailable, "the WebRTC output is shut down");
            self.commands.send(Command::Open(Box::new(session))).map_err(gone)?;
            Ok(answer)
        });
        match sent {
            Ok(answer) => Ok((id, answer)),
            Err(error) => {
                self.open.lock().remove(&id);
                Err(error)
            }
        }
    }

    fn reserve(&self, id: &SessionId, offer_sdp: &str) -> Result<Arc<Instants>> {
        let mut open = self.open.lock();
        if open.len() >= self.limits.max_viewers {
            let message = format!("{} viewers are connected, the limit", open.len());
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        let session = OpenSession {
            ufrags: ice_ufrags(offer_sdp).map(str::to_owned).collect(),
            instants: Arc::default(),
        };
        let instants = session.instants.clone();
        open.insert(id.clone(), session);
        Ok(instants)
    }
}

/// Random numbers that a session starts with (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy)]
struct Origins {
    /// First timestamps of video and audio.
    timestamps: [u32; 2],
    /// First sequence numbers of video, audio, and the repeats of either.
    sequences: [u16; 4],
}

/// A new session's name and where its streams begin.
fn random_start() -> Result<(SessionId, Origins)> {
    let mut random = [0u8; 32];
    let failed = |_| Error::new(ErrorKind::Internal, "no random numbers from the system");
    aws_lc_rs::rand::fill(&mut random).map_err(failed)?;
    let (name, rest) = random.split_at(16);
    let id = name.iter().map(|byte| format!("{byte:02x}")).collect();
    let word = |at: usize| u32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
    let half = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    Ok((
        id,
        Origins {
            timestamps: [word(0), word(4)],
            sequences: [half(8), half(10), half(12), half(14)],
        },
    ))
}
