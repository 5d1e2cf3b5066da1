//! What a merge set aside: the value that lost against a concurrent one. Only the description; noticing conflicts is
//! part of [`mod@crate::merge`].

use std::fmt;

use crate::row::ColumnId;
use crate::stamp::Stamp;
use crate::value::Value;

/// In which way two writes collided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConflictKind {
    /// Two sites wrote the same column of one row.
    Cell(ColumnId),
    /// Two sites inserted different rows under one key; the later insert is shown, the other row is kept whole.
    Insert,
    /// The row was deleted while the other site still wrote to it; the delete is later. The row is kept whole.
    UpdateLost,
    /// The row was deleted while the other site still wrote to it; the write is later, so the row is there.
    DeleteLost,
}

impl ConflictKind {
    /// The name under which it is stored and shown in JSON.
    pub fn name(self) -> &'static str {
        match self {
            ConflictKind::Cell(_) => "cell",
            ConflictKind::Insert => "insert",
            ConflictKind::UpdateLost => "update-lost",
            ConflictKind::DeleteLost => "delete-lost",
        }
    }
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One concurrent write that lost. The stamps name both sites and both times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What collided.
    pub kind: ConflictKind,
    /// The write that is shown now.
    pub winner: Stamp,
    /// The write that was set aside.
    pub loser: Stamp,
    /// What is shown now: the cell's value, or the whole row's; empty where the row is gone.
    pub winning: Vec<Value>,
    /// What was set aside: the cell's value, or the whole row's; empty for a delete.
    pub losing: Vec<Value>,
}
