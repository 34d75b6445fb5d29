//! What a viewer that means harm sends once it is connected.

use super::viewer::Surroundings;
use media_core::rtp::feedback::{write_nack, write_picture_loss};
use media_core::rtp::rtcp::write_receiver_report;
use media_core::srtp::SrtpSender;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// 200 datagrams per second and viewer.
const ACT_EVERY: Duration = Duration::from_millis(20);
const DATAGRAMS_PER_ACT: usize = 4;

/// State of one hostile viewer.
#[derive(Debug, Default)]
pub(super) struct Hostility {
    next_at: Option<Instant>,
    acts: u64,
    /// The stream it is sent, and the number of its last packet.
    stream: u32,
    sequence: u16,
    /// The last authentic datagram, to be sent again.
    replayed: Vec<u8>,
}

impl Hostility {
    pub(super) fn starting(now: Instant) -> Self {
        Self {
            next_at: Some(now + ACT_EVERY),
            ..Self::default()
        }
    }

    /// Notes a packet of the video, to ask for its like.
    pub(super) fn see(&mut self, packet: &[u8]) {
        if let [_, _, high, low, _, _, _, _, a, b, c, d, ..] = packet {
            self.sequence = u16::from_be_bytes([*high, *low]);
            self.stream = u32::from_be_bytes([*a, *b, *c, *d]);
        }
    }

    pub(super) fn next_at(&self) -> Instant {
        self.next_at.unwrap_or_else(Instant::now)
    }

    /// Sends a few datagrams if it is time; how many.
    pub(super) fn act(
        &mut self,
        now: Instant,
        sender: &mut SrtpSender,
        ssrc: u32,
        socket: &UdpSocket,
        peer: SocketAddr,
        around: &mut Surroundings,
    ) -> u64 {
        if self.next_at() > now {
            return 0;
        }
        self.next_at = Some(now + ACT_EVERY);
        let mut sent = 0;
        for _ in 0..DATAGRAMS_PER_ACT {
            self.acts += 1;
            let datagram = match self.acts % 6 {
                0 => self.requests(sender, ssrc),
                1 => self.replayed.clone(),
                2 => unknown_session(around),
                // STUN, DTLS, RTP and RTCP by their first byte (RFC 7983), and nothing else of them.
                3 => garbage(&[0, 1], around),
                4 => garbage(&[22, 0xfe, 0xfd], around),
                _ => garbage(&[0x80, 201], around),
            };
            sent += u64::from(socket.send_to(&datagram, peer).is_ok());
        }
        sent
    }

    /// An authentic request for the last 900 packets, which all arrived, and for a key frame.
    fn requests(&mut self, sender: &mut SrtpSender, ssrc: u32) -> Vec<u8> {
        let first = self.sequence.wrapping_sub(899);
        let sequences: Vec<u16> = (0..900).map(|step| first.wrapping_add(step)).collect();
        let mut compound = Vec::new();
        write_receiver_report(ssrc, &[], &mut compound);
        write_nack(ssrc, self.stream, &sequences, &mut compound);
        write_picture_loss(ssrc, self.stream, &mut compound);
        self.replayed.clear();
        // An index that is used up only ends the requests.
        let _ = sender.protect_rtcp(&compound, &mut self.replayed);
        self.replayed.clone()
    }
}

/// A STUN request for a session that does not exist.
fn unknown_session(around: &mut Surroundings) -> Vec<u8> {
    let name = format!("{:08x}:load", around.random() as u32);
    let padded = name.len().next_multiple_of(4);
    let mut message = vec![0, 1];
    message.extend_from_slice(&((4 + padded) as u16).to_be_bytes());
    message.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    message.extend_from_slice(&[7; 12]);
    message.extend_from_slice(&[0, 6]);
    message.extend_from_slice(&(name.len() as u16).to_be_bytes());
    message.extend_from_slice(name.as_bytes());
    message.resize(20 + 4 + padded, 0);
    message
}

fn garbage(start: &[u8], around: &mut Surroundings) -> Vec<u8> {
    let mut datagram = start.to_vec();
    let length = 12 + (around.random() % 1200) as usize;
    while datagram.len() < length {
        datagram.extend_from_slice(&around.random().to_le_bytes());
    }
    datagram
}
