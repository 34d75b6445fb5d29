//! A viewer made of str0m and a socket on loopback, and a camera made of ffmpeg and a hub.

use crate::clock::{Clock, SystemClock};
use crate::hub::{GOP_CACHE_BYTES, Hub};
use crate::whep::keys::watched;
use crate::whep::negotiation::Identity;
use crate::whep::{Limits, Listen, SendPath, Whep};
use bytes::Bytes;
use media_core::codec::{h264, nal};
use media_core::{AccessUnit, Codec, TrackParameters};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use str0m::bwe::Bitrate;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::config::CryptoProvider;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Pictures in decoding order, and whether each is a key frame.
pub(super) type Clip = [(Bytes, bool)];

/// Two seconds of 30 pictures each, one key frame at the start, Annex B with delimiters.
pub(super) fn clip() -> &'static Clip {
    static CLIP: OnceLock<Vec<(Bytes, bool)>> = OnceLock::new();
    CLIP.get_or_init(|| encode("640x360", "2M", 2))
}

/// The same of a quarter of the size, one second long.
pub(super) fn small_clip() -> &'static Clip {
    static CLIP: OnceLock<Vec<(Bytes, bool)>> = OnceLock::new();
    CLIP.get_or_init(|| encode("320x180", "300k", 1))
}

fn encode(size: &str, bit_rate: &str, seconds: u32) -> Vec<(Bytes, bool)> {
    let arguments = format!(
        "-v error -f lavfi -i testsrc2=size={size}:rate=30 -t {seconds} -c:v libx264 -preset ultrafast \
        -profile:v baseline -bf 0 -g 60 -b:v {bit_rate} -bsf:v h264_metadata=aud=insert -f h264 -"
    );
    let output = Command::new("ffmpeg")
        .args(arguments.split_ascii_whitespace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut units: Vec<Vec<u8>> = Vec::new();
    for nal in nal::annex_b(&output.stdout) {
        if h264::nal_type(nal) == 9 {
            units.push(Vec::new());
        }
        nal::push_length_prefixed(units.last_mut().unwrap(), nal);
    }
    let units: Vec<_> = units
        .into_iter()
        .map(|unit| (h264::is_random_access(&unit), Bytes::from(unit)))
        .collect();
    assert_eq!(units.iter().filter(|(key, _)| *key).count(), 1);
    units.into_iter().map(|(key, unit)| (unit, key)).collect()
}

/// The parameter set of a clip.
pub(super) fn sequence_parameters(clip: &'static Clip) -> &'static [u8] {
    nal::length_prefixed(&clip[0].0)
        .find(|nal| h264::nal_type(nal) == 7)
        .unwrap()
}

/// A camera that shows the clip over and over.
pub(super) struct Camera {
    pub(super) hub: Arc<Hub>,
    clip: &'static Clip,
    clock: Arc<SystemClock>,
    video: Arc<TrackParameters>,
    audio: Option<Arc<TrackParameters>>,
    shown: usize,
}

impl Camera {
    pub(super) fn new(clock: &Arc<SystemClock>, with_audio: bool) -> Self {
        Self::showing("door/main", clip(), clock, with_audio)
    }

    /// The sub stream of the same camera.
    pub(super) fn small(clock: &Arc<SystemClock>) -> Self {
        Self::showing("door/sub", small_clip(), clock, false)
    }

    fn showing(name: &str, clip: &'static Clip, clock: &Arc<SystemClock>, with_audio: bool) -> Self {
        let key = &clip[0].0;
        let set = |kind| {
            nal::length_prefixed(key)
                .find(|nal| h264::nal_type(nal) == kind)
                .unwrap()
        };
        let video = h264::parameters(set(7), set(8)).unwrap();
        let audio = TrackParameters {
            codec: Codec::PcmA,
            clock_rate: 8000,
            channels: 1,
            ..video.clone()
        };
        Self {
            hub: Hub::new(name, GOP_CACHE_BYTES),
            clip,
            clock: clock.clone(),
            video: Arc::new(video),
            audio: with_audio.then(|| Arc::new(audio)),
            shown: 0,
        }
    }

    /// A camera whose sound is AAC: `beep` with key frames, `hush` with other pictures.
    pub(super) fn with_aac(clock: &Arc<SystemClock>) -> Self {
        let mut camera = Self::new(clock, true);
        camera.audio = camera.audio.map(|audio| {
            Arc::new(TrackParameters {
                codec: Codec::Aac,
                clock_rate: 16_000,
                configuration: Bytes::from_static(&[0x14, 0x08]),
                ..(*audio).clone()
            })
        });
        camera
    }

    /// Publishes the next picture (and its share of sound).
    pub(super) fn show(&mut self) {
        let (data, key) = self.clip[self.shown % self.clip.len()].clone();
        self.publish(0, self.shown as i64 * 3000, key, data, self.video.clone());
        if let Some(audio) = self.audio.clone() {
            let (sound, ticks) = match (audio.codec, key) {
                (Codec::Aac, true) => (&b"beep"[..], self.shown as i64 * 1600 / 3),
                (Codec::Aac, false) => (&b"hush"[..], self.shown as i64 * 1600 / 3),
                // 264 samples of 1/8000 s are 33 ms.
                _ => (&[0xd5; 264][..], self.shown as i64 * 264),
            };
            self.publish(1, ticks, true, Bytes::from_static(sound), audio);
        }
        self.shown += 1;
    }

    /// Publishes a picture of another codec.
    pub(super) fn change_codec(&mut self) {
        let h265 = TrackParameters {
            codec: Codec::H265,
            ..(*self.video).clone()
        };
        let unit = Bytes::from_static(&[0, 0, 0, 3, 0x26, 1, 7]);
        self.publish(0, self.shown as i64 * 3000, true, unit, Arc::new(h265));
    }

    fn publish(&self, track: u8, ticks: i64, key: bool, data: Bytes, parameters: Arc<TrackParameters>) {
        // Ticks since the epoch, as everywhere: more than 32 bits hold.
        let pts = i64::from(parameters.clock_rate) * 1_700_000_000 + ticks;
        self.hub.publish(&Arc::new(AccessUnit {
            track,
            pts,
            dts: pts,
            utc_us: self.clock.utc_us(),
            received_us: self.clock.monotonic_us(),
            key,
            discontinuity: false,
            lost_packets: 0,
            data,
            parameters,
        }));
    }

    /// Shows 30 pictures per second for as long as the task lives.
    pub(super) async fn run(mut self) {
        let start = Instant::now();
        for picture in 0u64.. {
            tokio::time::sleep_until((start + Duration::from_micros(picture * 33_333)).into()).await;
            self.show();
        }
    }
}

/// A WebRTC output on a free port of 127.0.0.1.
pub(super) fn output(clock: &Arc<SystemClock>, max_viewers: usize) -> Arc<Whep> {
    let bind = ["127.0.0.1:0".parse().unwrap()];
    Whep::start(
        &tokio::runtime::Handle::current(),
        &bind,
        Limits { max_viewers },
        clock.clone(),
    )
    .unwrap()
}

/// The same with keys and a send path of a test.
pub(super) fn output_with(clock: &Arc<SystemClock>, provider: CryptoProvider, send_path: SendPath) -> Arc<Whep> {
    let identity = Identity::with(watched(provider)).unwrap();
    let runtime = tokio::runtime::Handle::current();
    let limits = Limits { max_viewers: 1000 };
    let listen = Listen {
        udp: vec!["127.0.0.1:0".parse().unwrap()],
        ..Listen::default()
    };
    Whep::start_as(identity, &runtime, &listen, limits, clock.clone(), send_path).unwrap()
}

/// One RTP packet as the viewer got it.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) at: Instant,
    pub(super) video: bool,
    pub(super) sequence: u64,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) payload: Vec<u8>,
}

