//! A closed recording, its files damaged at places all over them: the archive opens, and what is asked of it is answered
//! or refused.

use crate::feed::*;
use media_io::archive::Archive;
use std::path::Path;

/// A step that does not divide anything.
const STEP: usize = 97;

fn ask_everything(archive: &Archive) {
    let (start_us, end_us) = (T0_US - SECOND_US, T0_US + 60 * SECOND_US);
    archive.timeline("1", start_us, end_us).unwrap();
    if let Ok(playback) = archive.playback("1", "main", start_us, end_us) {
        let mut at = 0;
        while let Ok(bytes) = playback.source.read_at(at, 1 << 16) {
            at += bytes.len() as u64;
            if bytes.is_empty() || at >= playback.source.size_bytes() {
                break;
            }
        }
    }
    let _ = archive.hls_playlist("1", "main", start_us, end_us);
    let _ = archive.picture("1", "main", T0_US + SECOND_US);
    for file in archive.file_changes(0).files {
        archive.hash_file("1", &file.name, None).unwrap();
        let _ = archive.rebuild_index("1", &file.name);
        archive.remove_file("1", &file.name).unwrap();
    }
}

fn damaged(name: &str, change: impl Fn(&mut Vec<u8>, usize)) {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US, 75, 0);
    archive.close();
    drop((recorder, archive));
    let path = videos_of(directory.path(), "1")[0].with_file_name(name);
    let files: Vec<_> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (std::fs::read(&path).unwrap(), path))
        .collect();
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(STEP) {
        for (bytes, path) in &files {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let mut bytes = whole.clone();
        change(&mut bytes, at);
        std::fs::write(&path, &bytes).unwrap();
        let (archive, report) = open(directory.path());
        let told = archive.file_changes(0).files;
        let on_disk = std::fs::metadata(video_of(&path)).map_or(0, |m| m.len());
        assert!(told.iter().all(|file| file.size_bytes <= on_disk), "{at}: {report:?}");
        ask_everything(&archive);
    }
}

fn video_of(beside: &Path) -> std::path::PathBuf {
    beside.with_file_name("video_10.mp4")
}

#[test]
fn a_video_with_flipped_bits_is_shown_as_far_as_it_goes() {
    damaged("video_10.mp4", |bytes, at| bytes[at] ^= 0x10);
    damaged("video_10.mp4", |bytes, at| bytes[at] = 0xff);
}

#[test]
fn a_video_cut_anywhere_is_shown_as_far_as_it_goes() {
    damaged("video_10.mp4", |bytes, at| bytes.truncate(at));
}

#[test]
fn an_index_with_flipped_bits_does_no_harm() {
    damaged("index_10.vms-idx", |bytes, at| bytes[at] ^= 0x10);
    damaged("index_10.vms-idx", |bytes, at| bytes.truncate(at));
}
