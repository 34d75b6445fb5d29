//! Simulated cameras out of video files, for trying things by hand (needs ffmpeg):
//! `cargo run -p media-io --example simulate -- --port 8654 --cameras 4 clip.h264`
//!
//! Options: `--host H --port P --cameras N --fps F` (raw streams) `--user NAME:PASSWORD --basic --stamp
//! --packet-writes --seed S --spread-ms MS`. While it runs, a line `CAMERA JSON` on standard input sets a fault.
#![allow(clippy::unwrap_used)]

#[path = "../tests/footage/mod.rs"]
mod footage;

use media_io::simulate::{Credentials, Fault, Scheme, Simulator, SimulatorSettings};
use std::path::PathBuf;

fn main() {
    let mut settings = SimulatorSettings {
        port: 8654,
        ..SimulatorSettings::default()
    };
    let mut fps = "30".to_owned();
    let mut files: Vec<PathBuf> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
        match argument.as_str() {
            "--host" => settings.host = value(),
            "--port" => settings.port = value().parse().unwrap(),
            "--cameras" => settings.cameras = value().parse().unwrap(),
            "--fps" => fps = value(),
            "--user" => {
                let both = value();
                let (username, password) = both.split_once(':').unwrap();
                settings.credentials = Some(Credentials {
                    username: username.to_owned(),
                    password: password.to_owned(),
                });
            }
            "--basic" => settings.scheme = Scheme::Basic,
            "--stamp" => settings.stamp = true,
            "--packet-writes" => settings.packet_writes = true,
            "--seed" => settings.seed = value().parse().unwrap(),
            "--spread-ms" => settings.start_spread_ms = value().parse().unwrap(),
            file => files.push(file.into()),
        }
    }
    assert!(!files.is_empty(), "name at least one video file");
    let (host, cameras) = (settings.host.clone(), settings.cameras);
    let simulator = Simulator::new(settings);
    for file in &files {
        let raw = file
            .extension()
            .is_some_and(|e| e == "h264" || e == "h265" || e == "hevc" || e == "mjpeg");
        let (tracks, units) = footage::read(file, raw.then_some(fps.as_str()));
        simulator.add_source(tracks, &units).unwrap();
    }
    let port = simulator.start().unwrap();
    (0..cameras).for_each(|camera| println!("rtsp://{host}:{port}/cam/{camera}"));
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        if line.is_empty() {
            println!("{}", serde_json::to_string(&simulator.stats()).unwrap());
            continue;
        }
        let set = || {
            let (camera, json) = line.split_once(' ')?;
            Some(simulator.set_fault(camera.parse().ok()?, Fault::from_json(json).ok()?))
        };
        match set() {
            Some(Ok(())) => {}
            Some(Err(error)) => eprintln!("{error}"),
            None => eprintln!("write: CAMERA JSON"),
        }
    }
    // Without a terminal standard input ends at once: serve on.
    loop {
        std::thread::park();
    }
}
