//! What is on the disk now, and what would be left of it if the power went.
//!
//! A write is in the cache until its file is synced; a name is until its directory is. At a power cut of what was only
//! in the cache anything may have reached the disk: any of a file's pages, and the beginning of the list of changed
//! names, since file systems keep a journal of these. The strictest reading of POSIX in one thing: syncing a new file
//! does not keep its name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};

/// The number of the uppermost directory.
pub const ROOT: u64 = 1;

/// What reaches the disk as a whole or not at all.
const PAGE_BYTES: usize = 4096;

/// A number as the operating system names errors (errno).
pub type Refusal = i32;

/// Bytes of a file.
#[derive(Debug, Default)]
pub struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Pages written since the last sync.
    dirty: BTreeSet<usize>,
}

/// A file or a directory.
#[derive(Debug)]
pub enum Node {
    /// A regular file.
    File(Content),
    /// Names and the nodes that they stand for.
    Directory {
        /// As programs see it.
        now: BTreeMap<OsString, u64>,
        /// As it would be after a power cut.
        durable: BTreeMap<OsString, u64>,
    },
}

/// A change of one or more names that happens as a whole.
#[derive(Debug)]
struct Renaming(Vec<(u64, OsString, Option<u64>)>);

/// What a power cut left and took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Pages that were in the cache only and are gone.
    pub pages: usize,
    /// Pages that were in the cache only and are on the disk by chance.
    pub pages_kept: usize,
    /// Changes of names that are undone.
    pub names: usize,
}

/// The disk.
#[derive(Debug)]
pub struct Disk {
    nodes: HashMap<u64, Node>,
    next: u64,
    /// Changes of names that no directory's sync has made durable, in their order.
    journal: Vec<Renaming>,
    capacity_bytes: u64,
}

impl Disk {
    /// An empty disk.
    pub fn new(capacity_bytes: u64) -> Self {
        let root = Node::Directory {
            now: BTreeMap::new(),
            durable: BTreeMap::new(),
        };
        Self {
            nodes: HashMap::from([(ROOT, root)]),
            next: ROOT + 1,
            journal: Vec::new(),
            capacity_bytes,
        }
    }

    /// A node. ENOENT when it is gone.
    pub fn node(&self, number: u64) -> Result<&Node, Refusal> {
        self.nodes.get(&number).ok_or(libc::ENOENT)
    }

    /// The names in a directory.
    pub fn names(&self, directory: u64) -> Result<&BTreeMap<OsString, u64>, Refusal> {
        match self.node(directory)? {
            Node::Directory { now, .. } => Ok(now),
            Node::File(_) => Err(libc::ENOTDIR),
        }
    }

    /// The node of that name.
    pub fn find(&self, directory: u64, name: &OsStr) -> Result<u64, Refusal> {
        self.names(directory)?.get(name).copied().ok_or(libc::ENOENT)
    }

    /// A new, empty file or directory. EEXIST when there is one of that name.
    pub fn create(&mut self, directory: u64, name: &OsStr, is_directory: bool) -> Result<u64, Refusal> {
        if self.names(directory)?.contains_key(name) {
            return Err(libc::EEXIST);
        }
        let node = if is_directory {
            Node::Directory {
                now: BTreeMap::new(),
                durable: BTreeMap::new(),
            }
        } else {
            Node::File(Content::default())
        };
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.change(vec![(directory, name.into(), Some(number))]);
        Ok(number)
    }

    /// Takes a name away. ENOTEMPTY for a directory that holds names.
    pub fn remove(&mut self, directory: u64, name: &OsStr, is_directory: bool) -> Result<(), Refusal> {
        let number = self.find(directory, name)?;
        match (self.node(number)?, is_directory) {
            (Node::Directory { .. }, false) => return Err(libc::EISDIR),
            (Node::File(_), true) => return Err(libc::ENOTDIR),
            (Node::Directory { now, .. }, true) if !now.is_empty() => return Err(libc::ENOTEMPTY),
            _ => {}
        }
        self.change(vec![(directory, name.into(), None)]);
        Ok(())
    }

