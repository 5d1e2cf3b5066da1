//! What the calls of the file system are called by whoever makes them fail, and how that is told. Fails nothing by itself.

use std::time::Duration;

use super::Result;

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Opening a directory.
    Enter,
    /// Opening a file for reading.
    Open,
    /// Opening a file for writing, making it if need be.
    Create,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Giving a file its size.
    Resize,
    /// Looking at a name.
    Look,
    /// Looking at what is open.
    Stat,
    /// Listing a directory.
    List,
    /// Having the system tell what happens in a directory.
    Watch,
    /// Asking how much room there is.
    Room,
    /// Keeping room for a file.
    Reserve,
    /// Making a directory.
    MakeDirectory,
    /// Removing a directory.
    RemoveDirectory,
    /// Removing a file or a link.
    Remove,
    /// Renaming.
    Rename,
    /// Making a symbolic link.
    Symlink,
    /// Giving a file another name.
    Link,
    /// Reading where a link leads.
    ReadLink,
    /// Making data safe.
    Sync,
    /// Writing permissions.
    Chmod,
    /// Writing an owner.
    Chown,
    /// Writing times.
    Times,
    /// Reading extended attributes.
    ReadAttributes,
    /// Writing an extended attribute.
    WriteAttribute,
    /// Beginning a transaction of the index.
    Begin,
    /// Ending it.
    Commit,
}

impl Op {
    /// Whether it changes anything.
    pub fn writes(self) -> bool {
        !matches!(
            self,
            Op::Enter
                | Op::Open
                | Op::Read
                | Op::Look
                | Op::Stat
                | Op::List
                | Op::Watch
                | Op::Room
                | Op::ReadLink
                | Op::ReadAttributes
                | Op::Begin
        )
    }
}

/// Is asked before each call, with the name that the call is about, if it has one. An error is that call's answer.
pub trait Fault: Send + Sync {
    /// The call that comes.
    ///
    /// # Errors
    /// What the call shall answer instead of being made.
    fn before(&self, op: Op, name: &[u8]) -> Result<()>;

    /// How long ago the last change of a file must be for it to count as at rest, where it is not the usual.
    fn coarse(&self) -> Option<Duration> {
        None
    }

    /// Whether the tree shall make a mistake, so that it is seen that tests find it.
    fn slips(&self, _slip: Slip) -> bool {
        false
    }
}

/// Mistakes that are easily made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    /// What is at a place is not looked at again before it is replaced.
    NoSecondLook,
    /// What is in a directory that cannot be listed is gone.
    BlindIsGone,
    /// The index is written before the files are in their places.
    IndexFirst,
    /// Of two edits that meet in a scan, one is forgotten.
    NoCopy,
}
