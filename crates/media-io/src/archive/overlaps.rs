//! Files of one stream that cover the same time: copies put back by somebody, or a clock that was set back. All of them
//! stay; each instant is played once.

use super::catalogue::{Catalogue, FileEntry, StreamFiles};
use super::start::RepairReport;
use media_core::recording::file_name::rfc3339;
use media_core::recording::fragmenter::CLOCK_STEP_US;
use std::sync::Arc;

/// Reports every file that begins before an earlier one of its stream ends.
pub(super) fn report(catalogue: &Catalogue, report: &mut RepairReport) {
    for stream in catalogue.all() {
        let mut reaches: Option<(Arc<FileEntry>, i64)> = None;
        for entry in stream.all() {
            let end_us = entry.end_us();
            if let Some((earlier, earlier_end_us)) = &reaches
                // Less is what a clock that is steered does to two files in a row.
                && earlier_end_us.saturating_sub(entry.start_us) > CLOCK_STEP_US
            {
                let until_us = end_us.min(*earlier_end_us);
                let video = name(&stream, &entry);
                report.problem_of(
                    &format!("camera {} {video}", stream.name.camera_id),
                    format_args!(
                        "covers the same time as {}, {} to {}; both are kept",
                        name(&stream, earlier),
                        rfc3339(entry.start_us),
                        rfc3339(until_us)
                    ),
                );
            }
            if reaches.as_ref().is_none_or(|(_, reach_us)| end_us > *reach_us) {
                reaches = Some((entry, end_us));
            }
        }
    }
}

fn name(stream: &StreamFiles, entry: &FileEntry) -> String {
    entry.slot.recording_name(&stream.name.stream)
}
