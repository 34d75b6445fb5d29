//! The thread behind the simulated cameras: connections, requests and faults. `pacing` sends the frames.

mod pacing;

use super::clip::Clip;
use super::connection::Connection;
use super::player::{Outbox, Player};
use super::random::Random;
use super::udp::UdpPair;
use super::{Command, Counters, Fault, SimulatorSettings, Sources};
use crate::clock::Clock;
use media_core::Result;
use media_core::rtsp::message::{Item, Limits, Parsed, Request, parse};
use media_core::rtsp::server::{Action, Delivery, Presentation, ServerSession, ServerSettings, TrackSetup};
use pacing::DueQueue;
use parking_lot::RwLock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

struct Camera {
    fault: Fault,
    stalled_until_us: u64,
    /// Frames below this number were sent to clients that are gone.
    frame_number_floor: u64,
    clients_so_far: u64,
}

struct Client {
    camera: usize,
    sub: bool,
    connection: Rc<Connection>,
    player: Player,
    /// The instant of the one entry in the queue that counts for this client.
    scheduled_us: u64,
}

struct State {
    cameras: Vec<Camera>,
    connections: HashMap<u64, Rc<Connection>>,
    /// Clients that play, by the number of their connection.
    clients: HashMap<u64, Client>,
    /// Which connection's client sends RTCP from where.
    control_peers: HashMap<SocketAddr, u64>,
    due: DueQueue,
    outbox: Outbox,
    random: Random,
    next_id: u64,
    next_expiry_check_us: u64,
}

pub(super) struct Server {
    settings: SimulatorSettings,
    session_settings: Arc<ServerSettings>,
    sources: Arc<RwLock<Sources>>,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    udp: UdpPair,
    state: RefCell<State>,
    /// Wakes the pacing loop when a new client's first frame is due before what it waits for.
    paced: Notify,
}

/// Camera number and whether its sub stream is meant, of `cam/N` or `cam/N/sub`.
fn camera_of(path: &str) -> Option<(usize, bool)> {
    let mut parts = path.split('/');
    let (Some("cam"), Some(number)) = (parts.next(), parts.next()) else {
        return None;
    };
    let number = number.parse().ok()?;
    match (parts.next(), parts.next()) {
        (None, None) => Some((number, false)),
        (Some("sub"), None) => Some((number, true)),
        _ => None,
    }
}

impl Server {
    pub(super) fn new(
        settings: SimulatorSettings,
        sources: Arc<RwLock<Sources>>,
        counters: Arc<Counters>,
        clock: Arc<dyn Clock>,
        udp: UdpPair,
    ) -> Rc<Self> {
        let camera = || Camera {
            fault: Fault::default(),
            stalled_until_us: 0,
            frame_number_floor: 0,
            clients_so_far: 0,
        };
        let session_settings = Arc::new(ServerSettings {
            product: "vms-simulator".into(),
            realm: "simulated camera".into(),
            authentication: settings
                .credentials
                .clone()
                .map(|credentials| (settings.scheme, credentials)),
            session_timeout_s: settings.session_timeout_s,
            udp_ports: Some(udp.ports),
        });
        let state = RefCell::new(State {
            cameras: (0..settings.cameras).map(|_| camera()).collect(),
            connections: HashMap::new(),
            clients: HashMap::new(),
            control_peers: HashMap::new(),
            due: DueQueue::new(),
            outbox: Outbox::default(),
            random: Random::seeded(&[settings.seed]),
            next_id: 0,
            next_expiry_check_us: 0,
        });
        Rc::new(Self {
            settings,
            session_settings,
            sources,
            counters,
            clock,
            udp,
            state,
            paced: Notify::new(),
        })
    }

