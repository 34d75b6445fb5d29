//! What can be wrong with a simulated camera, switchable while it runs.

use media_core::{Error, ErrorKind, Result};
use serde::Deserialize;

/// The faults of one camera. A new value replaces the one before; `Fault::default()` is a healthy camera.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub struct Fault {
    /// Share of RTP packets that are left out; their sequence numbers are used up.
    pub drop_ratio: f64,
    /// Share of RTP packets that change places with the next one of the frame (UDP only).
    pub reorder_ratio: f64,
    /// Share of RTP packets sent twice.
    pub duplicate_ratio: f64,
    /// Share of RTP packets with one bit of their payload turned.
    pub corrupt_ratio: f64,
    /// No frames and no reports for so long from now, once.
    pub stall_ms: u64,
    /// Close the camera's connections, once.
    pub disconnect: bool,
    /// Show another source, in mid-stream: other parameter sets, size, frame rate. Clients whose tracks the source
    /// cannot feed (other codec) are disconnected.
    pub switch_source: Option<usize>,
    /// RTP timestamps jump by so much, once.
    pub clock_jump_ms: i64,
    /// The camera's clock runs fast (positive) or slow by so many parts per million.
    pub clock_drift_ppm: f64,
    /// Refuse every request with 401.
    pub unauthorized: bool,
    /// Leave SPS, PPS and VPS out, in band and in the description.
    pub omit_parameter_sets: bool,
}

impl Fault {
    /// Reads the JSON form; absent keys mean none. Invalid for unknown keys and for ratios outside 0 to 1.
    pub fn from_json(json: &str) -> Result<Self> {
        let invalid = |message: String| Error::new(ErrorKind::Invalid, message);
        let fault: Self = serde_json::from_str(json).map_err(|e| invalid(format!("fault: {e}")))?;
        let ratios = [
            ("drop_ratio", fault.drop_ratio),
            ("reorder_ratio", fault.reorder_ratio),
            ("duplicate_ratio", fault.duplicate_ratio),
            ("corrupt_ratio", fault.corrupt_ratio),
        ];
        for (name, ratio) in ratios {
            if !(0.0..=1.0).contains(&ratio) {
                return Err(invalid(format!("fault: {name} {ratio} is not within 0 to 1")));
            }
        }
        if !(-100_000.0..=100_000.0).contains(&fault.clock_drift_ppm) {
            let ppm = fault.clock_drift_ppm;
            return Err(invalid(format!("fault: clock_drift_ppm {ppm} is not within ±100000")));
        }
        Ok(fault)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn absent_keys_mean_none() {
        assert_eq!(Fault::from_json("{}").unwrap(), Fault::default());
        let fault = Fault::from_json(r#"{"drop_ratio": 0.5, "disconnect": true, "switch_source": 2}"#).unwrap();
        assert_eq!(
            (fault.drop_ratio, fault.disconnect, fault.switch_source),
            (0.5, true, Some(2))
        );
    }

    #[test]
    fn typing_errors_and_impossible_values_are_refused() {
        for json in [
            "",
            "7",
            r#"{"drop": 1}"#,
            r#"{"drop_ratio": 2}"#,
            r#"{"corrupt_ratio": -1}"#,
            r#"{"clock_drift_ppm": 1e9}"#,
        ] {
            assert_eq!(Fault::from_json(json).unwrap_err().kind(), ErrorKind::Invalid, "{json}");
        }
    }
}
