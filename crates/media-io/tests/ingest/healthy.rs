//! What healthy cameras send arrives whole, however it is asked for.

use crate::cameras::*;
use media_core::{AccessUnit, Codec, TrackKind};
use media_io::ingest::{Credentials, StreamState, TransportKind};
use media_io::simulate::{Fault, Scheme, SimulatorSettings};
use std::sync::{Arc, OnceLock};

#[test]
fn over_tcp_every_unit_arrives_as_it_was_sent() {
    let (simulator, port) = camera();
    let viewing = watch(port, TransportKind::Tcp);
    let video = viewing.after_units(0, 60);
    let audio = viewing.after_units(1, 30);
    assert_looped(&video, 0, clip());
    assert_looped(&audio, 1, clip());
    assert_eq!(video.iter().filter(|unit| unit.discontinuity).count(), 1);
    assert!(
        video
            .windows(2)
            .all(|pair| pair[1].pts - pair[0].pts == 3600 && pair[1].dts - pair[0].dts == 3600)
    );
    assert!(
        audio
            .windows(2)
            .filter(|pair| !pair[1].discontinuity)
            .all(|pair| pair[1].pts - pair[0].pts == 1024)
    );
    assert_eq!((video[0].parameters.width, video[0].parameters.height), (320, 180));
    assert_eq!(
        (audio[0].parameters.codec, audio[0].parameters.clock_rate),
        (Codec::Aac, 16_000)
    );
    let status = viewing.status_when("rates", |status| status.bitrate_bps > 0);
    assert_eq!((status.state, status.reason.as_deref()), (StreamState::Online, None));
    assert_eq!(
        (status.codec, status.width, status.height),
        (Some(Codec::H264), 320, 180)
    );
    assert_eq!((status.rtp_lost, status.reconnects, status.discarded_units), (0, 0, 0));
    assert!((20.0..30.0).contains(&status.fps), "{}", status.fps);
    assert!(status.last_frame_us.is_some() && status.units >= 90);
    viewing.stop();
    wait_for("the camera to see the good-bye", || {
        (simulator.stats().clients == 0).then_some(())
    });
}

#[test]
fn over_udp_reordered_and_doubled_packets_do_no_harm() {
    let (simulator, port) = camera();
    simulator
        .set_fault(
            0,
            Fault {
                reorder_ratio: 0.2,
                duplicate_ratio: 0.1,
                ..Fault::default()
            },
        )
        .unwrap();
    let viewing = watch(port, TransportKind::Udp);
    let video = viewing.after_units(0, 60);
    assert_looped(&video, 0, clip());
    assert_looped(&viewing.after_units(1, 20), 1, clip());
    let status = viewing.status_when("reordering", |status| status.rtp_reordered > 0);
    assert_eq!((status.rtp_lost, status.discarded_units), (0, 0));
    viewing.stop();
    wait_for("the camera to see the good-bye", || {
        (simulator.stats().clients == 0).then_some(())
    });
}

#[test]
fn passwords_are_proved_in_every_way_cameras_ask() {
    for scheme in [Scheme::Basic, Scheme::DigestMd5, Scheme::DigestSha256] {
        let credentials = Some(Credentials {
            username: "admin".into(),
            password: "p:\"w".into(),
        });
        let settings = SimulatorSettings {
            credentials,
            scheme,
            ..SimulatorSettings::default()
        };
        let (_simulator, port) = camera_with(settings, &[small_clip()]);
        let right = Viewing::of(url(port), TransportKind::Tcp, Some("p:\"w"));
        right.after_units(0, 5);
        right.stop();
        let wrong = Viewing::of(url(port), TransportKind::Tcp, Some("nonsense"));
        let status = wrong.status_when("refusal", |status| status.state == StreamState::Unauthorized);
        assert!(status.reason.unwrap().contains("refuses the user name or password"));
        let none = Viewing::of(url(port), TransportKind::Tcp, None);
        let status = none.status_when("refusal", |status| status.state == StreamState::Unauthorized);
        assert!(status.reason.unwrap().contains("none is set"));
    }
}

#[test]
fn a_change_of_parameters_in_mid_stream_is_followed() {
    let (simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip(), clip()]);
    let viewing = watch(port, TransportKind::Tcp);
    let units = viewing.after_units(0, 10);
    assert!(
        units
            .iter()
            .all(|unit| Arc::ptr_eq(&unit.parameters, &units[0].parameters))
    );
    simulator
        .set_fault(
            0,
            Fault {
                switch_source: Some(1),
                ..Fault::default()
            },
        )
        .unwrap();
    let status = viewing.status_when("the new size", |status| status.width == 320);
    assert_eq!((status.height, status.reconnects), (180, 0));
    viewing.stop();
}