/// What a sender report says: an instant, and the RTP timestamp of either stream at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) video: bool,
    pub(super) instant: SystemTime,
    pub(super) timestamp: u32,
}

pub(super) struct Viewer {
    pub(super) got: Vec<Got>,
    pub(super) reports: Vec<Report>,
    pub(super) closed: bool,
    pub(super) session: String,
    pub(super) answer: String,
    /// The output's half of the ICE user name.
    pub(super) ufrag: String,
    pub(super) password: String,
    /// Whether a datagram that arrives is lost, by its number.
    pub(super) loses: fn(u64) -> bool,
    arrived: u64,
    rtc: Rtc,
    pub(super) socket: UdpSocket,
    /// In place of the socket.
    pub(super) connection: Option<Connection>,
    /// The address that str0m believes to have, when it has another.
    pretended: Option<SocketAddr>,
    video: Mid,
}

/// A TCP connection to the output, with RFC 4571 framing.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    received: Vec<u8>,
    /// Whether the output has closed it.
    pub(super) ended: bool,
    /// Bytes read at most per second; None: all.
    pub(super) pace: Option<usize>,
}

impl Connection {
    pub(super) async fn to(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            received: Vec::new(),
            ended: false,
            pace: None,
        }
    }

    pub(super) async fn send(&mut self, datagram: &[u8]) {
        let mut frame = (datagram.len() as u16).to_be_bytes().to_vec();
        frame.extend_from_slice(datagram);
        // An output that is gone shows when reading.
        let _ = self.stream.write_all(&frame).await;
    }

    /// The next datagram; for ever none when the connection has ended.
    async fn receive(&mut self) -> Vec<u8> {
        loop {
            if let Some((head, rest)) = self.received.split_first_chunk::<2>()
                && let length = usize::from(u16::from_be_bytes(*head))
                && rest.len() >= length
            {
                let datagram = rest[..length].to_vec();
                self.received.drain(..2 + length);
                return datagram;
            }
            if self.ended {
                std::future::pending::<()>().await;
            }
            let mut buffer = [0; 4096];
            if let Some(pace) = self.pace {
                tokio::time::sleep(Duration::from_secs_f64(buffer.len() as f64 / pace as f64)).await;
            }
            match self.stream.read(&mut buffer).await {
                Ok(length) if length > 0 => self.received.extend_from_slice(&buffer[..length]),
                _ => self.ended = true,
            }
        }
    }
}