    /// Gives a node another name, in place of what has that name. EEXIST where it must not be replaced.
    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr), replaces: bool) -> Result<(), Refusal> {
        let number = self.find(from.0, from.1)?;
        if let Some(present) = self.names(to.0)?.get(to.1) {
            if !replaces {
                return Err(libc::EEXIST);
            }
            if let Node::Directory { now, .. } = self.node(*present)?
                && !now.is_empty()
            {
                return Err(libc::ENOTEMPTY);
            }
        }
        self.change(vec![(from.0, from.1.into(), None), (to.0, to.1.into(), Some(number))]);
        Ok(())
    }

    fn change(&mut self, names: Vec<(u64, OsString, Option<u64>)>) {
        for (directory, name, number) in &names {
            if let Some(Node::Directory { now, .. }) = self.nodes.get_mut(directory) {
                put(now, name, *number);
            }
        }
        self.journal.push(Renaming(names));
    }

    fn content(&mut self, number: u64) -> Result<&mut Content, Refusal> {
        match self.nodes.get_mut(&number).ok_or(libc::ENOENT)? {
            Node::File(content) => Ok(content),
            Node::Directory { .. } => Err(libc::EISDIR),
        }
    }

    /// Up to `length` bytes of a file.
    pub fn read(&self, number: u64, offset: u64, length: usize) -> Result<&[u8], Refusal> {
        match self.node(number)? {
            Node::File(content) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.now.len());
                Ok(&content.now[from..from.saturating_add(length).min(content.now.len())])
            }
            Node::Directory { .. } => Err(libc::EISDIR),
        }
    }

    /// Writes into a file. ENOSPC when the disk is full.
    pub fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let used_bytes = self.used_bytes();
        let capacity_bytes = self.capacity_bytes;
        let content = self.content(number)?;
        let from = usize::try_from(offset).map_err(|_| libc::EFBIG)?;
        let end = from.checked_add(bytes.len()).ok_or(libc::EFBIG)?;
        let grows_bytes = end.saturating_sub(content.now.len()) as u64;
        if used_bytes + grows_bytes > capacity_bytes {
            return Err(libc::ENOSPC);
        }
        let was = content.now.len();
        if end > was {
            content.now.resize(end, 0);
        }
        content.now[from..end].copy_from_slice(bytes);
        content.touch(from.min(was), end);
        Ok(())
    }

    /// Makes a file shorter or longer.
    pub fn resize(&mut self, number: u64, length: u64) -> Result<(), Refusal> {
        let used_bytes = self.used_bytes();
        let capacity_bytes = self.capacity_bytes;
        let content = self.content(number)?;
        let length = usize::try_from(length).map_err(|_| libc::EFBIG)?;
        let was = content.now.len();
        if used_bytes + length.saturating_sub(was) as u64 > capacity_bytes {
            return Err(libc::ENOSPC);
        }
        content.now.resize(length, 0);
        content.touch(was.min(length), was.max(length));
        Ok(())
    }

    /// What was written to a file survives from now on; nothing for a directory's number.
    pub fn sync(&mut self, number: u64) -> Result<(), Refusal> {
        if let Ok(content) = self.content(number) {
            content.sync();
            return Ok(());
        }
        self.sync_names(number)
    }

    /// The names in a directory survive from now on, and all names changed before.
    pub fn sync_names(&mut self, directory: u64) -> Result<(), Refusal> {
        self.node(directory)?;
        let concerns = |renaming: &Renaming| renaming.0.iter().any(|(of, ..)| *of == directory);
        let Some(last) = self.journal.iter().rposition(concerns) else {
            return Ok(());
        };
        let durable: Vec<Renaming> = self.journal.drain(..=last).collect();
        self.keep(&durable);
        Ok(())
    }

    fn keep(&mut self, renamings: &[Renaming]) {
        for (directory, name, number) in renamings.iter().flat_map(|renaming| &renaming.0) {
            if let Some(Node::Directory { durable, .. }) = self.nodes.get_mut(directory) {
                put(durable, name, *number);
            }
        }
    }

    /// Takes the power away and gives it back. `chance(of)` is a number below `of`; of every hundred pages that were in
    /// the cache only, about `kept_percent` have reached the disk.
    pub fn cut_power(&mut self, kept_percent: u64, chance: &mut dyn FnMut(u64) -> u64) -> Loss {
        let mut loss = Loss::default();
        let survive = if kept_percent == 0 {
            0
        } else {
            chance(self.journal.len() as u64 + 1) as usize
        };
        let mut journal = std::mem::take(&mut self.journal);
        loss.names = journal.len() - survive;
        journal.truncate(survive);
        self.keep(&journal);
        let mut numbers: Vec<u64> = self.nodes.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            match self.nodes.get_mut(&number) {
                Some(Node::File(content)) => content.cut_power(kept_percent, chance, &mut loss),
                Some(Node::Directory { now, durable }) => now.clone_from(durable),
                None => {}
            }
        }
        self.forget_the_nameless();
        loss
    }

    fn forget_the_nameless(&mut self) {
        let mut named = BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(number) = open.pop() {
            if let Some(Node::Directory { now, .. }) = self.nodes.get(&number) {
                open.extend(now.values().filter(|child| named.insert(**child)));
            }
        }
        self.nodes.retain(|number, _| named.contains(number));
    }

    /// Bytes that files take.
    pub fn used_bytes(&self) -> u64 {
        let sizes = self.nodes.values().map(|node| match node {
            Node::File(content) => content.now.len() as u64,
            Node::Directory { .. } => 0,
        });
        sizes.sum()
    }

    /// Bytes that the disk has in all.
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes
    }

    /// Makes the disk larger or smaller; what is on it stays.
    pub fn set_capacity(&mut self, capacity_bytes: u64) {
        self.capacity_bytes = capacity_bytes;
    }
}

