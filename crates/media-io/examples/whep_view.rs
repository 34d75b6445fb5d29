//! Shows a looped H.264 clip in a browser:
//! `whep_view CLIP.h264 [HTTP_ADDRESS [UDP_ADDRESS [PTS_FILE [SHARDS [SEND_METHOD]]]]]`.
//!
//! The clip is Annex B with access unit delimiters:
//! `ffmpeg -i IN -c:v libx264 -bf 0 -g 60 -bsf:v h264_metadata=aud=insert CLIP.h264`. With B-frames, PTS_FILE holds
//! the presentation times in decoding order, one per line in frames (`-` for none). SEND_METHOD is `segmented`, `batched`
//! or `single`. `/` is a page that plays, `POST /whep` the
//! endpoint, `/stats` the counters. A-law audio (a tone) goes along.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use media_core::codec::{h264, nal};
use media_core::{AccessUnit, Codec, ErrorKind, TrackParameters};
use media_io::clock::{Clock, SystemClock};
use media_io::hub::{GOP_CACHE_BYTES, Hub};
use media_io::whep::{Limits, Listen, SendMethod, SendPath, Whep};
use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>WHEP</title>
<video id="video" autoplay muted playsinline controls style="width:100%"></video>
<script>
async function play(kinds = ['video', 'audio']) {
  const pc = new RTCPeerConnection();
  for (const kind of kinds) pc.addTransceiver(kind, { direction: 'recvonly' });
  const stream = new MediaStream();
  pc.ontrack = (e) => { stream.addTrack(e.track); document.getElementById('video').srcObject = stream; };
  await pc.setLocalDescription(await pc.createOffer());
  const posted = performance.now();
  const answer = await fetch('/whep', { method: 'POST', headers: { 'Content-Type': 'application/sdp' },
    body: pc.localDescription.sdp });
  if (answer.status !== 201) throw new Error(answer.status + ' ' + await answer.text());
  const session = answer.headers.get('Location');
  await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
  return { pc, session, posted };
}
if (!location.hash) play();
</script>"#;

/// Units in decoding order, each with whether a decoder can start there.
type Units = Vec<(Bytes, bool)>;

fn clip(path: &str) -> Result<(Units, Arc<TrackParameters>), Box<dyn Error>> {
    let stream = std::fs::read(path)?;
    let (mut units, mut unit): (Units, Vec<u8>) = (Vec::new(), Vec::new());
    let (mut sps, mut pps) = (None, None);
    let mut end = |unit: &mut Vec<u8>| {
        if !unit.is_empty() {
            let data = Bytes::from(std::mem::take(unit));
            let key = h264::is_random_access(&data);
            units.push((data, key));
        }
    };
    for nal in nal::annex_b(&stream) {
        match h264::nal_type(nal) {
            7 => sps = Some(nal),
            8 => pps = Some(nal),
            9 => end(&mut unit),
            _ => {}
        }
        nal::push_length_prefixed(&mut unit, nal);
    }
    end(&mut unit);
    let parameters = h264::parameters(sps.ok_or("no SPS")?, pps.ok_or("no PPS")?)?;
    Ok((units, Arc::new(parameters)))
}

/// Publishes the clip over and over at 30 pictures and 50 audio packets per second.
async fn publish(
    hub: Arc<Hub>,
    clock: Arc<SystemClock>,
    units: Vec<(Bytes, bool)>,
    pts: Vec<i64>,
    of: Arc<TrackParameters>,
) {
    let audio = Arc::new(TrackParameters {
        codec: Codec::PcmA,
        clock_rate: 8000,
        configuration: Bytes::new(),
        width: 0,
        height: 0,
        channels: 1,
        reorder_depth: 0,
        fps_milli: 0,
    });
    let tone: Bytes = (0..160)
        .map(|i| if i / 8 % 2 == 0 { 0xd5 ^ 0x20 } else { 0x55 ^ 0x20 })
        .collect();
    let unit = |track: u8, pts: i64, dts: i64, key: bool, data: Bytes, parameters: &Arc<TrackParameters>| {
        Arc::new(AccessUnit {
            track,
            pts,
            dts,
            utc_us: clock.utc_us(),
            received_us: clock.monotonic_us(),
            key,
            discontinuity: false,
            lost_packets: 0,
            data,
            parameters: parameters.clone(),
        })
    };
    let (start, origin_us) = (Instant::now(), clock.utc_us());
    let (origin, audio_origin) = (origin_us * 9 / 100, origin_us / 125);
    let (mut frames, mut packets) = (0u64, 0u64);
    loop {
        let (next_frame, next_packet) = (frames * 100 / 3, packets * 20);
        tokio::time::sleep_until((start + Duration::from_millis(next_frame.min(next_packet))).into()).await;
        if next_frame <= next_packet {
            let (index, round) = (
                frames as usize % units.len(),
                frames as usize / units.len() * units.len(),
            );
            let (data, key) = units[index].clone();
            let shown = round as i64 + pts.get(index).copied().unwrap_or(index as i64);
            hub.publish(&unit(
                0,
                origin + shown * 3000,
                origin + frames as i64 * 3000,
                key,
                data,
                &of,
            ));
            frames += 1;
        } else {
            let at = audio_origin + packets as i64 * 160;
            hub.publish(&unit(1, at, at, true, tone.clone(), &audio));
            packets += 1;
        }
    }
}

