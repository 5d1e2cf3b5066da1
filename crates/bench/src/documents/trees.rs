//! The trees that are brought into step: contents that no program can guess or compress, the same each time.

use std::fs;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::Result;

/// Files in a directory.
const TOGETHER: u64 = 100;

/// Numbers that look random (xorshift64).
struct Dice(u64);

impl Dice {
    fn of(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn write(&mut self, to: &mut impl Write, bytes: u64) -> Result<()> {
        let mut left = bytes;
        while left > 0 {
            let length = left.min(8);
            to.write_all(&self.next().to_le_bytes()[..length as usize])?;
            left -= length;
        }
        Ok(())
    }
}

fn new(root: &Path) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    Ok(fs::create_dir_all(root)?)
}

/// So many files of half to one and a half times the mean size.
pub fn fill(root: &Path, files: u64, megabytes: u64) -> Result<()> {
    new(root)?;
    let mean = megabytes * 1_000_000 / files;
    for number in 0..files {
        let directory = root.join(format!("{:02}/{:03}", number / TOGETHER / 100, number / TOGETHER % 100));
        if number % TOGETHER == 0 {
            fs::create_dir_all(&directory)?;
        }
        let mut dice = Dice::of(number + 1);
        let size = mean / 2 + dice.next() % mean.max(1);
        let mut file = BufWriter::new(fs::File::create(directory.join(format!("document {number}.bin")))?);
        dice.write(&mut file, size)?;
        file.flush()?;
    }
    Ok(())
}

fn large_file(root: &Path) -> PathBuf {
    root.join("archive.bin")
}

/// One file of so many MiB.
pub fn large(root: &Path, mebibytes: u64) -> Result<()> {
    new(root)?;
    let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(large_file(root))?);
    Dice::of(7).write(&mut file, mebibytes << 20)?;
    Ok(file.flush()?)
}

/// Inserts a kilobyte in the middle, as an application that writes anew and renames.
pub fn insert(root: &Path) -> Result<()> {
    let (old, new) = (large_file(root), root.join(".archive.new"));
    let middle = fs::metadata(&old)?.len() / 2;
    let mut from = BufReader::with_capacity(1 << 20, fs::File::open(&old)?);
    let mut to = BufWriter::with_capacity(1 << 20, fs::File::create(&new)?);
    std::io::copy(&mut (&mut from).take(middle), &mut to)?;
    Dice::of(99).write(&mut to, 1024)?;
    std::io::copy(&mut from, &mut to)?;
    to.flush()?;
    Ok(fs::rename(new, old)?)
}

/// The first path with another size or time, or with nothing at the other place. Not the contents: they would have to be read
/// between the runs.
pub fn differ(here: &Path, there: &Path) -> Result<Option<PathBuf>> {
    for item in fs::read_dir(here)? {
        let item = item?;
        let (path, other) = (item.path(), there.join(item.file_name()));
        let name = item.file_name();
        if name == ".server_sync" || name == ".stfolder" {
            continue;
        }
        let Ok(theirs) = fs::symlink_metadata(&other) else { return Ok(Some(path)) };
        if item.file_type()?.is_dir() {
            if let Some(path) = differ(&path, &other)? {
                return Ok(Some(path));
            }
        } else if item.metadata()?.len() != theirs.len() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
