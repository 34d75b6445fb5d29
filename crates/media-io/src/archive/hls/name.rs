//! Names of segments: `{part}[_{part}…]`, each part `{hour}-{number}-{from}-{to}-{shift}`: the file's slot, the
//! fragments by their sequence numbers, and the distance of the file's media time 0 from the playlist's.

use media_core::recording::file_name::FileSlot;
use std::fmt;

/// Most files that one segment reaches over: so many names fit into the 128 characters that the front allows.
pub(super) const MAX_PARTS: usize = 2;

/// A place between two samples of a file's video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cut {
    /// Sequence number of the fragment.
    pub sequence: u32,
    /// Before its first key sample (`k`); else before its first sample (`s`).
    pub at_key: bool,
}

impl Cut {
    pub fn before(sequence: u32) -> Self {
        Self {
            sequence,
            at_key: false,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let at_key = text.ends_with('k');
        let sequence = text.strip_suffix(if at_key { 'k' } else { 's' })?.parse().ok()?;
        Some(Self { sequence, at_key })
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.sequence, if self.at_key { 'k' } else { 's' })
    }
}

/// The fragments of one file in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub slot: FileSlot,
    pub from: Cut,
    pub to: Cut,
    /// Added to the file's media times, ticks of 1/90,000 s.
    pub shift_90k: i64,
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let part = Self {
            slot: FileSlot {
                hour: fields.next()?.parse().ok()?,
                number: fields.next()?.parse().ok()?,
            },
            from: Cut::parse(fields.next()?)?,
            to: Cut::parse(fields.next()?)?,
            shift_90k: fields.next()?.parse().ok()?,
        };
        (fields.next().is_none() && part.from < part.to && part.shift_90k >= 0).then_some(part)
    }
}

/// What a segment is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentName {
    pub parts: Vec<Part>,
}

impl SegmentName {
    /// None for a text that names no segment.
    pub fn parse(name: &str) -> Option<Self> {
        let parts: Vec<Part> = name
            .split('_')
            .take(MAX_PARTS + 1)
            .map(Part::parse)
            .collect::<Option<_>>()?;
        (parts.len() <= MAX_PARTS).then_some(Self { parts })
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.parts.iter().enumerate() {
            let separator = if number > 0 { "_" } else { "" };
            let Part {
                slot,
                from,
                to,
                shift_90k,
            } = part;
            write!(f, "{separator}{}-{}-{from}-{to}-{shift_90k}", slot.hour, slot.number)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_texts_are_no_names() {
        for bad in [
            "",
            "-",
            "1-1-1s-2s",
            "1-1-2s-1s-0",
            "1-1-1s-1s-0",
            "1-1-1s-2s-0-0",
            "1-1-1s-2s--5",
            "1-1-1x-2s-0",
            "1-1-1s-2s-0_",
            "1-1-1s-2s-0_1-1-1s-2s-0_1-1-1s-2s-0",
            "99999999999999999999-1-1s-2s-0",
        ] {
            assert_eq!(SegmentName::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn names_read_back_and_fit(
            hours in prop::collection::vec((0i64..10_000_000, 1u32..10_000, 0u32..1_000_000, 1u32..10_000, any::<bool>(), 0i64..10_000_000_000), 1..=MAX_PARTS),
        ) {
            let parts = hours.into_iter().map(|(hour, number, from, length, at_key, shift_90k)| Part {
                slot: FileSlot { hour, number },
                from: Cut { sequence: from, at_key },
                to: Cut { sequence: from + length, at_key: !at_key },
                shift_90k,
            });
            let name = SegmentName { parts: parts.collect() };
            let text = name.to_string();
            prop_assert!(text.len() <= 128);
            prop_assert_eq!(SegmentName::parse(&text), Some(name));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9ks_-]{0,60}") {
            let _ = SegmentName::parse(&text);
        }
    }
}
