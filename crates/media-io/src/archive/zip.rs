//! A ZIP archive written in one pass (APPNOTE 6.3.10): members stored, sizes in 64 bits, each size and CRC-32 after
//! its member, because they are not known before it.

use std::io::{self, Write};

const VERSION_ZIP64: u16 = 45;
/// Bit 3: sizes follow the member. Bit 11: names are UTF-8.
const FLAGS: u16 = 1 << 3 | 1 << 11;
const ZIP64_EXTRA: u16 = 1;

/// Writes members one after the other into `W`.
pub(crate) struct ZipWriter<W: Write> {
    out: W,
    position: u64,
    members: Vec<Member>,
    /// DOS date and time of every member.
    modified: (u16, u16),
}

struct Member {
    name: String,
    offset: u64,
    size_bytes: u64,
    crc: Crc32,
}

impl<W: Write> ZipWriter<W> {
    /// An empty archive whose members carry this date (year, month, day; 1980 to 2107) and midnight as their time.
    pub fn new(out: W, (year, month, day): (i64, u32, u32)) -> Self {
        let year = year.clamp(1980, 2107) as u16 - 1980;
        Self {
            out,
            position: 0,
            members: Vec::new(),
            modified: (year << 9 | (month as u16) << 5 | day as u16, 0),
        }
    }

    /// Begins a member; what `write_data` gets belongs to it until the next begins.
    pub fn begin(&mut self, name: &str) -> io::Result<()> {
        self.end_member()?;
        let mut head = Vec::with_capacity(64);
        put_u32(&mut head, 0x0403_4b50);
        put_u16(&mut head, VERSION_ZIP64);
        self.put_common(&mut head, 0, u32::MAX);
        put_u16(&mut head, name.len() as u16);
        put_u16(&mut head, 20);
        head.extend_from_slice(name.as_bytes());
        put_u16(&mut head, ZIP64_EXTRA);
        put_u16(&mut head, 16);
        head.extend_from_slice(&[0; 16]);
        self.members.push(Member {
            name: name.into(),
            offset: self.position,
            size_bytes: 0,
            crc: Crc32::default(),
        });
        self.put(&head)
    }

    /// Appends to the member begun last.
    pub fn write_data(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(member) = self.members.last_mut() {
            member.crc.update(bytes);
            member.size_bytes += bytes.len() as u64;
        }
        self.put(bytes)
    }

