//! Volumes as configured, and which of them cannot be meant.

use crate::archive::marker;
use media_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The volume that there is where none is named.
pub const MAIN_VOLUME: &str = "main";

/// What a volume is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeTier {
    /// New files come here.
    #[default]
    Fast,
    /// New files come here only when no fast volume takes any.
    Slow,
}

/// A volume as configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeOptions {
    /// What it is called: `[a-z0-9][a-z0-9_-]{0,31}`.
    pub name: String,
    /// Its directory; recordings lie in `cameras` below.
    pub path: PathBuf,
    /// Share of the new files; 0: none by choice.
    pub weight: u32,
    /// Which kind of disk it is.
    pub tier: VolumeTier,
    /// New files go elsewhere while less is free, if anything else takes them.
    pub reserve_bytes: u64,
}

impl VolumeOptions {
    /// The one volume of an archive that names none.
    pub fn main(path: &Path) -> Self {
        Self {
            name: MAIN_VOLUME.into(),
            path: path.to_owned(),
            weight: 1,
            tier: VolumeTier::Fast,
            reserve_bytes: 0,
        }
    }
}

fn invalid(message: String) -> Result<()> {
    Err(Error::new(ErrorKind::Invalid, message))
}

/// Checks that names are different. `Invalid` names one that is not.
pub(crate) fn check_names(volumes: &[VolumeOptions]) -> Result<()> {
    for (place, volume) in volumes.iter().enumerate() {
        if volumes[..place].iter().any(|other| other.name == volume.name) {
            return invalid(format!(
                "volume {}: there are two of this name ({MAIN_VOLUME} is the archive's own directory while it holds \
                 recordings)",
                volume.name
            ));
        }
    }
    Ok(())
}

/// Checks names and paths. `Invalid` names what is wrong.
pub(crate) fn check(storage: &Path, volumes: &[VolumeOptions]) -> Result<()> {
    check_names(volumes)?;
    for (place, volume) in volumes.iter().enumerate() {
        if !marker::is_volume_name(&volume.name) {
            return invalid(format!(
                "volume {:?}: a name is [a-z0-9][a-z0-9_-]*, 32 at most",
                volume.name
            ));
        }
        if !volume.path.is_absolute() {
            return invalid(format!("volume {}: its path must be absolute", volume.name));
        }
        if volume.path != storage && volume.path.starts_with(storage) {
            return invalid(format!("volume {}: lies in the archive's own directory", volume.name));
        }
        for other in &volumes[..place] {
            if volume.path.starts_with(&other.path) || other.path.starts_with(&volume.path) {
                return invalid(format!(
                    "volume {}: lies in volume {} or the other way",
                    volume.name, other.name
                ));
            }
        }
    }
    Ok(())
}
