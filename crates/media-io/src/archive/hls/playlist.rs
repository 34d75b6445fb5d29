//! Which fragments become which segments.

use super::name::{Cut, MAX_PARTS, Part, SegmentName};
use crate::archive::catalogue::StreamFiles;
use crate::archive::plan::{LONGEST_US, shift_90k};
use crate::archive::reader::{ReadFile, Reader};
use crate::archive::walk::{Place, Walk, first_key_after};
use media_core::index::{FLAG_CONTAINS_KEY, FLAG_DISCONTINUITY, FLAG_STARTS_WITH_KEY, Fragment};
use media_core::playlist::{Map, Segment, vod};
use media_core::recording::fragmenter::{CLOCK_STEP_US, GAP_US, rescale, ticks_to_us};
use media_core::{Result, TrackParameters};
use std::sync::Arc;

/// A segment ends at the first key sample after this, µs …
const SEGMENT_US: i64 = 4_000_000;

/// … or at the end of a fragment after this, where there is none, µs.
const KEYLESS_SEGMENT_US: i64 = 16_000_000;

/// Where a playlist begins.
struct Beginning {
    place: Place,
    /// With the fragment's first key sample; else with its first sample.
    at_key: bool,
    /// The first instant wanted of which there are pictures, µs.
    start_us: i64,
}

fn beginning(walk: &Walk, start_us: i64, end_us: i64) -> Result<Beginning> {
    let first = walk.first(start_us, end_us)?;
    let start_us = start_us.max(first.record().start_us);
    let entry = walk.entry_before(&first, start_us)?;
    // A key sample that is not its fragment's first cannot be named: the segment begins with the first.
    let (place, at_key) = entry.map_or((first, false), |entry| (entry.place, true));
    Ok(Beginning {
        place,
        at_key,
        start_us,
    })
}

/// Server time of the first sample that a playlist of `[start_us, end_us)` lists, µs. Those of shorter ranges within it
/// begin no earlier.
pub(super) fn begin_us(reader: &Reader, files: &StreamFiles, start_us: i64, end_us: i64) -> Result<i64> {
    let Beginning { place, at_key, .. } = beginning(&Walk::new(reader, files), start_us, end_us)?;
    Ok(boundary(&place.file, place.record(), at_key)?.utc_us)
}

pub(super) fn playlist(reader: &Reader, files: &StreamFiles, start_us: i64, end_us: i64) -> Result<String> {
    let walk = Walk::new(reader, files);
    let Beginning {
        place: begin,
        mut at_key,
        start_us,
    } = beginning(&walk, start_us, end_us)?;
    let limit_us = end_us.min(start_us.saturating_add(LONGEST_US));
    let mut cutter = Cutter {
        base: begin.file.clone(),
        segments: Vec::new(),
        current: None,
        end: None,
        map: None,
    };
    let mut place = begin.fragment;
    for entry in walk.files(begin.file.entry.start_us, limit_us) {
        let is_first = Arc::ptr_eq(&entry, &begin.file.entry);
        if entry.start_us <= begin.file.entry.start_us && !is_first {
            continue;
        }
        let file = reader.file(files, &entry)?;
        if !is_first {
            let covered_us = cutter.end.as_ref().map_or(i64::MIN, |end| end.utc_us);
            (place, at_key) = (0, false);
            if entry.start_us < covered_us.saturating_sub(CLOCK_STEP_US) {
                // The clock was set back, this time was shown already.
                let Some((resumed, ..)) = first_key_after(&file, covered_us)? else {
                    continue;
                };
                (place, at_key) = (resumed, true);
            }
        }
        cutter.add_file(&file, place, at_key, limit_us)?;
    }
    cutter.close();
    let offset_us = cutter
        .segments
        .first()
        .map_or(0, |s| start_us.saturating_sub(s.start_us).max(0));
    let text = vod(&cutter.segments)?;
    let Some(place) = text.find("#EXT-X-TARGETDURATION").filter(|_| offset_us > 0) else {
        return Ok(text);
    };
    let (seconds, micros) = (offset_us / 1_000_000, offset_us % 1_000_000);
    Ok(format!(
        "{}#EXT-X-START:TIME-OFFSET={seconds}.{micros:06},PRECISE=YES\n{}",
        &text[..place],
        &text[place..]
    ))
}

/// The segment under way.
struct Current {
    parts: Vec<Part>,
    start_us: i64,
    discontinuity: bool,
}

/// Where the video so far ends.
struct End {
    utc_us: i64,
    media_90k: i64,
    sequence: u32,
}

struct Cutter {
    /// The file on whose timeline all segments lie.
    base: Arc<ReadFile>,
    segments: Vec<Segment>,
    current: Option<Current>,
    end: Option<End>,
    /// Initialization segment in force, and what it says.
    map: Option<(Map, Vec<TrackParameters>)>,
}