async fn answer(
    whep: Arc<Whep>,
    hub: Arc<Hub>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let body = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let response = Response::builder();
    let response = match (method, path.as_str()) {
        (Method::GET, "/") => response.header("Content-Type", "text/html").body(Full::from(PAGE)),
        (Method::GET, "/stats") => response.body(Full::from(format!("{:#?}", whep.stats()))),
        (Method::POST, "/whep") => match whep.open(hub, &text) {
            Ok((session, answer)) => response
                .status(StatusCode::CREATED)
                .header("Content-Type", "application/sdp")
                .header("Location", format!("/whep/{session}"))
                .body(Full::from(answer)),
            Err(error) => response
                .status(status(error.kind()))
                .body(Full::from(error.to_string())),
        },
        (Method::PATCH | Method::DELETE, path) => {
            let session = path.trim_start_matches("/whep/");
            let done = if text.is_empty() {
                whep.close(session)
            } else {
                whep.patch(session, &text)
            };
            let code = done.map_or_else(|error| status(error.kind()), |()| StatusCode::NO_CONTENT);
            response.status(code).body(Full::default())
        }
        _ => response.status(StatusCode::NOT_FOUND).body(Full::default()),
    };
    Ok(response.unwrap_or_default())
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Malformed => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unsupported => StatusCode::NOT_ACCEPTABLE,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Exhausted => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default: &str| arguments.get(index).map_or(default, String::as_str).to_owned();
    let (units, parameters) = clip(&argument(0, "clip.h264"))?;
    let pts: Vec<i64> = match arguments.get(3) {
        Some(path) if path != "-" => std::fs::read_to_string(path)?
            .lines()
            .map(str::parse)
            .collect::<Result<_, _>>()?,
        _ => Vec::new(),
    };
    let clock = SystemClock::new();
    let hub = Hub::new("clip/main", GOP_CACHE_BYTES);
    let runtime = tokio::runtime::Handle::current();
    let udp = argument(2, "0.0.0.0:8189").parse()?;
    let limits = Limits { max_viewers: 2000 };
    let methods = [SendMethod::Segmented, SendMethod::Batched, SendMethod::Single];
    let send_path = SendPath {
        shards: arguments.get(4).map(|shards| shards.parse()).transpose()?,
        method: arguments
            .get(5)
            .and_then(|name| methods.into_iter().find(|method| method.as_str() == name)),
    };
    let listen = Listen {
        udp: vec![udp],
        ..Listen::default()
    };
    let whep = Whep::start_with(&runtime, &listen, limits, clock.clone(), send_path)?;
    let listener = tokio::net::TcpListener::bind(argument(1, "127.0.0.1:8090")).await?;
    eprintln!(
        "http://{} · {} units, {:?}",
        listener.local_addr()?,
        units.len(),
        whep.bound()
    );
    tokio::spawn(publish(hub.clone(), clock, units, pts, parameters));
    let serve = async {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let (whep, hub) = (whep.clone(), hub.clone());
            let service = service_fn(move |request| answer(whep.clone(), hub.clone(), request));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    };
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = serve => {}
        _ = terminated.recv() => {}
    }
    whep.shutdown().await;
    eprintln!("{:#?}", whep.stats());
    Ok(())
}
