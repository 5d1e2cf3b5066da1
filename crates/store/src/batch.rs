//! Rows on their way from one store to another. Plain data.

use serde::{Deserialize, Serialize};
use sync_core::{Position, Row, RowState, Source, Value};

use crate::contents::Whole;
use crate::travel;

/// A table as the sender numbers its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableHead {
    /// The table's name.
    pub name: String,
    /// The synchronised columns, in the order of the values and the ids of the states.
    pub columns: Vec<String>,
}

/// One row that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Index into [`Batch::heads`].
    pub table: usize,
    /// The key values.
    pub key: Vec<Value>,
    /// The row; its cells are numbered as in the head.
    pub row: Row,
}

impl Change {
    /// Bytes of memory, roughly.
    pub fn weight(&self) -> usize {
        let values = self.row.values.iter().flatten().map(Value::weight).sum::<usize>();
        128 + self.row.state.cells.len() * 16 + values
    }
}

/// A piece of a stream, small enough to be applied in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Who sends it.
    pub sender: Source,
    /// Where the receiver's knowledge of the sender stands once this is applied; `None` for rows sent out of order
    /// (a compare), which do not move it.
    pub upto: Option<Position>,
    /// Whether it is a part of a batch that moves it.
    pub more: bool,
    /// The tables that occur.
    pub heads: Vec<TableHead>,
    /// The rows.
    pub changes: Vec<Change>,
    /// Small contents of rows that went before, unasked; [`ALONG`] bytes of them at most.
    #[serde(deserialize_with = "travel::read_along")]
    pub contents: Vec<Whole>,
}

/// A batch takes so many bytes of contents along, as [`Whole::weight`] counts them.
pub const ALONG: usize = 1 << 20;

impl Batch {
    /// A batch without rows.
    pub fn empty(sender: Source) -> Self {
        Batch { sender, upto: None, more: false, heads: Vec::new(), changes: Vec::new(), contents: Vec::new() }
    }

    /// The index of a table's head, which is added if it is not there yet.
    pub fn head(&mut self, head: &TableHead) -> usize {
        self.heads.iter().position(|h| h.name == head.name).unwrap_or_else(|| {
            self.heads.push(head.clone());
            self.heads.len() - 1
        })
    }

    /// Bytes of memory, roughly.
    pub fn weight(&self) -> usize {
        let contents = self.contents.iter().map(Whole::weight).sum::<usize>();
        contents + self.changes.iter().map(Change::weight).sum::<usize>()
    }

    /// Whether there is nothing in it to be applied.
    pub fn is_bare(&self) -> bool {
        self.changes.is_empty() && self.upto.is_none()
    }
}

/// A row that was there before synchronisation began.
pub fn baseline_row(values: Vec<Value>) -> Row {
    Row { state: RowState::baseline(), values: Some(values) }
}
