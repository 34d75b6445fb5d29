//! Which samples of a recording a movie uses.

use crate::error::{Error, ErrorKind, Result};
use crate::fmp4::FragmentHeader;
use crate::index;
use crate::track::TrackParameters;
use std::ops::Range;

/// A fragment of a recording, or the part of it that a movie uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentRef {
    /// The caller's number of the file; comes back in `Slice::File`.
    pub file: u32,
    /// Position of the moof in the file.
    pub offset: u64,
    /// Length of moof + mdat header; what has to be read for `Movie::tables`.
    pub moof_bytes: u32,
    /// First sample used, counted within the fragment.
    pub first_sample: u32,
    /// Samples used.
    pub samples: u32,
    /// Key samples among them that the movie lists: the first so many.
    pub key_samples: u32,
    /// Position in the file of the first used sample's data.
    pub data_offset: u64,
    /// Bytes of data used.
    pub data_bytes: u32,
    /// Decoding time of the first used sample, in ticks of the track on the movie's timeline, on which all files'
    /// fragments lie where they were recorded.
    pub media_time: i64,
    /// Sum of the durations of the used samples in ticks of the track.
    pub duration: u64,
}

impl FragmentRef {
    /// The whole fragment of an index record. `shift` is added to its media time: the file's media time 0 on the
    /// movie's timeline, in ticks of the track.
    pub fn whole(file: u32, record: &index::Fragment, shift: i64) -> Self {
        Self {
            file,
            offset: record.offset,
            moof_bytes: record.moof_bytes,
            first_sample: 0,
            samples: record.samples as u32,
            key_samples: record.key_samples as u32,
            data_offset: record.offset + record.moof_bytes as u64,
            data_bytes: record.size_bytes.saturating_sub(record.moof_bytes),
            media_time: record.media_time.saturating_add(shift),
            duration: record.duration as u64,
        }
    }

    /// Only the given samples of the whole fragment, whose header is `header`. `Malformed` when header and index
    /// record contradict each other, `Invalid` when the fragment has no such samples.
    pub fn trim(&self, header: &FragmentHeader, samples: Range<usize>) -> Result<Self> {
        self.check(header)?;
        let used = header.samples.get(samples.clone()).ok_or_else(|| {
            let message = format!("{}: samples {samples:?} of {}", self.name(), header.samples.len());
            Error::new(ErrorKind::Invalid, message)
        })?;
        let skipped = &header.samples[..samples.start];
        Ok(Self {
            first_sample: samples.start as u32,
            samples: used.len() as u32,
            key_samples: used.iter().filter(|sample| sample.key).count() as u32,
            data_offset: self.data_offset + skipped.iter().map(|sample| sample.size_bytes as u64).sum::<u64>(),
            data_bytes: used.iter().map(|sample| sample.size_bytes).sum(),
            media_time: self
                .media_time
                .saturating_add(skipped.iter().map(|sample| sample.duration as i64).sum()),
            duration: used.iter().map(|sample| sample.duration as u64).sum(),
            ..*self
        })
    }

    /// Number of the last key sample of the whole fragment that is presented at or before `time` (movie's timeline,
    /// ticks of the track).
    pub fn last_key_until(&self, header: &FragmentHeader, time: i64) -> Option<usize> {
        self.presentation(header).rposition(|(pts, key)| key && pts <= time)
    }

    /// How many samples of the whole fragment there are up to the last one that is presented before `time`.
    pub fn samples_before(&self, header: &FragmentHeader, time: i64) -> usize {
        self.presentation(header)
            .rposition(|(pts, _)| pts < time)
            .map_or(0, |last| last + 1)
    }

    /// Presentation time and key flag of every sample of the whole fragment.
    fn presentation(
        &self,
        header: &FragmentHeader,
    ) -> impl DoubleEndedIterator<Item = (i64, bool)> + ExactSizeIterator {
        let mut dts = self.media_time;
        let times: Vec<(i64, bool)> = header
            .samples
            .iter()
            .map(|sample| {
                let pts = dts.saturating_add(sample.composition_offset as i64);
                dts = dts.saturating_add(sample.duration as i64);
                (pts, sample.key)
            })
            .collect();
        times.into_iter()
    }

