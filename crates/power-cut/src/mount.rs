//! The disk as a mounted file system, with faults on demand.

use crate::disk::{Disk, Node, ROOT, Refusal};
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use parking_lot::Mutex;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nothing is remembered by the kernel: after a power cut it would be wrong.
const TTL: Duration = Duration::ZERO;
const BLOCK_BYTES: u64 = 4096;

/// What goes wrong with every write and sync from now on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fault {
    /// They are refused with this errno.
    pub refusal: Option<Refusal>,
    /// They take so long.
    pub delay: Duration,
}

/// What is mounted, shared with whoever controls it.
pub struct Mounted {
    /// The disk.
    pub disk: Arc<Mutex<Disk>>,
    /// Its fault.
    pub fault: Arc<Mutex<Fault>>,
}

impl Mounted {
    /// Waits as the fault says; the refusal, if there is one.
    fn suffer(&self) -> Result<(), Refusal> {
        let began = Instant::now();
        loop {
            let fault = *self.fault.lock();
            // Looked at again and again: a disk that is healed answers at once.
            let left = fault.delay.saturating_sub(began.elapsed());
            if left.is_zero() {
                return fault.refusal.map_or(Ok(()), Err);
            }
            std::thread::sleep(left.min(Duration::from_millis(10)));
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Disk) -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.suffer()?;
        change(&mut self.disk.lock())
    }

    fn attributes(&self, number: u64) -> Result<FileAttr, Refusal> {
        attributes(&self.disk.lock(), number)
    }
}

fn attributes(disk: &Disk, number: u64) -> Result<FileAttr, Refusal> {
    let (kind, perm, size) = match disk.node(number)? {
        Node::File(content) => (FileType::RegularFile, 0o644, content.size_bytes()),
        Node::Directory { .. } => (FileType::Directory, 0o755, 0),
    };
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK_BYTES as u32,
        flags: 0,
    })
}

fn errno(refusal: Refusal) -> Errno {
    Errno::from_i32(refusal)
}

fn answer(reply: ReplyEmpty, result: Result<(), Refusal>) {
    match result {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(errno(refusal)),
    }
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let disk = self.disk.lock();
        match disk.find(parent.0, name).and_then(|number| attributes(&disk, number)) {
            Ok(found) => reply.entry(&TTL, &found, Generation(0)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(number.0) {
            Ok(found) => reply.attr(&TTL, &found),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let resized = match size {
            Some(length) => self.change(|disk| disk.resize(number.0, length)),
            None => Ok(()),
        };
        match resized.and_then(|()| self.attributes(number.0)) {
            Ok(found) => reply.attr(&TTL, &found),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        let made = self.change(|disk| {
            let number = disk.create(parent.0, name, true)?;
            attributes(disk, number)
        });
        match made {
            Ok(found) => reply.entry(&TTL, &found, Generation(0)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.change(|disk| {
            let number = disk.create(parent.0, name, false)?;
            attributes(disk, number)
        });
        match made {
            Ok(found) => reply.created(&TTL, &found, Generation(0), FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.change(|disk| disk.remove(parent.0, name, false)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.change(|disk| disk.remove(parent.0, name, true)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replaces = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        let renamed = self.change(|disk| disk.rename((parent.0, name), (new_parent.0, new_name), replaces));
        answer(reply, renamed);
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let truncated = if flags.0 & libc::O_TRUNC != 0 {
            self.change(|disk| disk.resize(number.0, 0))
        } else {
            Ok(())
        };
        match truncated {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk.lock().read(number.0, offset, size as usize) {
            Ok(bytes) => reply.data(bytes),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.change(|disk| disk.write(number.0, offset, data)) {
            Ok(()) => reply.written(data.len() as u32),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Closing a file makes nothing durable.
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer(reply, self.change(|disk| disk.sync(number.0)));
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer(reply, self.change(|disk| disk.sync_names(number.0)));
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let disk = self.disk.lock();
        let names = match disk.names(number.0) {
            Ok(names) => names,
            Err(refusal) => return reply.error(errno(refusal)),
        };
        let own = [(number.0, OsStr::new(".")), (ROOT, OsStr::new(".."))];
        let entries = own
            .into_iter()
            .chain(names.iter().map(|(name, child)| (*child, &**name)));
        for (place, (child, name)) in entries.enumerate().skip(offset as usize) {
            let is_file = matches!(disk.node(child), Ok(Node::File(_)));
            let kind = if is_file {
                FileType::RegularFile
            } else {
                FileType::Directory
            };
            if reply.add(INodeNo(child), place as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let disk = self.disk.lock();
        let blocks = disk.capacity_bytes() / BLOCK_BYTES;
        let free = disk.capacity_bytes().saturating_sub(disk.used_bytes()) / BLOCK_BYTES;
        reply.statfs(
            blocks,
            free,
            free,
            1 << 20,
            1 << 20,
            BLOCK_BYTES as u32,
            255,
            BLOCK_BYTES as u32,
        );
    }
}