    /// Ends the archive; gives back what it was written into.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_member()?;
        let start = self.position;
        let mut directory = Vec::new();
        for member in &self.members {
            put_u32(&mut directory, 0x0201_4b50);
            put_u16(&mut directory, VERSION_ZIP64 | 3 << 8); // made on Unix
            put_u16(&mut directory, VERSION_ZIP64);
            self.put_common(&mut directory, member.crc.value(), u32::MAX);
            put_u16(&mut directory, member.name.len() as u16);
            put_u16(&mut directory, 28);
            directory.extend_from_slice(&[0; 6]); // no comment, first disk, no internal attributes
            put_u32(&mut directory, 0o100_644 << 16);
            put_u32(&mut directory, u32::MAX);
            directory.extend_from_slice(member.name.as_bytes());
            put_u16(&mut directory, ZIP64_EXTRA);
            put_u16(&mut directory, 24);
            put_u64(&mut directory, member.size_bytes);
            put_u64(&mut directory, member.size_bytes);
            put_u64(&mut directory, member.offset);
        }
        let directory_bytes = directory.len() as u64;
        let count = self.members.len() as u64;
        put_u32(&mut directory, 0x0606_4b50);
        put_u64(&mut directory, 44);
        put_u16(&mut directory, VERSION_ZIP64 | 3 << 8);
        put_u16(&mut directory, VERSION_ZIP64);
        put_u64(&mut directory, 0);
        put_u64(&mut directory, count);
        put_u64(&mut directory, count);
        put_u64(&mut directory, directory_bytes);
        put_u64(&mut directory, start);
        put_u32(&mut directory, 0x0706_4b50);
        put_u32(&mut directory, 0);
        put_u64(&mut directory, start + directory_bytes);
        put_u32(&mut directory, 1);
        put_u32(&mut directory, 0x0605_4b50);
        directory.extend_from_slice(&[0; 4]);
        put_u16(&mut directory, u16::MAX);
        put_u16(&mut directory, u16::MAX);
        put_u32(&mut directory, u32::MAX);
        put_u32(&mut directory, u32::MAX);
        put_u16(&mut directory, 0);
        self.put(&directory)?;
        Ok(self.out)
    }

    /// Flags, method 0, date, CRC and two 32-bit sizes.
    fn put_common(&self, out: &mut Vec<u8>, crc: u32, size: u32) {
        put_u16(out, FLAGS);
        put_u16(out, 0);
        put_u16(out, self.modified.1);
        put_u16(out, self.modified.0);
        put_u32(out, crc);
        put_u32(out, size);
        put_u32(out, size);
    }

    fn end_member(&mut self) -> io::Result<()> {
        let Some(member) = self.members.last() else {
            return Ok(());
        };
        let mut descriptor = Vec::with_capacity(24);
        put_u32(&mut descriptor, 0x0807_4b50);
        put_u32(&mut descriptor, member.crc.value());
        put_u64(&mut descriptor, member.size_bytes);
        put_u64(&mut descriptor, member.size_bytes);
        self.put(&descriptor)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// CRC-32 (ISO 3309, polynomial 0xEDB88320 reflected), eight bytes a step.
#[derive(Clone, Copy, Default)]
struct Crc32 {
    state: u32,
}

static CRC_TABLES: [[u32; 256]; 8] = crc_tables();

const fn crc_tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    // Table n is what a byte has become n zero bytes later.
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

impl Crc32 {
    fn update(&mut self, bytes: &[u8]) {
        let mut crc = !self.state;
        let mut eights = bytes.chunks_exact(8);
        for eight in &mut eights {
            let low = crc ^ u32::from_le_bytes([eight[0], eight[1], eight[2], eight[3]]);
            crc = 0;
            for (place, byte) in low
                .to_le_bytes()
                .into_iter()
                .chain(eight[4..].iter().copied())
                .enumerate()
            {
                crc ^= CRC_TABLES[7 - place][byte as usize];
            }
        }
        for byte in eights.remainder() {
            crc = crc >> 8 ^ CRC_TABLES[0][((crc ^ u32::from(*byte)) & 0xff) as usize];
        }
        self.state = !crc;
    }

    fn value(&self) -> u32 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_checksum_is_the_well_known_one_however_it_is_fed() {
        for cut in 0..9 {
            let mut crc = Crc32::default();
            crc.update(&b"123456789"[..cut]);
            crc.update(&b"123456789"[cut..]);
            assert_eq!(crc.value(), 0xcbf4_3926);
        }
    }

    #[test]
    fn python_reads_what_was_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = ZipWriter::new(file.reopen().unwrap(), (2026, 11, 23));
        zip.begin("1/a.mp4").unwrap();
        zip.write_data(b"hello ").unwrap();
        zip.write_data(b"world").unwrap();
        zip.begin("empty").unwrap();
        zip.begin("größe.json").unwrap();
        zip.write_data(&vec![7; 100_000]).unwrap();
        zip.finish().unwrap();
        let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
            print([(i.filename, i.file_size, i.date_time[:3]) for i in z.infolist()], z.read('1/a.mp4'))";
        let output = std::process::Command::new("python3")
            .args(["-c", script])
            .arg(file.path())
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "[('1/a.mp4', 11, (2026, 11, 23)), ('empty', 0, (2026, 11, 23)), ('größe.json', 100000, (2026, 11, 23))] b'hello world'",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
