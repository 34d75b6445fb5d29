//! Time to first byte and throughput of the front over loopback, from memory: what the front itself costs.
//!
//! `cargo run --release -p media-io --example front_bench` prints one JSON object.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use media_io::clock::{Clock, SystemClock};
use media_io::front::{Claims, Front, FrontConfig, FrontLimits, GrantKey, MediaRoutes, Playback, format_rfc3339_us};
use media_io::source::ByteSource;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

const KEY: &[u8] = b"a key for this measurement alone";
const SIZE_BYTES: u64 = 4 << 30;
const REQUESTS: usize = 2_000;

struct Memory(Bytes);

impl ByteSource for Memory {
    fn size_bytes(&self) -> u64 {
        SIZE_BYTES
    }

    fn etag(&self) -> &str {
        "memory"
    }

    fn content_type(&self) -> &str {
        "video/mp4"
    }

    fn read_at(&self, _offset: u64, max_bytes: usize) -> media_core::Result<Bytes> {
        Ok(self.0.slice(..max_bytes.min(self.0.len())))
    }
}

struct Recordings(Bytes);

impl MediaRoutes for Recordings {
    fn playback(&self, _: &str, _: &str, start_us: i64, _: i64) -> media_core::Result<Playback> {
        Ok(Playback {
            source: Arc::new(Memory(self.0.clone())),
            start_us,
            next_start_us: None,
        })
    }

    fn hls_playlist(&self, _: &str, _: &str, _: i64, _: i64) -> media_core::Result<String> {
        Ok(String::new())
    }

    fn hls_init(&self, _: &str, _: &str, _: &str) -> media_core::Result<Arc<dyn ByteSource>> {
        Ok(Arc::new(Memory(self.0.clone())))
    }

    fn hls_segment(&self, _: &str, _: &str, _: &str, _: (i64, i64)) -> media_core::Result<Arc<dyn ByteSource>> {
        Ok(Arc::new(Memory(self.0.clone())))
    }
}

fn main() {
    let folder = std::env::temp_dir().join(format!("front-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("application.sock");
    let application = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in application.incoming() {
            std::thread::spawn(move || answer_all(stream.unwrap()));
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let clock = SystemClock::new();
    let now_us = clock.utc_us();
    let config = FrontConfig {
        host: "127.0.0.1".into(),
        port: 0,
        upstream_socket: socket,
        static_dir: None,
        grant_key: KEY.to_vec(),
        tls: None,
        media_concurrency: 64,
        clock,
        limits: FrontLimits::default(),
    };
    let recordings = Arc::new(Recordings(Bytes::from(vec![7; 256 << 10])));
    let front = Front::start(runtime.handle(), config, recordings).unwrap();
    let token = GrantKey::new(KEY).sign(&Claims {
        camera_id: "cam".into(),
        action: "playback".into(),
        stream: None,
        start_us: None,
        end_us: None,
        starts_before: now_us / 1_000_000 + 300,
        expires_at: now_us / 1_000_000 + 3_600,
        subject: "bench".into(),
    });
    let (start, end) = (format_rfc3339_us(now_us - 60_000_000), format_rfc3339_us(now_us));
    let media = format!("/api/v1/cameras/cam/playback.mp4?start={start}&end={end}&token={token}");
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", front.port())).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    };
    let range = format!("GET {media} HTTP/1.1\r\nHost: h\r\nRange: bytes=0-999\r\n\r\n");
    let mut kept = connect();
    let first_byte_kept = times(|| exchange(&mut kept, &range));
    let first_byte_new = times(|| exchange(&mut connect(), &range));
    let proxied = times(|| exchange(&mut kept, "GET /api/v1/ping HTTP/1.1\r\nHost: h\r\n\r\n"));
    let begun = Instant::now();
    let cpu_before_us = cpu_us();
    let mut stream = connect();
    stream
        .write_all(format!("GET {media} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut received = 0_u64;
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        received += read as u64;
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert!(received > SIZE_BYTES);
    println!(
        "{{\"first_byte_kept_connection_us\":{},\"first_byte_new_connection_us\":{},\"proxied_us\":{},\
         \"throughput_mb_per_s\":{:.0},\"cpu_s_per_gb_client_included\":{:.3}}}",
        percentiles(first_byte_kept),
        percentiles(first_byte_new),
        percentiles(proxied),
        received as f64 / 1e6 / seconds,
        (cpu_us() - cpu_before_us) as f64 / 1e6 / (received as f64 / 1e9),
    );
    runtime.block_on(front.shutdown(Duration::from_secs(1)));
    let _ = std::fs::remove_dir_all(folder);
}

fn answer_all(mut stream: std::os::unix::net::UnixStream) {
    let mut request = [0; 4096];
    while let Ok(1..) = stream.read(&mut request) {
        if stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .is_err()
        {
            return;
        }
    }
}

/// Sends a request and waits for the first bytes of its answer; these answers are short and come as one.
fn exchange(stream: &mut TcpStream, request: &str) {
    let mut answer = [0; 8192];
    stream.write_all(request.as_bytes()).unwrap();
    let read = stream.read(&mut answer).unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 20"));
    assert!(answer[..read].windows(4).any(|bytes| bytes == b"\r\n\r\n"));
}

fn times(mut once: impl FnMut()) -> Vec<Duration> {
    (0..REQUESTS)
        .map(|_| {
            let begun = Instant::now();
            once();
            begun.elapsed()
        })
        .collect()
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_micros();
    format!("{{\"p50\":{},\"p95\":{},\"p99\":{}}}", at(0.5), at(0.95), at(0.99))
}

/// Processor time of this process, user and system.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks * 10_000
}
