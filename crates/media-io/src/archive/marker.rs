//! How a volume's directory is told from the empty mount point of a disk that is not there: by a file `.vms-volume` in
//! it, which names the installation and the volume. Which volumes were used before, the archive's own directory knows.

use super::disk::{storage_error, sync_directory};
use aws_lc_rs::rand;
use media_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MARKER: &str = ".vms-volume";
const KNOWN: &str = ".vms-volumes";

/// Held while a volume is added to the list of those that were used.
static ADDING: Mutex<()> = Mutex::new(());

/// `.vms-volume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    installation: String,
    volume: String,
}

/// `.vms-volumes` in the archive's directory.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Known {
    installation: String,
    volumes: Vec<String>,
}

/// What a volume's directory must hold.
#[derive(Debug, Clone)]
pub(crate) struct Marker {
    mark: Mark,
    storage: PathBuf,
}

impl Marker {
    /// For a volume of the archive in `storage`. An archive that has no name yet gets one, or takes the one that the
    /// volume has.
    pub fn new(storage: &Path, volume: &str, path: &Path) -> Result<Self> {
        let mut known = read_known(storage)?;
        if known.installation.is_empty() {
            known.installation = match read_mark(path) {
                Ok(Some(mark)) if mark.volume == volume => mark.installation,
                _ => fresh_name()?,
            };
            write_known(storage, &known)?;
        }
        let mark = Mark {
            installation: known.installation,
            volume: volume.to_owned(),
        };
        Ok(Self {
            mark,
            storage: storage.to_owned(),
        })
    }

    /// Whether `path` is the volume; at its first use it becomes it. `NotFound` where the directory or the marker is
    /// gone, `Conflict` where it is another volume.
    pub fn check(&self, path: &Path) -> Result<()> {
        let known = read_known(&self.storage)?;
        let was_used = known.volumes.contains(&self.mark.volume);
        if !was_used && !path.is_dir() {
            // The directory alone: a disk's mount point that is not there is not made up.
            std::fs::create_dir(path).map_err(|e| first_use_failed(&e, path))?;
        }
        match read_mark(path)? {
            Some(_) => self.check_again(path)?,
            None if was_used => return Err(no_marker(path)),
            None => {
                let text = serde_json::to_vec(&self.mark).map_err(unserializable)?;
                write_durably(path, MARKER, &text)?;
            }
        }
        if !was_used {
            // Each volume is looked for by a thread of its own: what another has added meanwhile stays.
            let _one_after_the_other = ADDING.lock();
            let mut known = read_known(&self.storage)?;
            known.volumes.push(self.mark.volume.clone());
            write_known(&self.storage, &known)?;
        }
        Ok(())
    }

    /// Whether `path` still is the volume.
    pub fn check_again(&self, path: &Path) -> Result<()> {
        match read_mark(path)? {
            Some(found) if found == self.mark => Ok(()),
            Some(found) => Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "{}: is volume {:.64} of another installation, or another volume of this one",
                    path.display(),
                    found.volume
                ),
            )),
            None => Err(no_marker(path)),
        }
    }
}

/// `[a-z0-9][a-z0-9_-]{0,31}`
pub(crate) fn is_volume_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= 32
        && bytes.first().is_some_and(|b| plain(*b))
        && bytes.iter().all(|b| plain(*b) || *b == b'_' || *b == b'-')
}

fn no_marker(path: &Path) -> Error {
    let message = format!(
        "{}: the directory or its {MARKER} is gone: is the disk mounted?",
        path.display()
    );
    Error::new(ErrorKind::NotFound, message)
}

fn first_use_failed(error: &io::Error, path: &Path) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(
            ErrorKind::NotFound,
            format!("{}: neither the directory nor the one above is there", path.display()),
        ),
        _ => storage_error(error, path.display()),
    }
}

fn read_mark(path: &Path) -> Result<Option<Mark>> {
    let marker = path.join(MARKER);
    match std::fs::read(&marker) {
        Ok(bytes) => {
            let mark = serde_json::from_slice(&bytes);
            // Nothing but this program writes it, and at once: what cannot be read is not ours.
            mark.map(Some)
                .map_err(|_| Error::new(ErrorKind::Conflict, format!("{}: not a marker", marker.display())))
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(storage_error(&e, marker.display())),
    }
}

fn read_known(storage: &Path) -> Result<Known> {
    let path = storage.join(KNOWN);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
            let message = format!(
                "{}: {e}; without it nobody knows which volumes were used before",
                path.display()
            );
            Error::new(ErrorKind::Malformed, message)
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Known::default()),
        Err(e) => Err(storage_error(&e, path.display())),
    }
}

fn write_known(storage: &Path, known: &Known) -> Result<()> {
    write_durably(storage, KNOWN, &serde_json::to_vec(known).map_err(unserializable)?)
}

/// Writes a small file so that it is there as a whole or not at all.
pub(crate) fn write_durably(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (path, fresh) = (directory.join(name), directory.join(format!("{name}.new")));
    File::create(&fresh)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&fresh, &path))
        .and_then(|()| sync_directory(directory))
        .map_err(|e| {
            let _ = std::fs::remove_file(&fresh);
            storage_error(&e, path.display())
        })
}

fn fresh_name() -> Result<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Error::new(ErrorKind::Internal, "no random numbers"))?;
    Ok(super::playback::short_hex(&bytes))
}

pub(crate) fn unserializable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("cannot be written as JSON: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn volumes_that_are_first_used_at_once_are_all_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..16).map(|number| format!("v{number}")).collect();
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("storage")).unwrap();
        let marker = |name: &String| Marker::new(&path("storage"), name, &path(name)).unwrap();
        let markers: Vec<Marker> = names.iter().map(marker).collect();
        std::thread::scope(|scope| {
            for (name, marker) in names.iter().zip(&markers) {
                scope.spawn(move || marker.check(&path(name)).unwrap());
            }
        });
        let mut known = read_known(&path("storage")).unwrap().volumes;
        known.sort();
        let mut all = names.clone();
        all.sort();
        assert_eq!(known, all);
    }
}