impl Cutter {
    fn add_file(&mut self, file: &ReadFile, from: usize, at_key: bool, limit_us: i64) -> Result<()> {
        let parameters = file.parameters()?;
        let same = self.map.as_ref().is_some_and(|(_, known)| known == parameters);
        if !same {
            self.close();
            let slot = file.entry.slot;
            let map = Map {
                uri: format!("init-{}-{}.mp4", slot.hour, slot.number),
                range: None,
            };
            self.map = Some((map, parameters.to_vec()));
        }
        let end_90k = self.end.as_ref().map_or(0, |end| end.media_90k);
        let shift_90k = if file.entry.slot == self.base.entry.slot {
            0
        } else {
            shift_90k(&self.base, file, end_90k)
        };
        for (number, record) in file.video.iter().enumerate().skip(from) {
            if record.start_us >= limit_us {
                break;
            }
            self.add_fragment(file, record, number == from, at_key, shift_90k)?;
        }
        Ok(())
    }

    fn add_fragment(
        &mut self,
        file: &ReadFile,
        record: &Fragment,
        first_of_file: bool,
        at_key: bool,
        shift_90k: i64,
    ) -> Result<()> {
        let key = record.flags & FLAG_CONTAINS_KEY != 0;
        let gap_us = self
            .end
            .as_ref()
            .map_or(0, |end| record.start_us.saturating_sub(end.utc_us));
        let broken = record.flags & FLAG_DISCONTINUITY != 0 || gap_us > GAP_US || (first_of_file && at_key);
        if broken
            || self
                .current
                .as_ref()
                .is_some_and(|c| first_of_file && c.parts.len() == MAX_PARTS)
        {
            self.close();
        }
        match &mut self.current {
            None => {
                let discontinuity = broken || !self.segments.is_empty();
                self.begin(
                    boundary(file, record, first_of_file && at_key)?,
                    file,
                    shift_90k,
                    discontinuity,
                );
            }
            Some(current) => {
                if first_of_file {
                    // The segment goes on in the next file, to its first key sample.
                    let from = Cut::before(record.sequence);
                    current.parts.push(Part {
                        slot: file.entry.slot,
                        from,
                        to: from,
                        shift_90k,
                    });
                }
                let length_us = record.start_us.saturating_sub(current.start_us);
                if (key && length_us >= SEGMENT_US) || length_us >= KEYLESS_SEGMENT_US {
                    let next = boundary(file, record, key)?;
                    self.close_at(next.cut, next.utc_us);
                    self.begin(next, file, shift_90k, false);
                }
            }
        }
        let rate = file.header.timescale[0];
        let media_end = record
            .media_time
            .saturating_add(record.duration.into())
            .saturating_add(1);
        self.end = Some(End {
            utc_us: file.end_us(record),
            media_90k: rescale(media_end, rate, 90_000).saturating_add(shift_90k),
            sequence: record.sequence,
        });
        Ok(())
    }

    fn begin(&mut self, at: Boundary, file: &ReadFile, shift_90k: i64, discontinuity: bool) {
        let part = Part {
            slot: file.entry.slot,
            from: at.cut,
            to: at.cut,
            shift_90k,
        };
        self.current = Some(Current {
            parts: vec![part],
            start_us: at.utc_us,
            discontinuity,
        });
    }

    /// Ends the segment with the last fragment there was.
    fn close(&mut self) {
        if let Some(End { utc_us, sequence, .. }) = self.end {
            self.close_at(Cut::before(sequence.saturating_add(1)), utc_us);
        }
    }

    fn close_at(&mut self, to: Cut, until_us: i64) {
        let (Some(mut current), Some((map, _))) = (self.current.take(), &self.map) else {
            return;
        };
        let last = current.parts.len() - 1;
        // A part before the last goes on to the end of its file, whatever that is by now.
        for part in &mut current.parts[..last] {
            part.to = Cut::before(u32::MAX);
        }
        current.parts[last].to = to;
        current.parts.retain(|part| part.from < part.to);
        if current.parts.is_empty() || until_us <= current.start_us {
            return;
        }
        self.segments.push(Segment {
            uri: format!("segment-{}.m4s", SegmentName { parts: current.parts }),
            range: None,
            map: map.clone(),
            duration_us: (until_us - current.start_us) as u64,
            start_us: current.start_us,
            discontinuity: current.discontinuity,
        });
    }
}

struct Boundary {
    cut: Cut,
    utc_us: i64,
}

/// The place before a fragment's first key sample, or before its first sample.
fn boundary(file: &ReadFile, record: &Fragment, at_key: bool) -> Result<Boundary> {
    if !at_key || record.flags & FLAG_STARTS_WITH_KEY != 0 {
        return Ok(Boundary {
            cut: Cut::before(record.sequence),
            utc_us: record.start_us,
        });
    }
    let header = file.fragment_header(record)?;
    let before: i64 = header
        .samples
        .iter()
        .take_while(|s| !s.key)
        .map(|s| i64::from(s.duration))
        .sum();
    let utc_us = record
        .start_us
        .saturating_add(ticks_to_us(before, file.header.timescale[0]));
    Ok(Boundary {
        cut: Cut {
            sequence: record.sequence,
            at_key: true,
        },
        utc_us,
    })
}
