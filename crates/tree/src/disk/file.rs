//! What is done with a file that is open. Knows no names.

use std::io::{self, Read, Write};
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::thread::JoinHandle;

use rustix::fs::{self, FallocateFlags};
use rustix::io::Errno;

use super::{Handle, Op, Result};

/// A file that is open.
pub(crate) struct File(pub(super) Handle);

impl Deref for File {
    type Target = Handle;
    fn deref(&self) -> &Handle {
        &self.0
    }
}

impl File {
    /// Gives it a size, unless it has it.
    pub(crate) fn resize(&self, size: u64) -> io::Result<()> {
        if self.stat()?.st_size.cast_unsigned() == size {
            return Ok(());
        }
        self.disk.may(Op::Resize, b"")?;
        Ok(fs::ftruncate(self.as_fd(), size)?)
    }

    /// Keeps room for some of its bytes. A file system that cannot is no hindrance.
    pub(crate) fn reserve(&self, offset: u64, size: u64) -> Result<()> {
        self.disk.may(Op::Reserve, b"")?;
        match fs::fallocate(self.as_fd(), FallocateFlags::KEEP_SIZE, offset, size) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            other => other,
        }
    }

    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.may(Op::Read, b"")?;
        self.file.read_exact_at(bytes, offset)
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.may(Op::Write, b"")?;
        self.file.write_all_at(bytes, offset)
    }

    /// Reads until the buffer is full or the file ends; says how much that is.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.may(Op::Read, b"")?;
        let mut done = 0;
        while done < bytes.len() {
            match self.file.read_at(&mut bytes[done..], offset + done as u64)? {
                0 => break,
                more => done += more,
            }
        }
        Ok(done)
    }

    /// Makes its data safe beside other work; the answer is there once that is joined.
    pub(crate) fn sync_data_beside(&self) -> io::Result<JoinHandle<Result<()>>> {
        self.disk.may(Op::Sync, b"")?;
        let file = self.file.try_clone()?;
        Ok(std::thread::spawn(move || fs::fdatasync(&file)))
    }

    /// Makes its data safe.
    pub(crate) fn sync_data(&self) -> Result<()> {
        self.disk.may(Op::Sync, b"")?;
        fs::fdatasync(self.as_fd())
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.disk.may(Op::Read, b"")?;
        self.0.file.read(buffer)
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.disk.may(Op::Write, b"")?;
        self.0.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.file.flush()
    }
}
