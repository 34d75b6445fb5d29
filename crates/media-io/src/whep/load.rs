//! Which shard serves a viewer.

use std::collections::HashMap;

/// Viewers by which a shard that shows a camera already may exceed the emptiest, before a second one shows it too.
const UNEVEN_VIEWERS: usize = 32;

/// The load of a shard that is no more: it is chosen when no other is left.
pub(super) const LOST: usize = usize::MAX / 2;

/// The shard for a viewer of a hub: one that cuts the hub's pictures already, unless that makes it much fuller than the
/// emptiest.
pub(super) fn choose_shard(loads: &[usize], shows: Option<&Vec<usize>>) -> usize {
    let emptiest = (0..loads.len()).min_by_key(|shard| loads[*shard]).unwrap_or(0);
    let Some(shows) = shows else {
        return emptiest;
    };
    let showing = (0..loads.len()).filter(|shard| shows[*shard] > 0);
    let best = showing.min_by_key(|shard| loads[*shard]).unwrap_or(emptiest);
    if loads[best] <= loads[emptiest] + UNEVEN_VIEWERS {
        best
    } else {
        emptiest
    }
}

/// One more viewer of a hub on `shard`, of so many `shards`.
pub(super) fn note(shows: &mut HashMap<usize, Vec<usize>>, hub: usize, shard: usize, shards: usize) {
    shows.entry(hub).or_insert_with(|| vec![0; shards])[shard] += 1;
}

/// One fewer.
pub(super) fn unnote(shows: &mut HashMap<usize, Vec<usize>>, hub: usize, shard: usize) {
    if let Some(viewers) = shows.get_mut(&hub) {
        viewers[shard] -= 1;
        if viewers.iter().all(|viewers| *viewers == 0) {
            shows.remove(&hub);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_of_one_camera_share_a_shard_until_it_is_much_fuller() {
        assert_eq!(choose_shard(&[3, 1, 2], None), 1);
        assert_eq!(choose_shard(&[3, 1, 2], Some(&vec![1, 0, 0])), 0);
        assert_eq!(choose_shard(&[40, 1, 2], Some(&vec![40, 0, 0])), 1);
        assert_eq!(choose_shard(&[LOST, 7], None), 1);
        assert_eq!(choose_shard(&[LOST, LOST], None), 0, "whoever sends there is told");
        assert_eq!(
            choose_shard(&[40, 10, 2], Some(&vec![40, 1, 0])),
            1,
            "the emptier of those that show it"
        );
        let mut loads = [0; 4];
        let mut shows = vec![0; 4];
        for _ in 0..1000 {
            let shard = choose_shard(&loads, Some(&shows));
            loads[shard] += 1;
            shows[shard] += 1;
        }
        assert!(
            loads.iter().all(|load| load.abs_diff(250) <= UNEVEN_VIEWERS),
            "{loads:?}"
        );
    }
}