/// An offer to receive video and sound at `address`.
fn offer(rtc: &mut Rtc, address: SocketAddr, protocol: &str) -> (String, SdpPendingOffer, Mid) {
    rtc.add_local_candidate(Candidate::host(address, protocol).unwrap());
    let mut api = rtc.sdp_api();
    api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
    let video = api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    let (offer, pending) = api.apply().unwrap();
    (offer.to_sdp_string(), pending, video)
}

impl Viewer {
    /// Offers to `whep` and takes its answer.
    pub(super) async fn open(whep: &Whep, hub: &Arc<Hub>) -> Self {
        Self::open_with(whep, hub, Arc::new(str0m::crypto::from_feature_flags())).await
    }

    /// `open` with the crypto of a test.
    pub(super) async fn open_with(whep: &Whep, hub: &Arc<Hub>, crypto: Arc<CryptoProvider>) -> Self {
        Self::open_by(crypto, |offer| whep.open(hub.clone(), offer)).await
    }

    /// Offers to watch whichever of two streams suits a tile of this height.
    pub(super) async fn open_adaptive(
        whep: &Whep,
        (main, sub): (&Arc<Hub>, &Arc<Hub>),
        tile_height_px: Option<u32>,
    ) -> Self {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        Self::open_by(crypto, |offer| {
            whep.open_adaptive(main.clone(), sub.clone(), tile_height_px, offer)
        })
        .await
    }