fn put(names: &mut BTreeMap<OsString, u64>, name: &OsStr, number: Option<u64>) {
    match number {
        Some(number) => names.insert(name.into(), number),
        None => names.remove(name),
    };
}

impl Content {
    /// Its length in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.now.len() as u64
    }

    fn touch(&mut self, from: usize, to: usize) {
        self.dirty
            .extend(from / PAGE_BYTES..to.div_ceil(PAGE_BYTES).max(from / PAGE_BYTES + 1));
    }

    fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            copy_page(&self.now, &mut self.durable, page);
        }
    }

    fn cut_power(&mut self, kept_percent: u64, chance: &mut dyn FnMut(u64) -> u64, loss: &mut Loss) {
        // The length may be the old one or the new one; what lies between is zeros unless its page was kept.
        let dirty = std::mem::take(&mut self.dirty);
        if !dirty.is_empty() && chance(100) < kept_percent {
            self.durable.resize(self.now.len(), 0);
        }
        for page in dirty {
            if chance(100) < kept_percent && page * PAGE_BYTES < self.durable.len() {
                copy_page(&self.now, &mut self.durable, page);
                loss.pages_kept += 1;
            } else {
                loss.pages += 1;
            }
        }
        self.now.clone_from(&self.durable);
    }
}

fn copy_page(from: &[u8], to: &mut [u8], page: usize) {
    let start = page * PAGE_BYTES;
    let end = (start + PAGE_BYTES).min(from.len()).min(to.len());
    if start < end {
        to[start..end].copy_from_slice(&from[start..end]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn disk_with(name: &str) -> (Disk, u64) {
        let mut disk = Disk::new(1 << 20);
        let file = disk.create(ROOT, OsStr::new(name), false).unwrap();
        disk.sync_names(ROOT).unwrap();
        (disk, file)
    }

    fn nothing_kept(disk: &mut Disk) -> Loss {
        disk.cut_power(0, &mut |_| 0)
    }

    #[test]
    fn what_was_synced_survives_and_nothing_else() {
        let (mut disk, file) = disk_with("a");
        disk.write(file, 0, b"kept").unwrap();
        disk.sync(file).unwrap();
        disk.write(file, 4, b" lost").unwrap();
        assert_eq!(disk.read(file, 0, 100).unwrap(), b"kept lost");
        assert_eq!(nothing_kept(&mut disk).pages, 1);
        assert_eq!(disk.read(file, 0, 100).unwrap(), b"kept");
    }

    #[test]
    fn a_synced_file_without_its_name_is_gone() {
        let mut disk = Disk::new(1 << 20);
        let file = disk.create(ROOT, OsStr::new("a"), false).unwrap();
        disk.write(file, 0, b"x").unwrap();
        disk.sync(file).unwrap();
        assert_eq!(nothing_kept(&mut disk).names, 1);
        assert_eq!(disk.find(ROOT, OsStr::new("a")), Err(libc::ENOENT));
        assert_eq!(disk.read(file, 0, 1), Err(libc::ENOENT));
    }

    #[test]
    fn a_rename_is_whole_or_not_at_all() {
        for survive in 0..=1 {
            let (mut disk, old) = disk_with("a");
            let new = disk.create(ROOT, OsStr::new("b"), false).unwrap();
            disk.sync_names(ROOT).unwrap();
            disk.rename((ROOT, OsStr::new("b")), (ROOT, OsStr::new("a")), true)
                .unwrap();
            disk.cut_power(1, &mut |of| if of == 2 { survive } else { 99 });
            let expected = if survive == 1 {
                (Ok(new), Err(libc::ENOENT))
            } else {
                (Ok(old), Ok(new))
            };
            let found = (disk.find(ROOT, OsStr::new("a")), disk.find(ROOT, OsStr::new("b")));
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn removed_names_come_back_unless_the_directory_was_synced() {
        let (mut disk, file) = disk_with("a");
        disk.write(file, 0, b"x").unwrap();
        disk.sync(file).unwrap();
        disk.remove(ROOT, OsStr::new("a"), false).unwrap();
        nothing_kept(&mut disk);
        assert_eq!(disk.find(ROOT, OsStr::new("a")), Ok(file));
        disk.remove(ROOT, OsStr::new("a"), false).unwrap();
        disk.sync_names(ROOT).unwrap();
        nothing_kept(&mut disk);
        assert_eq!(disk.find(ROOT, OsStr::new("a")), Err(libc::ENOENT));
    }

    #[test]
    fn pages_reach_the_disk_one_by_one() {
        let (mut disk, file) = disk_with("a");
        disk.write(file, 0, &[1; 3 * PAGE_BYTES]).unwrap();
        let mut calls = 0;
        // The length, then each page: only the second is kept.
        let loss = disk.cut_power(50, &mut |of| {
            calls += u64::from(of == 100);
            if of == 100 && matches!(calls, 1 | 3) {
                0
            } else {
                99 % of
            }
        });
        assert_eq!((loss.pages, loss.pages_kept), (2, 1));
        let bytes = disk.read(file, 0, usize::MAX).unwrap();
        assert_eq!(bytes.len(), 3 * PAGE_BYTES);
        assert!(bytes[..PAGE_BYTES].iter().all(|b| *b == 0));
        assert!(bytes[PAGE_BYTES..2 * PAGE_BYTES].iter().all(|b| *b == 1));
    }

    #[test]
    fn a_shortened_file_is_long_again_unless_it_was_synced() {
        let (mut disk, file) = disk_with("a");
        disk.write(file, 0, b"whole").unwrap();
        disk.sync(file).unwrap();
        disk.resize(file, 2).unwrap();
        nothing_kept(&mut disk);
        assert_eq!(disk.read(file, 0, 100).unwrap(), b"whole");
        disk.resize(file, 2).unwrap();
        disk.sync(file).unwrap();
        nothing_kept(&mut disk);
        assert_eq!(disk.read(file, 0, 100).unwrap(), b"wh");
    }

    #[test]
    fn a_full_disk_refuses_and_stays_as_it_is() {
        let (mut disk, file) = disk_with("a");
        disk.set_capacity(10);
        disk.write(file, 0, &[7; 10]).unwrap();
        assert_eq!(disk.write(file, 5, &[8; 6]), Err(libc::ENOSPC));
        assert_eq!(disk.resize(file, 11), Err(libc::ENOSPC));
        assert_eq!(disk.read(file, 0, 100).unwrap(), [7; 10]);
    }
}
