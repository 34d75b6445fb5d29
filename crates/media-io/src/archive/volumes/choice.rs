//! Which volume takes a new file.

use super::{Volume, VolumeTier};
use std::sync::Arc;

/// The volume for a new file: of the fast tier, else of the slow one, else one that takes none by choice; among these
/// the one with the fewest bytes for its weight. None when none is ready.
pub(crate) fn choose<'a>(volumes: impl Iterator<Item = &'a Arc<Volume>>) -> Option<&'a Arc<Volume>> {
    volumes
        .filter(|v| v.takes_files())
        .min_by_key(|v| (v.options.weight == 0, v.options.tier == VolumeTier::Slow, v.load()))
}

/// The volume for a new file where none is ready: of those below their reserve the one with the most room.
pub(crate) fn most_room<'a>(volumes: impl Iterator<Item = &'a Arc<Volume>>) -> Option<&'a Arc<Volume>> {
    volumes.filter(|v| v.has_room()).max_by_key(|v| v.space().0.free_bytes)
}

/// The volume to be tried where none has room: the one that is there with the most.
pub(crate) fn last_resort<'a>(volumes: impl Iterator<Item = &'a Arc<Volume>>) -> Option<&'a Arc<Volume>> {
    volumes
        .filter(|v| v.is_present())
        .max_by_key(|v| v.space().0.free_bytes)
}
