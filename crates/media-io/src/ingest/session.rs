//! One connection to a camera, from connecting to its end.

mod housekeeping;

use super::connection::Connection;
use super::datagrams::Datagrams;
use super::status::SharedStatus;
use super::{StreamConfig, TransportKind, random_u64, unavailable};
use crate::clock::Clock;
use crate::hub::Hub;
use media_core::index::GapCause;
use media_core::rtp::clock::Arrival;
use media_core::rtp::track_receiver::{TrackFigures, TrackReceiver};
use media_core::rtsp::client::{Client, MAX_REDIRECTS, Progress};
use media_core::rtsp::message::{Item, Limits, Parsed, parse, resynchronize};
use media_core::rtsp::transport::Delivery;
use media_core::rtsp::url::RtspUrl;
use media_core::{AccessUnit, Error, ErrorKind, Result, TrackParameters};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

/// How long our own TEARDOWN waits for its answer.
const TEARDOWN_TIMEOUT: Duration = Duration::from_millis(700);
/// Sound further than this from its picture is moved to it.
const ALIGN_TOLERANCE_US: i64 = 40_000;
/// Bytes of noise in a row after which a connection is given up.
const MAX_NOISE_BYTES: usize = 1 << 20;

const USER_AGENT: &str = concat!("vms/", env!("CARGO_PKG_VERSION"));

/// How a session ended.
pub(super) enum End {
    /// By us.
    Stopped,
    /// By the camera, the network or bad data; and which of them a gap in the recording is put down to.
    Lost(Error, GapCause),
}

/// One track that is being received.
struct Track {
    receiver: TrackReceiver,
    delivery: Option<Delivery>,
    datagrams: Option<Datagrams>,
    counted: TrackFigures,
}

/// Everything of a session but its sockets.
struct Session<'a> {
    name: &'a str,
    hub: &'a Hub,
    clock: &'a dyn Clock,
    status: &'a SharedStatus,
    client: Client,
    tracks: Vec<Track>,
    /// Addresses of this end and of the camera.
    local: IpAddr,
    camera: IpAddr,
    ssrc: u32,
    limits: Limits,
    units: Vec<AccessUnit>,
    /// Parameters of the video published last.
    parameters: Option<Arc<TrackParameters>>,
    redirect: Option<RtspUrl>,
    playing_since_us: Option<u64>,
    first_frame_us: Option<u64>,
    last_frame_us: u64,
    last_request_us: u64,
    last_report_us: u64,
    keep_alive_us: u64,
    /// The connection holds, and the camera does not use it.
    silent: bool,
    /// Something came.
    heard: bool,
    /// A well-formed message came: from now on noise is stepped over.
    speaks_rtsp: bool,
    noise_bytes: usize,
}

/// Receives from `url` until the end, and tells for how long frames came, in µs (None: not one).
pub(super) async fn run(
    config: &StreamConfig,
    mut url: RtspUrl,
    hub: &Hub,
    clock: &Arc<dyn Clock>,
    status: &SharedStatus,
    stop: &Notify,
) -> (End, Option<u64>) {
    // Credentials of the configured URL hold for what it redirects to.
    let credentials = config.credentials.clone().or_else(|| url.credentials.clone());
    let mut stopped = pin!(stop.notified());
    for _ in 0..=MAX_REDIRECTS {
        let connected = tokio::select! {
            connected = Connection::open(&url, config.allow_local, status) => connected,
            () = &mut stopped => return (End::Stopped, None),
        };
        let (mut connection, local, camera) = match connected {
            Ok(connected) => connected,
            Err(error) => return (End::Lost(error, GapCause::Network), None),
        };
        let client = Client::new(&url, config.transport, credentials.clone(), USER_AGENT);
        let mut session = Session::new(config, hub, clock.as_ref(), status, client, local, camera);
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        session.client.start(&cnonce(), &mut connection.out);
        session.last_request_us = clock.monotonic_us();
        let ended = poll_fn(|cx| {
            if stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            session.poll(cx, &mut connection, &mut tick).map(Err)
        });
        let ended: std::result::Result<(), Error> = ended.await;
        session.count();
        let frames_us = session
            .first_frame_us
            .map(|first| session.last_frame_us.saturating_sub(first));
        match ended {
            Ok(()) => {
                session.tear_down(&mut connection).await;
                return (End::Stopped, frames_us);
            }
            Err(error) => match session.redirect.take() {
                Some(to) => url = to,
                None => {
                    let cause = session.cause_of(&error);
                    return (End::Lost(error, cause), frames_us);
                }
            },
        }
    }
    let error = Error::malformed("the camera redirects without end");
    (End::Lost(error, GapCause::Camera), None)
}

fn cnonce() -> String {
    format!("{:016x}", random_u64())
}