    /// The header must be the one that the index record was written for.
    pub(super) fn check(&self, header: &FragmentHeader) -> Result<()> {
        if header.moof_bytes != self.moof_bytes {
            let message = format!(
                "{}: a moof of {} bytes, {} indexed",
                self.name(),
                header.moof_bytes,
                self.moof_bytes
            );
            return Err(Error::malformed(message));
        }
        Ok(())
    }

    pub(super) fn name(&self) -> String {
        format!("file {}, fragment at byte {}", self.file, self.offset)
    }
}

/// The part of a track to use for presenting [start, end), in ticks of the track on the movie's timeline: from the last
/// key sample presented at or before `start` (where there is none, from the first key sample after it) to the last
/// sample presented before `end`.
///
/// `fragments` are those of the track in decoding order; they must reach back to a key sample before `start` where
/// there is one, and 2 s beyond `end`. `headers` reads a fragment's header; it is called for a few fragments at both
/// ends only. Empty when nothing can be presented.
///
/// Where the first selected sample is a recovery point whose recovery takes frames (`codec::h264::recovery_frames`),
/// pictures are whole only after that many. To have them whole at `start`, select again from the key sample before
/// (with the first selected fragment's media_time − 1 as `start`) and call `list_first_key_only`.
pub fn select(
    fragments: &[FragmentRef],
    parameters: &TrackParameters,
    start: i64,
    end: i64,
    mut headers: impl FnMut(&FragmentRef) -> Result<FragmentHeader>,
) -> Result<Vec<FragmentRef>> {
    // How far presentation and decoding time of a sample may be apart; no stream of use reorders over more.
    let reordering = if parameters.reorder_depth == 0 {
        0
    } else {
        2 * parameters.clock_rate as i64
    };
    let mut last = fragments.partition_point(|fragment| fragment.media_time < end.saturating_add(reordering));
    let mut used = 0;
    while last > 0 && used == 0 {
        used = fragments[last - 1].samples_before(&headers(&fragments[last - 1])?, end);
        last -= 1;
    }
    if used == 0 {
        return Ok(Vec::new());
    }
    let near = fragments.partition_point(|fragment| fragment.media_time <= start.saturating_add(reordering));
    let mut first = None;
    for number in (0..near.min(last + 1)).rev() {
        if fragments[number].key_samples > 0
            && let Some(key) = fragments[number].last_key_until(&headers(&fragments[number])?, start)
        {
            first = Some((number, key));
            break;
        }
    }
    if first.is_none()
        && let Some(number) = fragments[..=last].iter().position(|fragment| fragment.key_samples > 0)
    {
        let key = headers(&fragments[number])?
            .samples
            .iter()
            .position(|sample| sample.key);
        first = key.map(|key| (number, key));
    }
    let Some((first, key)) = first else {
        return Ok(Vec::new());
    };
    let mut selected = fragments[first..=last].to_vec();
    if first == last {
        selected[0] = selected[0].trim(&headers(&selected[0])?, key..used.max(key))?;
        return Ok(selected);
    }
    if key > 0 {
        selected[0] = selected[0].trim(&headers(&selected[0])?, key..selected[0].samples as usize)?;
    }
    let place = selected.len() - 1;
    if used < selected[place].samples as usize {
        selected[place] = selected[place].trim(&headers(&selected[place])?, 0..used)?;
    }
    Ok(selected)
}

/// Makes the movie list its first sample as the only key sample. Players begin an edit at the listed key sample nearest
/// to it; in an intra-refresh stream that would be one after which pictures are not yet whole.
pub fn list_first_key_only(fragments: &mut [FragmentRef]) {
    for (number, fragment) in fragments.iter_mut().enumerate() {
        fragment.key_samples = if number == 0 { fragment.key_samples.min(1) } else { 0 };
    }
}
