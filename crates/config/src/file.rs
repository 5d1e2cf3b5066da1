//! Reads small plain files.
//!
//! Never follows a name to a pipe or a device (reading would wait), and never reads without a bound.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Opens a plain file and tells its mode; both are of the same file even if the name moves.
pub(crate) fn open(path: &Path) -> io::Result<(File, u32)> {
    // Asked before opening, because opening a pipe waits for a writer, and after, because it is the truth.
    plain(&path.metadata()?)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    plain(&metadata)?;
    Ok((file, metadata.permissions().mode()))
}

fn plain(metadata: &std::fs::Metadata) -> io::Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("not a plain file")),
    }
}

/// The whole text, unless it has more than `longest` bytes or is not UTF-8.
pub(crate) fn text(file: File, longest: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        return Err(io::Error::other(format!("longer than {longest} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8 text"))
}
