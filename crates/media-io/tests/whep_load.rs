//! The load client against the product's own output: what it counts is what was sent.
#![allow(clippy::unwrap_used)]

mod footage;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use media_core::codec::{h264, nal};
use media_core::stamp::Stamp;
use media_core::{AccessUnit, Codec, TrackParameters};
use media_io::clock::{Clock, SystemClock};
use media_io::hub::{GOP_CACHE_BYTES, Hub};
use media_io::whep::{Limits, Whep};
use media_io::whep_load::{LoadOptions, Report, run};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Access units with whether each is a key frame, and their parameters.
fn clip() -> (Vec<(Bytes, bool)>, Arc<TrackParameters>) {
    let arguments = "-v error -f lavfi -i testsrc2=size=640x360:rate=30 -t 1 -c:v libx264 -preset ultrafast \
        -profile:v baseline -bf 0 -g 30 -b:v 1M -bsf:v h264_metadata=aud=insert -f h264 -";
    let stream = footage::output_of("ffmpeg", &arguments.split_ascii_whitespace().collect::<Vec<_>>());
    let mut units: Vec<Vec<u8>> = Vec::new();
    let (mut sps, mut pps) = (None, None);
    for nal in nal::annex_b(&stream) {
        match h264::nal_type(nal) {
            7 => sps = Some(nal),
            8 => pps = Some(nal),
            9 => units.push(Vec::new()),
            _ => {}
        }
        nal::push_length_prefixed(units.last_mut().unwrap(), nal);
    }
    let parameters = h264::parameters(sps.unwrap(), pps.unwrap()).unwrap();
    let units = units
        .into_iter()
        .map(|unit| (Bytes::from(unit.clone()), h264::is_random_access(&unit)));
    (units.collect(), Arc::new(parameters))
}

/// Publishes 30 stamped pictures per second.
async fn publish(hub: Arc<Hub>, clock: Arc<SystemClock>) {
    let (units, parameters) = clip();
    let start = Instant::now();
    for picture in 0u64.. {
        tokio::time::sleep_until((start + Duration::from_micros(picture * 33_333)).into()).await;
        let (unit, key) = &units[picture as usize % units.len()];
        let stamp = Stamp {
            frame: picture,
            sent_us: clock.utc_us() as u64,
        };
        let mut data = Vec::new();
        nal::push_length_prefixed(&mut data, &stamp.nal(Codec::H264).unwrap());
        data.extend_from_slice(unit);
        let pts = 90_000 * 1_700_000_000 + picture as i64 * 3000;
        hub.publish(&Arc::new(AccessUnit {
            track: 0,
            pts,
            dts: pts,
            utc_us: clock.utc_us(),
            received_us: clock.monotonic_us(),
            key: *key,
            discontinuity: false,
            lost_packets: 0,
            data: data.into(),
            parameters: parameters.clone(),
        }));
    }
}

async fn answer(
    whep: Arc<Whep>,
    hub: Arc<Hub>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let offer = request.into_body().collect().await.unwrap().to_bytes();
    let response = Response::builder();
    let response = match method {
        Method::POST => match whep.open(hub, std::str::from_utf8(&offer).unwrap()) {
            Ok((session, answer)) => response
                .status(StatusCode::CREATED)
                .header("Location", format!("/whep/{session}"))
                .body(Full::from(answer)),
            Err(_) => response.status(StatusCode::SERVICE_UNAVAILABLE).body(Full::default()),
        },
        _ => {
            let _ = whep.close(path.trim_start_matches("/whep/"));
            response.status(StatusCode::NO_CONTENT).body(Full::default())
        }
    };
    Ok(response.unwrap())
}

/// Runs a load against an output that admits `max_viewers`; the report, and how many viewers were left at the end.
async fn load(max_viewers: usize, change: impl FnOnce(&mut LoadOptions)) -> (Report, usize) {
    let clock = SystemClock::new();
    let hub = Hub::new("door/main", GOP_CACHE_BYTES);
    let bind = ["127.0.0.1:0".parse().unwrap()];
    let runtime = tokio::runtime::Handle::current();
    let whep = Whep::start(&runtime, &bind, Limits { max_viewers }, clock.clone()).unwrap();
    let camera = tokio::spawn(publish(hub.clone(), clock));
    while hub.parameters(0).is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = LoadOptions {
        url: format!("http://{}/whep", listener.local_addr().unwrap())
            .parse()
            .unwrap(),
        bearer: None,
        viewers: 4,
        stalled: 0,
        hostile: 0,
        joins_per_second: 40.0,
        window: Duration::from_secs(1),
        audio: false,
        nack: true,
        lose_percent: 0.0,
        trains: false,
        server_pid: Some(std::process::id()),
        afterwards: Duration::ZERO,
    };
    change(&mut options);
    let serving = {
        let whep = whep.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (whep, hub) = (whep.clone(), hub.clone());
                let service = service_fn(move |request| answer(whep.clone(), hub.clone(), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        })
    };
    let report = tokio::task::spawn_blocking(move || run(options))
        .await
        .unwrap()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(2);
    while whep.viewers() > 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left = whep.viewers();
    camera.abort();
    serving.abort();
    whep.shutdown().await;
    (report, left)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_packet_of_every_viewer_is_counted() {
    let (report, left) = load(10, |_| {}).await;
    assert_eq!(
        (report.connected, report.connected_at_end, left),
        (4, 4, 0),
        "{report:?}"
    );
    assert_eq!((report.lost, report.retransmitted), (0, 0), "{report:?}");
    let pictures = 4.0 * 30.0 * report.window_s;
    assert!(report.packets as f64 > pictures, "{report:?}");
    let stamped = report.delay_ms.count as f64;
    assert!(stamped > 0.5 * pictures && stamped < 1.5 * pictures, "{report:?}");
    assert!(report.delay_ms.p50 > 0.0 && report.delay_ms.p50 < 500.0, "{report:?}");
    assert_eq!(report.time_to_first_packet_ms.count, 4);
    assert_eq!(report.profiles.values().sum::<usize>(), 4);
    let server = report.server.unwrap();
    assert!(server.cores > 0.0 && server.rss_bytes > 0 && server.rss_afterwards_bytes > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_comes_again() {
    let lossy = |options: &mut LoadOptions| {
        options.lose_percent = 5.0;
        options.window = Duration::from_secs(2);
        options.trains = true;
    };
    let (report, _) = load(10, lossy).await;
    assert!(report.thrown_away > 0 && report.repaired > 0, "{report:?}");
    assert_eq!(report.lost, 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_see_nothing_of_the_stalled_and_the_hostile() {
    let crowd = |options: &mut LoadOptions| {
        options.stalled = 2;
        options.hostile = 2;
    };
    let (report, left) = load(10, crowd).await;
    assert_eq!(
        (report.connected, report.connected_at_end, left),
        (4, 4, 0),
        "{report:?}"
    );
    assert!(report.hostile_datagrams > 50, "{report:?}");
    assert_eq!(report.lost, 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_told() {
    let (report, _) = load(2, |options| options.viewers = 3).await;
    assert_eq!(report.connected, 2, "{report:?}");
    let refused = report.failures.get("HTTP 503 Service Unavailable");
    assert_eq!(refused, Some(&1), "{report:?}");
}