#[test]
fn cameras_with_tls_and_a_certificate_of_their_own_are_received() {
    let certified = rcgen::generate_simple_self_signed(vec!["camera".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let (_simulator, port) = camera_with(SimulatorSettings::default(), &[clip()]);
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = runtime()
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let tls_port = listener.local_addr().unwrap().port();
    runtime().spawn(async move {
        while let Ok((outside, _)) = listener.accept().await {
            let mut outside = acceptor.accept(outside).await.unwrap();
            let mut inside = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    let viewing = Viewing::of(format!("rtsps://127.0.0.1:{tls_port}/cam/0"), TransportKind::Tcp, None);
    assert_looped(&viewing.after_units(0, 30), 0, clip());
    assert_eq!(viewing.handle.status().certificate_sha256.unwrap().len(), 64);
    viewing.stop();
}

#[test]
fn every_codec_arrives_as_it_was_sent() {
    let picture = "-f lavfi -i testsrc2=s=320x240:r=25 -t 2";
    let sound = "-f lavfi -i sine=r=8000";
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -x264-params repeat-headers=1";
    let x265 = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p";
    let clips = [
        ("b.mov", format!("{picture} {x264}:b-adapt=0 -bf 2")),
        (
            "c.mov",
            format!(
                "{sound} {picture} {x265} -x265-params log-level=error:keyint=25:bframes=2:repeat-headers=1 -c:a pcm_alaw -ac 1"
            ),
        ),
        (
            "d.mov",
            format!("{sound} {picture} -c:v mjpeg -huffman default -pix_fmt yuvj420p -c:a pcm_mulaw -ac 1"),
        ),
    ];
    for (name, arguments) in clips {
        let clip = encoded(name, &arguments);
        let (_simulator, port) = camera_with(SimulatorSettings::default(), &[&clip]);
        let viewing = watch(port, TransportKind::Tcp);
        let video = viewing.after_units(0, 60);
        let (codec, source) = (video[0].parameters.codec, video_track(&clip));
        if codec == Codec::Mjpeg {
            // The headers are rebuilt, so only their meaning is the same.
            assert!(
                video
                    .iter()
                    .all(|unit| unit.data.starts_with(&[0xff, 0xd8]) && unit.data.ends_with(&[0xff, 0xd9]))
            );
            assert_eq!((video[0].parameters.width, video[0].parameters.height), (320, 240));
        } else {
            assert_looped(&video, source, &clip);
        }
        assert!(
            video.windows(2).all(|pair| pair[1].dts > pair[0].dts),
            "{codec:?}: decoding times rise"
        );
        let reorders = video.windows(2).any(|pair| pair[1].pts < pair[0].pts);
        assert_eq!(reorders, codec != Codec::Mjpeg, "{codec:?}: B-frames");
        let mut shown: Vec<i64> = video.iter().map(|unit| unit.pts).collect();
        shown.sort_unstable();
        // At the end pictures are still to come that are shown between those that have.
        let whole = &shown[..shown.len() - 4];
        assert!(
            whole.windows(2).all(|pair| pair[1] - pair[0] == 3600),
            "{codec:?}: {whole:?}"
        );
        assert_eq!(video.iter().filter(|unit| unit.discontinuity).count(), 1);
        viewing.stop();
    }
}

#[test]
fn a_session_with_a_short_time_out_is_kept_alive() {
    for transport in [TransportKind::Tcp, TransportKind::Udp] {
        let settings = SimulatorSettings {
            session_timeout_s: 2,
            ..SimulatorSettings::default()
        };
        let (_simulator, port) = camera_with(settings, &[small_clip()]);
        let viewing = watch(port, transport);
        viewing.after_units(0, 25 * 5);
        assert_eq!(viewing.handle.status().reconnects, 0);
        viewing.stop();
    }
}

#[test]
fn a_camera_whose_clock_runs_fast_stays_near_the_servers_time() {
    let (simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip()]);
    // Far beyond any crystal, so that seconds show what else takes days.
    simulator
        .set_fault(
            0,
            Fault {
                clock_drift_ppm: 20_000.0,
                ..Fault::default()
            },
        )
        .unwrap();
    let viewing = watch(port, TransportKind::Tcp);
    let units = viewing.after_units(0, 25 * 6);
    let (first, last) = (&units[0], units.last().unwrap());
    let media_us = (last.pts - first.pts) * 100 / 9;
    let server_us = last.utc_us - first.utc_us;
    let elapsed_us = (last.received_us - first.received_us) as i64;
    assert!(
        media_us - elapsed_us > 80_000,
        "pts keeps the camera's clock: {media_us} of {elapsed_us} µs"
    );
    assert!(
        (server_us - elapsed_us).abs() < 60_000,
        "utc keeps the server's: {server_us} of {elapsed_us} µs"
    );
    viewing.stop();
}

#[test]
fn sound_is_in_step_from_the_start_even_with_b_frames() {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    let clip = CLIP.get_or_init(|| {
        encoded(
            "c.mov",
            "-f lavfi -i testsrc=s=160x120:r=25 -f lavfi -i sine=r=16000 -t 2 -pix_fmt yuv420p -c:v libx264 \
             -preset ultrafast -bf 3 -g 25 -x264-params repeat-headers=1:b-adapt=0 -c:a aac -b:a 32k",
        )
    });
    let (_simulator, port) = camera_with(SimulatorSettings::default(), &[clip]);
    let viewing = watch(port, TransportKind::Tcp);
    let (video, audio) = (viewing.after_units(0, 20), viewing.after_units(1, 20));
    viewing.stop();
    // Times in the clip and times received, of a picture and of the sound: their distances are the same.
    let sent_us = |unit: &AccessUnit, track: u8| {
        let source = clip.1.iter().find(|sent| sent.track == track && sent.data == unit.data);
        source.unwrap().pts * 1_000_000 / i64::from(unit.parameters.clock_rate)
    };
    let track_of = |kind| clip.0.iter().position(|track| track.codec.kind() == kind).unwrap() as u8;
    let late_us = |unit: &AccessUnit, kind| {
        let received_us = (i128::from(unit.pts) * 1_000_000 / i128::from(unit.parameters.clock_rate)) as i64;
        received_us - sent_us(unit, track_of(kind))
    };
    let picture_us = late_us(&video[19], TrackKind::Video);
    let apart_us = late_us(&audio[19], TrackKind::Audio) - picture_us;
    assert!(apart_us.abs() < 40_000, "sound is {apart_us} µs late");
}
