#![allow(clippy::unwrap_used)]

use super::*;
use crate::clock::SystemClock;
use crate::whep::outside::Outside;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// More messages than one call takes, fewer datagrams than a default receive buffer holds.
const ROUNDS: usize = 10;
const METHODS: [SendMethod; 3] = [SendMethod::Segmented, SendMethod::Batched, SendMethod::Single];

struct Bench {
    outside: Outside,
    receivers: Vec<UdpSocket>,
    paths: Vec<Path>,
}

/// A socket bound to `bind` and receivers at `ip`.
fn bench(bind: &str, ip: &str, receivers: usize) -> Bench {
    let socket = DatagramSocket::bind(bind.parse().unwrap()).unwrap();
    let source = SocketAddr::new(ip.parse().unwrap(), socket.local().port());
    let receivers: Vec<UdpSocket> = (0..receivers)
        .map(|_| {
            let receiver = UdpSocket::bind(SocketAddr::new(source.ip(), 0)).unwrap();
            receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            receiver
        })
        .collect();
    let outside = Outside::new(vec![socket], Arc::default(), SystemClock::new());
    let path = |receiver: &UdpSocket| outside.path(source, receiver.local_addr().unwrap()).unwrap();
    let paths = receivers.iter().map(path).collect();
    Bench {
        outside,
        receivers,
        paths,
    }
}

fn push(batch: &mut Batch, path: &Path, datagram: &[u8]) {
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(datagram);
        Ok::<(), ()>(())
    };
    batch.push(path, write).unwrap();
}

/// Pictures for every receiver as viewers get them: equal datagrams and a shorter last, then a small one.
fn every_method_delivers(bind: &str, ip: &str) {
    for method in METHODS {
        let bench = bench(bind, ip, 3);
        let mut batch = Batch::new(method);
        let datagrams: Vec<Vec<u8>> = [1200usize, 1200, 1200, 700, 90, 90, 1200]
            .iter()
            .enumerate()
            .map(|(index, size)| vec![index as u8; *size])
            .collect();
        for _ in 0..ROUNDS {
            for path in &bench.paths {
                for datagram in &datagrams {
                    push(&mut batch, path, datagram);
                }
            }
        }
        let messages = batch.messages.len();
        batch.flush(&bench.outside);
        let mut buffer = [0; 2000];
        for (receiver, path) in bench.receivers.iter().zip(&bench.paths) {
            for _ in 0..ROUNDS {
                for datagram in &datagrams {
                    let (length, from) = receiver.recv_from(&mut buffer).unwrap();
                    assert_eq!(&buffer[..length], &datagram[..], "{method:?}");
                    assert_eq!(from.ip(), path.source, "leaves from the address the viewer knows");
                }
            }
        }
        let total = ROUNDS * 3 * datagrams.len();
        assert_eq!(
            messages,
            if method == SendMethod::Segmented {
                ROUNDS * 3 * 3
            } else {
                total
            }
        );
        let counters = &bench.outside.counters;
        assert_eq!(counters.datagrams_sent.load(Ordering::Relaxed), total as u64);
        let bytes: usize = datagrams.iter().map(Vec::len).sum();
        assert_eq!(counters.bytes_sent.load(Ordering::Relaxed), (ROUNDS * 3 * bytes) as u64);
        assert_eq!(counters.send_errors.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn every_method_delivers_the_same_datagrams() {
    every_method_delivers("127.0.0.1:0", "127.0.0.1");
    // Bound to all addresses, the kernel has to be told which to send from.
    every_method_delivers("0.0.0.0:0", "127.0.0.7");
}

#[tokio::test]
async fn every_method_delivers_over_ipv6() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        return eprintln!("every_method_delivers_over_ipv6: not tried, this machine has no ::1");
    }
    every_method_delivers("[::]:0", "::1");
}

#[tokio::test]
async fn a_message_stays_within_what_the_kernel_takes() {
    let bench = bench("127.0.0.1:0", "127.0.0.1", 1);
    let mut batch = Batch::new(SendMethod::Segmented);
    for index in 0..200u8 {
        push(&mut batch, &bench.paths[0], &[index; 1200]);
        push(&mut batch, &bench.paths[0], &[index; 1200]);
    }
    for message in &batch.messages {
        assert!(message.segments() <= MAX_SEGMENTS && message.length <= MAX_MESSAGE_BYTES);
    }
    assert_eq!(batch.messages.iter().map(Message::segments).sum::<usize>(), 400);
    batch.flush(&bench.outside);
    assert_eq!(bench.outside.counters.datagrams_sent.load(Ordering::Relaxed), 400);
}

#[tokio::test]
async fn a_datagram_that_cannot_be_written_or_sent_takes_no_other_with_it() {
    for method in METHODS {
        let bench = bench("127.0.0.1:0", "127.0.0.1", 1);
        let mut batch = Batch::new(method);
        push(&mut batch, &bench.paths[0], b"first");
        let torn = batch.push(&bench.paths[0], |out| {
            out.extend_from_slice(b"half");
            Err(())
        });
        assert!(torn.is_err());
        // Larger than IP takes, and an address that no route leads to from loopback.
        push(&mut batch, &bench.paths[0], &vec![0; 66_000]);
        let nowhere = Path {
            destination: "[2001:db8::1]:9".parse().unwrap(),
            ..bench.paths[0]
        };
        push(&mut batch, &nowhere, b"nowhere");
        push(&mut batch, &bench.paths[0], b"last");
        batch.flush(&bench.outside);
        let mut buffer = [0; 100];
        for expected in [&b"first"[..], b"last"] {
            let length = bench.receivers[0].recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], expected, "{method:?}");
        }
        assert_eq!(
            bench.outside.counters.send_errors.load(Ordering::Relaxed),
            2,
            "{method:?}"
        );
    }
}

