//! `Simulator`: simulated cameras for demos, tests and load.

use crate::error::raise;
use media_core::codec::{aac, av1, h264, h265, mjpeg};
use media_core::{Codec, Error, ErrorKind, TrackParameters};
use media_io::simulate::{Credentials, Fault, Simulator as Cameras, SimulatorSettings, SourceUnit};
use pyo3::prelude::*;

/// See the `.pyi`.
#[pyclass(frozen, module = "vms_media")]
pub struct Simulator {
    cameras: Cameras,
}

/// A unit as Python gives it: track, pts and dts in ticks, key, bytes.
type UnitTuple = (u8, i64, i64, bool, Vec<u8>);

#[pymethods]
impl Simulator {
    #[new]
    #[pyo3(signature = (host, port, cameras, *, username = None, password = None, stamp = false, packet_writes = false))]
    fn new(
        host: String,
        port: u16,
        cameras: usize,
        username: Option<String>,
        password: Option<String>,
        stamp: bool,
        packet_writes: bool,
    ) -> Self {
        let credentials = username.map(|username| Credentials {
            username,
            password: password.unwrap_or_default(),
        });
        let settings = SimulatorSettings {
            host,
            port,
            cameras,
            credentials,
            stamp,
            packet_writes,
            ..SimulatorSettings::default()
        };
        Self {
            cameras: Cameras::new(settings),
        }
    }

    fn add_source(
        &self,
        py: Python<'_>,
        track_kinds: Vec<String>,
        configuration: Vec<Vec<u8>>,
        clock_rates: Vec<u32>,
        channels: Vec<u16>,
        units: Vec<UnitTuple>,
    ) -> PyResult<usize> {
        if configuration.len() != track_kinds.len()
            || clock_rates.len() != track_kinds.len()
            || channels.len() != track_kinds.len()
        {
            return Err(raise(Error::new(
                ErrorKind::Invalid,
                "the lists that describe tracks differ in length",
            )));
        }
        py.detach(|| {
            let mut tracks = Vec::with_capacity(track_kinds.len());
            for (number, kind) in track_kinds.iter().enumerate() {
                let first = units
                    .iter()
                    .find(|unit| usize::from(unit.0) == number)
                    .map(|unit| unit.4.as_slice());
                tracks.push(
                    parameters(
                        kind,
                        &configuration[number],
                        clock_rates[number],
                        channels[number],
                        first,
                    )
                    .map_err(|error| error.within(format!("track {number}")))?,
                );
            }
            let units: Vec<SourceUnit> = units
                .into_iter()
                .map(|(track, pts, dts, key, data)| SourceUnit {
                    track,
                    pts,
                    dts,
                    key,
                    data: data.into(),
                })
                .collect();
            self.cameras.add_source(tracks, &units)
        })
        .map_err(raise)
    }

    fn start(&self, py: Python<'_>) -> PyResult<u16> {
        py.detach(|| self.cameras.start()).map_err(raise)
    }

    fn set_fault(&self, camera: usize, fault: &str) -> PyResult<()> {
        Fault::from_json(fault)
            .and_then(|fault| self.cameras.set_fault(camera, fault))
            .map_err(raise)
    }

    fn stats(&self) -> PyResult<String> {
        serde_json::to_string(&self.cameras.stats()).map_err(|e| raise(Error::new(ErrorKind::Internal, e.to_string())))
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.cameras.stop());
    }
}

/// Parameters of a track from its decoder configuration, or for AV1 and MJPEG from its first unit.
fn parameters(
    kind: &str,
    configuration: &[u8],
    clock_rate: u32,
    channels: u16,
    first_unit: Option<&[u8]>,
) -> media_core::Result<TrackParameters> {
    let sound = |codec| TrackParameters {
        codec,
        clock_rate,
        configuration: configuration.to_vec().into(),
        width: 0,
        height: 0,
        channels,
        reorder_depth: 0,
        fps_milli: 0,
    };
    match kind {
        "h264" => {
            let sets = h264::parameter_sets(configuration)?;
            let (sps, pps): (Vec<&[u8]>, Vec<&[u8]>) = sets.into_iter().partition(|set| h264::nal_type(set) == 7);
            h264::parameters_of_sets(&sps, &pps)
        }
        "h265" => {
            let sets = h265::parameter_sets(configuration)?;
            let of = |kind: u8| {
                sets.iter()
                    .copied()
                    .filter(|set| h265::nal_type(set) == kind)
                    .collect::<Vec<_>>()
            };
            h265::parameters_of_sets(&of(32), &of(33), &of(34))
        }
        "av1" => av1::parameters(first_unit.unwrap_or_default()),
        "mjpeg" => mjpeg::parameters(first_unit.unwrap_or_default()),
        "aac" => aac::parameters(configuration, clock_rate, channels),
        "pcma" => Ok(sound(Codec::PcmA)),
        "pcmu" => Ok(sound(Codec::PcmU)),
        "opus" => Ok(sound(Codec::Opus)),
        other => Err(Error::new(
            ErrorKind::Unsupported,
            format!("{other} cannot be simulated"),
        )),
    }
}