impl<'a> Session<'a> {
    fn new(
        config: &'a StreamConfig,
        hub: &'a Hub,
        clock: &'a dyn Clock,
        status: &'a SharedStatus,
        client: Client,
        local: IpAddr,
        camera: IpAddr,
    ) -> Self {
        Self {
            name: &config.name,
            hub,
            clock,
            status,
            client,
            tracks: Vec::new(),
            local,
            camera,
            ssrc: random_u64() as u32,
            limits: Limits::default(),
            units: Vec::new(),
            parameters: None,
            redirect: None,
            playing_since_us: None,
            first_frame_us: None,
            last_frame_us: 0,
            last_request_us: 0,
            last_report_us: 0,
            keep_alive_us: 0,
            silent: false,
            heard: false,
            speaks_rtsp: false,
            noise_bytes: 0,
        }
    }

    /// What a gap is put down to when the session ends with `error`: a camera that says nothing or nothing usable, or
    /// the network, which lost the connection.
    fn cause_of(&self, error: &Error) -> GapCause {
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Internal if !self.silent => GapCause::Network,
            _ => GapCause::Camera,
        }
    }

    /// Ready with the error that ends the session.
    fn poll(&mut self, cx: &mut Context<'_>, connection: &mut Connection, tick: &mut Interval) -> Poll<Error> {
        while tick.poll_tick(cx).is_ready() {
            if let Err(error) = self.second(&mut connection.out) {
                return Poll::Ready(error);
            }
        }
        if let Poll::Ready(Err(error)) = connection.poll_read(cx, |bytes, out| self.take(bytes, out)) {
            return Poll::Ready(if self.heard && !self.speaks_rtsp {
                not_rtsp(error.message())
            } else {
                error
            });
        }
        for at in 0..self.tracks.len() {
            self.poll_datagrams(cx, at);
        }
        match connection.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(error),
            _ => Poll::Pending,
        }
    }

    fn now(&self) -> Arrival {
        Arrival {
            utc_us: self.clock.utc_us(),
            monotonic_us: self.clock.monotonic_us(),
        }
    }

    fn poll_datagrams(&mut self, cx: &mut Context<'_>, at: usize) {
        let Some(datagrams) = self.tracks[at].datagrams.take() else {
            return;
        };
        let arrival = self.now();
        let _ = datagrams.poll_receive(cx, |rtcp, bytes| self.packet(at, rtcp, bytes, arrival));
        self.publish(arrival);
        self.tracks[at].datagrams = Some(datagrams);
    }

    /// Takes what was read from the connection; tells how many bytes were used up.
    fn take(&mut self, buffer: &[u8], out: &mut Vec<u8>) -> Result<usize> {
        let arrival = self.now();
        self.heard = true;
        let mut used = 0;
        while used < buffer.len() {
            match parse(&buffer[used..], &self.limits) {
                Ok(Parsed::Incomplete { blank_bytes, .. }) => {
                    used += blank_bytes;
                    break;
                }
                Ok(Parsed::Complete { item, consumed_bytes }) => {
                    used += consumed_bytes;
                    self.noise_bytes = 0;
                    match item {
                        Item::Interleaved { channel, payload } => self.interleaved(channel, payload, arrival),
                        Item::Response(response) => {
                            self.speaks_rtsp |= response.is_rtsp();
                            let progress = self.client.on_response(&response, &cnonce(), out)?;
                            self.last_request_us = arrival.monotonic_us;
                            self.act(progress, arrival, out)?;
                        }
                        Item::Request(request) => {
                            let progress = self.client.on_request(&request, out);
                            self.act(progress, arrival, out)?;
                        }
                    }
                }
                Err(error) if !self.speaks_rtsp => return Err(not_rtsp(error.message())),
                Err(_) => {
                    let tracks = &self.tracks;
                    let skipped = resynchronize(&buffer[used..], |channel| track_of_channel(tracks, channel).is_some());
                    used += skipped;
                    self.noise_bytes += skipped;
                    if self.noise_bytes > MAX_NOISE_BYTES {
                        return Err(Error::malformed("the camera sends noise instead of RTSP"));
                    }
                }
            }
        }
        self.publish(arrival);
        Ok(used)
    }

    fn interleaved(&mut self, channel: u8, payload: &[u8], arrival: Arrival) {
        if let Some((at, rtcp)) = track_of_channel(&self.tracks, channel) {
            self.packet(at, rtcp, payload, arrival);
        }
    }

    fn packet(&mut self, at: usize, rtcp: bool, bytes: &[u8], arrival: Arrival) {
        let Some(track) = self.tracks.get_mut(at) else { return };
        if !rtcp {
            track.receiver.push(bytes, arrival, &mut self.units);
            // A track begins, or its clock does anew: reports that came before tell its place beside the others.
            if self.units.iter().any(|unit| unit.discontinuity) {
                self.align();
            }
            return;
        }
        match track.receiver.rtcp(bytes, arrival) {
            // After a good-bye frames stop or the connection ends; both are noticed.
            Ok(_) => self.align(),
            Err(error) => tracing::debug!(stream = self.name, track = at, %error, "RTCP left out"),
        }
    }

    /// Brings sound in step with the picture when their sender reports say that it is not.
    fn align(&mut self) {
        let Some((video, others)) = self.tracks.split_first_mut() else {
            return;
        };
        for track in others {
            if track.receiver.align(video.receiver.clock(), ALIGN_TOLERANCE_US) {
                tracing::info!(
                    stream = self.name,
                    track = track.receiver.track(),
                    "moved in step with the video"
                );
            }
        }
    }

    fn publish(&mut self, arrival: Arrival) {
        let mut units = std::mem::take(&mut self.units);
        for unit in units.drain(..) {
            if unit.track == 0 {
                self.first_frame_us.get_or_insert(arrival.monotonic_us);
                self.last_frame_us = arrival.monotonic_us;
                if self
                    .parameters
                    .as_ref()
                    .is_none_or(|known| !Arc::ptr_eq(known, &unit.parameters))
                {
                    self.parameters = Some(unit.parameters.clone());
                    self.status.online(&unit.parameters);
                }
            }
            self.status.note_unit(&unit, arrival.utc_us);
            self.hub.publish(&Arc::new(unit));
        }
        self.units = units;
    }

    fn act(&mut self, progress: Progress, arrival: Arrival, out: &mut Vec<u8>) -> Result<()> {
        match progress {
            Progress::Waiting => {}
            Progress::Described => self.prepare_tracks(out)?,
            Progress::InterleavedInstead => {
                tracing::info!(stream = self.name, "the camera does not send over UDP; TCP is used");
                for (track, described) in self.tracks.iter_mut().zip(self.client.tracks()) {
                    track.receiver = TrackReceiver::new(&described.media, false)?;
                    track.datagrams = None;
                }
            }
            Progress::Playing => {
                self.playing_since_us = Some(arrival.monotonic_us);
                self.last_frame_us = arrival.monotonic_us;
                self.last_report_us = arrival.monotonic_us;
                self.keep_alive_us = arrival.monotonic_us;
                for track in &self.tracks {
                    if let (Some(datagrams), Some(Delivery::Udp { server_ports, .. })) =
                        (&track.datagrams, track.delivery)
                    {
                        datagrams.punch(server_ports, &[0x80, 201, 0, 1, 0, 0, 0, 0]);
                    }
                }
            }
            Progress::Redirected(url) => {
                self.redirect = Some(url);
                return Err(unavailable("redirected"));
            }
            Progress::Closed => return Err(unavailable("the camera ended the session")),
        }
        // Packets may come before the answer to PLAY.
        for (track, described) in self.tracks.iter_mut().zip(self.client.tracks()) {
            track.delivery = described.delivery;
        }
        Ok(())
    }

    /// Receivers for the described tracks, and ports when they come as datagrams.
    fn prepare_tracks(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let udp = self.client.transport() == TransportKind::Udp;
        self.tracks.clear();
        while let Some(described) = self.client.tracks().get(self.tracks.len()) {
            match TrackReceiver::new(&described.media, udp) {
                Ok(receiver) => {
                    let datagrams = if udp {
                        Some(Datagrams::bind(self.local, self.camera)?)
                    } else {
                        None
                    };
                    self.tracks.push(Track {
                        receiver,
                        delivery: None,
                        datagrams,
                        counted: TrackFigures::default(),
                    });
                }
                Err(error) if self.tracks.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(stream = self.name, %error, "track left out");
                    self.client.leave_out(self.tracks.len());
                }
            }
        }
        let ports = self
            .tracks
            .iter()
            .filter_map(|track| track.datagrams.as_ref().map(Datagrams::port))
            .collect();
        self.client.set_up(ports, &cnonce(), out);
        Ok(())
    }

    /// Says good-bye and waits a moment for the answer, so that the camera frees the session.
    async fn tear_down(&mut self, connection: &mut Connection) {
        if !self.client.tear_down(&cnonce(), &mut connection.out) {
            return;
        }
        let client = &mut self.client;
        let answered = poll_fn(|cx| {
            let mut closed = false;
            let read = connection.poll_read(cx, |bytes, _| {
                let mut used = 0;
                while let Ok(Parsed::Complete { item, consumed_bytes }) = parse(&bytes[used..], &Limits::default()) {
                    used += consumed_bytes;
                    if let Item::Response(response) = item {
                        let progress = client.on_response(&response, "", &mut Vec::new());
                        closed |= !matches!(progress, Ok(Progress::Waiting));
                    }
                }
                Ok(used)
            });
            let sent = connection.poll_send(cx);
            if closed || matches!(read, Poll::Ready(Err(_))) || matches!(sent, Poll::Ready(Err(_))) {
                return Poll::Ready(());
            }
            if read.is_ready() {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        });
        let _ = timeout(TEARDOWN_TIMEOUT, answered).await;
    }
}

/// The track and whether it is RTCP that comes on `channel`.
fn track_of_channel(tracks: &[Track], channel: u8) -> Option<(usize, bool)> {
    tracks.iter().enumerate().find_map(|(at, track)| match track.delivery {
        Some(Delivery::Interleaved { rtp_channel, .. }) if rtp_channel == channel => Some((at, false)),
        Some(Delivery::Interleaved { rtcp_channel, .. }) if rtcp_channel == channel => Some((at, true)),
        _ => None,
    })
}

fn not_rtsp(said: &str) -> Error {
    Error::malformed(format!("the address answers, but not with RTSP ({said})"))
}