    async fn open_by(
        crypto: Arc<CryptoProvider>,
        open: impl FnOnce(&str) -> media_core::Result<(String, String)>,
    ) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self::open_from(crypto, socket, None, open).await
    }

    /// `open` from an address of its own.
    pub(super) async fn open_at(whep: &Whep, hub: &Arc<Hub>, ip: &str) -> Self {
        let socket = UdpSocket::bind((ip, 0)).await.unwrap();
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        Self::open_from(crypto, socket, None, |offer| whep.open(hub.clone(), offer)).await
    }

    /// `open` by TCP alone.
    pub(super) async fn open_tcp(whep: &Whep, hub: &Arc<Hub>) -> Self {
        let connection = Connection::to(whep.bound_tcp()[0]).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        Self::open_from(crypto, socket, Some(connection), |offer| whep.open(hub.clone(), offer)).await
    }

    async fn open_from(
        crypto: Arc<CryptoProvider>,
        socket: UdpSocket,
        connection: Option<Connection>,
        open: impl FnOnce(&str) -> media_core::Result<(String, String)>,
    ) -> Self {
        // Tests run unoptimized and side by side: losses shall be those that a test asks for.
        socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
        let builder = Rtc::builder()
            .set_crypto_provider(crypto)
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_h264(true)
            .enable_pcma(true, false)
            .enable_opus(true, false);
        let mut rtc = builder.build(Instant::now());
        let (address, protocol) = match &connection {
            Some(connection) => (connection.stream.local_addr().unwrap(), "tcp"),
            None => (socket.local_addr().unwrap(), "udp"),
        };
        let (offer, pending, video) = offer(&mut rtc, address, protocol);
        let (session, answer) = open(&offer).unwrap();
        rtc.sdp_api()
            .accept_answer(pending, SdpAnswer::from_sdp_string(&answer).unwrap())
            .unwrap();
        let of = |name| answer.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let (ufrag, password) = (of("a=ice-ufrag:").to_owned(), of("a=ice-pwd:").to_owned());
        let loses = |_| false;
        Self {
            ufrag,
            answer,
            password,
            got: Vec::new(),
            reports: Vec::new(),
            closed: false,
            session,
            loses,
            arrived: 0,
            rtc,
            socket,
            connection,
            pretended: None,
            video,
        }
    }

    /// Plays until `enough` or for `limit`, whichever is first; true when enough.
    pub(super) async fn watch(&mut self, limit: Duration, enough: impl Fn(&Self) -> bool) -> bool {
        let until = Instant::now() + limit;
        let mut buffer = [0; 2048];
        loop {
            let timeout = self.drain().await;
            if enough(self) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            let by_tcp = async {
                match &mut self.connection {
                    Some(connection) => connection.receive().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                datagram = by_tcp => {
                    let stream = &self.connection.as_ref().unwrap().stream;
                    let (source, destination) = (stream.peer_addr().unwrap(), stream.local_addr().unwrap());
                    let receive = Receive::new(Protocol::Tcp, source, destination, &datagram).unwrap();
                    self.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
                }
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, source) = received.unwrap();
                    self.arrived += 1;
                    if !(self.loses)(self.arrived) {
                        let destination = self.pretended.unwrap_or(self.socket.local_addr().unwrap());
                        let receive = Receive::new(Protocol::Udp, source, destination, &buffer[..length]).unwrap();
                        self.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
                    }
                }
                () = tokio::time::sleep_until(timeout.min(until).into()) => {
                    self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
                }
            }
        }
    }

    async fn drain(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => return at,
                Output::Transmit(transmit) if transmit.proto == Protocol::Tcp => {
                    self.connection.as_mut().unwrap().send(&transmit.contents).await;
                }
                Output::Transmit(transmit) => {
                    self.socket
                        .send_to(&transmit.contents, transmit.destination)
                        .await
                        .unwrap();
                }
                Output::Event(Event::RtpPacket(packet)) => self.got.push(Got {
                    at: Instant::now(),
                    // G.711 and Opus, as str0m numbers them.
                    video: ![8, 111].contains(&*packet.header.payload_type),
                    sequence: *packet.seq_no,
                    timestamp: packet.header.timestamp,
                    marker: packet.header.marker,
                    payload: packet.payload.to_vec(),
                }),
                Output::Event(Event::SenderFeedback(feedback)) => self.reports.push(Report {
                    video: feedback.mid == self.video,
                    instant: feedback.sender_info.ntp_time,
                    timestamp: feedback.sender_info.rtp_time.numer() as u32,
                }),
                Output::Event(Event::Closed) => self.closed = true,
                Output::Event(_) => {}
            }
        }
    }

    /// Sends from another port from now on, as behind a router that has forgotten the first.
    pub(super) async fn change_address(&mut self) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
        self.pretended = Some(self.pretended.unwrap_or(self.socket.local_addr().unwrap()));
        self.socket = socket;
    }

    /// Asks for a key frame.
    pub(super) fn ask_for_key(&mut self) {
        let mut api = self.rtc.direct_api();
        api.stream_rx_by_mid(self.video, None)
            .unwrap()
            .request_keyframe(KeyframeRequestKind::Pli);
    }

    /// Says what the path carries.
    pub(super) fn estimate(&mut self, bps: u64) {
        let mut api = self.rtc.direct_api();
        let stream = api.stream_rx_by_mid(self.video, None).unwrap();
        stream.request_remb(Bitrate::bps(bps));
    }

    /// Where in the video packets the camera's streams change, and whether it is the main one from there on.
    pub(super) fn changes(&self) -> Vec<(usize, bool)> {
        let mut changes: Vec<(usize, bool)> = Vec::new();
        for (index, got) in self.video().iter().enumerate() {
            // A key frame opens with an aggregate of parameter sets: one byte of header, two of length.
            let carries = |clip| {
                got.payload
                    .get(3..)
                    .is_some_and(|p| p.starts_with(sequence_parameters(clip)))
            };
            let main = match (carries(clip()), carries(small_clip())) {
                (false, false) => continue,
                (main, _) => main,
            };
            if changes.last().is_none_or(|(_, before)| *before != main) {
                changes.push((index, main));
            }
        }
        changes
    }

    /// Whether the main stream is shown; None before the first key frame.
    pub(super) fn shows_main(&self) -> Option<bool> {
        self.changes().last().map(|(_, main)| *main)
    }

    /// The instant, in seconds since the epoch, that a timestamp of either stream means by the last report on it.
    pub(super) fn instant_s(&self, video: bool, timestamp: u32) -> Option<f64> {
        let report = self.reports.iter().rfind(|report| report.video == video)?;
        let clock_rate = if video { 90_000.0 } else { 48_000.0 };
        let since = f64::from(timestamp.wrapping_sub(report.timestamp) as i32) / clock_rate;
        let at = report.instant.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(at.as_secs_f64() + since)
    }

    /// Video packets in the order of their sequence numbers.
    pub(super) fn video(&self) -> Vec<Got> {
        let mut video: Vec<Got> = self.got.iter().filter(|got| got.video).cloned().collect();
        video.sort_by_key(|got| got.sequence);
        video
    }

    /// Timestamps of the pictures, in order.
    pub(super) fn pictures(&self) -> Vec<u32> {
        let mut stamps: Vec<u32> = self.video().iter().map(|got| got.timestamp).collect();
        stamps.dedup();
        stamps
    }
}