/// A batch of two messages, of three and two datagrams, handed over by `hand_over`; the method afterwards.
fn refused(hand_over: HandOver) -> SendMethod {
    let bench = bench("127.0.0.1:0", "127.0.0.1", 2);
    let mut batch = Batch::new(SendMethod::Segmented);
    batch.hand_over = hand_over;
    let datagrams = [&[1u8; 100][..], &[2; 100], &[3; 40]];
    for datagram in datagrams {
        push(&mut batch, &bench.paths[0], datagram);
    }
    for datagram in &datagrams[..2] {
        push(&mut batch, &bench.paths[1], datagram);
    }
    assert_eq!(batch.messages.len(), 2);
    batch.flush(&bench.outside);
    let mut buffer = [0; 200];
    for (receiver, expected) in bench.receivers.iter().zip([&datagrams[..], &datagrams[..2]]) {
        for datagram in expected {
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], *datagram);
        }
    }
    let stats = bench.outside.counters.read(0);
    assert_eq!((stats.datagrams_sent, stats.bytes_sent, stats.send_errors), (5, 440, 0));
    batch.method
}

#[tokio::test]
async fn a_device_that_refuses_segments_gets_datagrams() {
    for method in [
        refused(|_, _, _, messages| match messages[0].segments() {
            1 => panic!("one datagram is no segment"),
            _ => Err(io::Error::from_raw_os_error(libc::EIO)),
        }),
        refused(|_, _, _, _| Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))),
    ] {
        assert_eq!(method, SendMethod::Batched, "no more of them");
    }
}

#[tokio::test]
async fn a_path_too_narrow_for_segments_costs_nobody_else_his() {
    // Those of the first message, as if its route were narrow.
    let narrow: HandOver = |socket, method, bytes, messages| match messages[0].segments() {
        3 => Err(io::Error::from_raw_os_error(libc::EMSGSIZE)),
        _ => send(socket, method, bytes, messages),
    };
    assert_eq!(refused(narrow), SendMethod::Segmented);
    let invalid: HandOver = |socket, method, bytes, messages| match messages[0].segments() {
        3 => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        _ => send(socket, method, bytes, messages),
    };
    assert_eq!(refused(invalid), SendMethod::Segmented);
}

#[tokio::test]
async fn what_the_kernel_itself_refuses_goes_out_one_by_one() {
    let bench = bench("127.0.0.1:0", "127.0.0.1", 1);
    let mut batch = Batch::new(SendMethod::Segmented);
    // More segments than any kernel takes in one message, and one too large for any datagram.
    batch.bytes = vec![7; 300 + 70_000 + 1];
    for (start, length, segment) in [(0, 300, 2), (300, 70_001, 70_000)] {
        batch.messages.push(Message {
            path: bench.paths[0],
            start,
            length,
            segment,
        });
    }
    batch.flush(&bench.outside);
    let mut buffer = [0; 10];
    for expected in std::iter::repeat_n(2, 150).chain([1]) {
        assert_eq!(bench.receivers[0].recv(&mut buffer).unwrap(), expected);
    }
    let stats = bench.outside.counters.read(0);
    assert_eq!(
        (stats.datagrams_sent, stats.bytes_sent, stats.send_errors),
        (151, 301, 1)
    );
    assert_eq!(batch.method, SendMethod::Segmented);
}