    /// Serves until told to stop.
    pub(super) async fn run(
        self: Rc<Self>,
        listener: std::net::TcpListener,
        mut commands: UnboundedReceiver<Command>,
    ) -> Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let rtp = tokio::net::UdpSocket::from_std(self.udp.rtp.try_clone()?)?;
        let rtcp = tokio::net::UdpSocket::from_std(self.udp.rtcp.try_clone()?)?;
        tokio::task::spawn_local(Rc::clone(&self).pace());
        tokio::task::spawn_local(Rc::clone(&self).watch_udp(rtp));
        tokio::task::spawn_local(Rc::clone(&self).watch_udp(rtcp));
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::SetFault(camera, fault)) => self.set_fault(camera, fault),
                    Some(Command::Stop) | None => break,
                },
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.accept(stream, peer),
                    Err(error) => {
                        // Out of descriptors: the listener stays readable, so wait rather than spin.
                        tracing::warn!(%error, "simulated cameras cannot accept");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        let state = self.state.borrow();
        state.connections.values().for_each(|connection| connection.close());
        self.counters.clients.store(0, Relaxed);
        Ok(())
    }

    fn accept(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "connection lost at once");
            return;
        }
        let now_us = self.clock.monotonic_us();
        let mut state = self.state.borrow_mut();
        let session = ServerSession::new(Arc::clone(&self.session_settings), now_us, &mut || state.random.next());
        let connection = Rc::new(Connection::new(stream, peer, session));
        let id = state.next_id;
        state.next_id += 1;
        state.connections.insert(id, Rc::clone(&connection));
        tokio::task::spawn_local(Rc::clone(self).attend(id, connection));
    }

    /// Reads one connection until it ends.
    async fn attend(self: Rc<Self>, id: u64, connection: Rc<Connection>) {
        let mut buffer = Vec::with_capacity(2048);
        while !connection.is_closed() {
            tokio::select! {
                () = connection.changed.notified() => {}
                ready = connection.stream.writable(), if connection.has_waiting() => match ready {
                    Ok(()) => connection.flush(),
                    Err(_) => break,
                },
                ready = connection.stream.readable() => {
                    if ready.is_err() || !self.read(id, &connection, &mut buffer) {
                        break;
                    }
                }
            }
        }
        connection.close();
        self.stop_playing(id);
        self.state.borrow_mut().connections.remove(&id);
    }

    /// Reads what is there and answers it; false when the connection is over.
    fn read(self: &Rc<Self>, id: u64, connection: &Rc<Connection>, buffer: &mut Vec<u8>) -> bool {
        match connection.stream.try_read_buf(buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
            Err(_) => return false,
        }
        let mut done = 0;
        loop {
            match parse(&buffer[done..], &Limits::default()) {
                Ok(Parsed::Incomplete {
                    wanted_bytes,
                    blank_bytes,
                }) => {
                    let wanted_bytes = wanted_bytes - blank_bytes;
                    buffer.drain(..done + blank_bytes);
                    buffer.reserve(wanted_bytes.saturating_sub(buffer.len()).max(1024));
                    return true;
                }
                Ok(Parsed::Complete { item, consumed_bytes }) => {
                    match item {
                        Item::Request(request) => self.answer(id, connection, &request),
                        Item::Interleaved { .. } | Item::Response(_) => {
                            connection.session.borrow_mut().note_activity(self.clock.monotonic_us());
                        }
                    }
                    done += consumed_bytes;
                }
                Err(error) => {
                    tracing::debug!(%error, peer = %connection.peer, "client speaks no RTSP");
                    connection.write(b"RTSP/1.0 400 Bad Request\r\n\r\n");
                    return false;
                }
            }
        }
    }

    fn answer(self: &Rc<Self>, id: u64, connection: &Rc<Connection>, request: &Request) {
        let now_us = self.clock.monotonic_us();
        let mut bytes = Vec::new();
        if self.refuses_everybody(&request.uri) {
            connection.session.borrow().unauthorized(request).write(&mut bytes);
            connection.write(&bytes);
            return;
        }
        let mut random = self.state.borrow().random.clone();
        let presentation_of = |path: &str| self.presentation_of(path);
        let answer = connection
            .session
            .borrow_mut()
            .handle(request, now_us, &presentation_of, &mut || random.next());
        self.state.borrow_mut().random = random;
        answer.response.write(&mut bytes);
        connection.write(&bytes);
        match answer.action {
            Action::None => {}
            Action::Play { path, tracks } => self.play(id, connection, &path, &tracks),
            Action::TearDown => self.stop_playing(id),
        }
    }

    fn refuses_everybody(&self, uri: &str) -> bool {
        let path = uri
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'))
            .map_or("", |(_, path)| path);
        let number = path
            .strip_prefix("cam/")
            .and_then(|rest| rest.split(['/', '?']).next()?.parse::<usize>().ok());
        let state = self.state.borrow();
        number
            .and_then(|camera| state.cameras.get(camera))
            .is_some_and(|camera| camera.fault.unauthorized)
    }

    /// What a camera shows now: its own source, or the one that a fault switched it to.
    fn clip_of(&self, camera: usize, sub: bool, fault: &Fault) -> Option<Arc<Clip>> {
        let sources = self.sources.read();
        match fault.switch_source {
            Some(source) => sources.clips.get(source).cloned(),
            None => sources.of_camera(camera, sub),
        }
    }

    fn presentation_of(&self, path: &str) -> Option<Presentation> {
        let (camera, sub) = camera_of(path)?;
        let fault = self.state.borrow().cameras.get(camera)?.fault.clone();
        let clip = self.clip_of(camera, sub, &fault)?;
        let sdp = clip
            .description(&format!("camera {camera}"), camera as u64, !fault.omit_parameter_sets)
            .ok()?;
        Some(Presentation {
            sdp,
            tracks: clip.tracks.len() as u8,
        })
    }

    fn play(&self, id: u64, connection: &Rc<Connection>, path: &str, tracks: &[TrackSetup]) {
        let now_us = self.clock.monotonic_us();
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let Some((camera_index, sub)) = camera_of(path) else {
            return;
        };
        let Some(camera) = state.cameras.get_mut(camera_index) else {
            return;
        };
        let Some(clip) = self.clip_of(camera_index, sub, &camera.fault) else {
            return;
        };
        let mut random = Random::seeded(&[self.settings.seed, camera_index as u64, camera.clients_so_far]);
        camera.clients_so_far += 1;
        let start_us = now_us + random.below(self.settings.start_spread_ms * 1000);
        let first_number = clip.frames_until(start_us).max(camera.frame_number_floor);
        let drift = camera.fault.clock_drift_ppm;
        let player = Player::new(clip, tracks, now_us, start_us, drift, first_number, random);
        for delivery in player.deliveries() {
            if let Delivery::Udp { rtcp_port, .. } = delivery {
                state
                    .control_peers
                    .insert(SocketAddr::new(connection.peer.ip(), rtcp_port), id);
            }
        }
        let connection = Rc::clone(connection);
        let mut client = Client {
            camera: camera_index,
            sub,
            connection,
            player,
            scheduled_us: u64::MAX,
        };
        client.schedule(id, &mut state.due);
        self.send_reports(&mut client, &mut state.outbox, now_us);
        state.clients.insert(id, client);
        self.counters.clients.store(state.clients.len() as u64, Relaxed);
        self.paced.notify_one();
    }

    fn stop_playing(&self, id: u64) {
        let mut state = self.state.borrow_mut();
        let Some(client) = state.clients.remove(&id) else {
            return;
        };
        state.control_peers.retain(|_, owner| *owner != id);
        if let Some(camera) = state.cameras.get_mut(client.camera) {
            camera.frame_number_floor = camera.frame_number_floor.max(client.player.next_frame_number());
        }
        self.counters.clients.store(state.clients.len() as u64, Relaxed);
    }

    /// Takes what clients send to our UDP ports: reports are signs of life, all else opens their firewalls.
    async fn watch_udp(self: Rc<Self>, socket: tokio::net::UdpSocket) {
        let mut datagram = [0; 2048];
        loop {
            // Errors here are refusals of ports that clients closed: the connection will tell.
            let Ok((_, peer)) = socket.recv_from(&mut datagram).await else {
                continue;
            };
            let state = self.state.borrow();
            let connection = state.control_peers.get(&peer).and_then(|id| state.connections.get(id));
            if let Some(connection) = connection {
                connection.session.borrow_mut().note_activity(self.clock.monotonic_us());
            }
        }
    }

    fn set_fault(&self, camera_index: usize, fault: Fault) {
        let now_us = self.clock.monotonic_us();
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let Some(camera) = state.cameras.get_mut(camera_index) else {
            return;
        };
        if fault.stall_ms > 0 {
            camera.stalled_until_us = now_us + fault.stall_ms * 1000;
        }
        camera.fault = fault.clone();
        for (id, client) in state
            .clients
            .iter_mut()
            .filter(|(_, client)| client.camera == camera_index)
        {
            client.player.set_drift(fault.clock_drift_ppm, now_us);
            client.player.jump(fault.clock_jump_ms);
            let fits = match self.clip_of(camera_index, client.sub, &fault) {
                Some(clip) => client.player.switch(&clip),
                None => false,
            };
            if fault.disconnect || !fits {
                client.connection.close();
            }
            client.schedule(*id, &mut state.due);
        }
        self.paced.notify_one();
    }
}
