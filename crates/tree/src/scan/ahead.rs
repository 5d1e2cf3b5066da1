//! What is known of the disk, in the order of paths, beside a walk through the directory in the same order.

use rusqlite::Rows;
use sync_store::Result;

use super::pass::Pass;
use crate::index::{fault, seen};
use crate::look::Seen;
use crate::walk::Sight;

/// What is known, with one path in hand.
pub(crate) struct Ahead<'s> {
    rows: Rows<'s>,
    path: Vec<u8>,
    pub(crate) seen: Seen,
    pub(crate) racy: bool,
    is_over: bool,
}

impl<'s> Ahead<'s> {
    pub(crate) fn of(rows: Rows<'s>) -> Result<Self> {
        let mut ahead = Ahead { rows, path: Vec::new(), seen: Seen::default(), racy: false, is_over: false };
        ahead.advance()?;
        Ok(ahead)
    }

    pub(crate) fn advance(&mut self) -> Result<()> {
        let Some(row) = self.rows.next().map_err(fault)? else {
            self.is_over = true;
            return Ok(());
        };
        self.path.clear();
        self.path.extend_from_slice(row.get_ref(0).map_err(fault)?.as_bytes().unwrap_or_default());
        self.seen = seen(row, 1).map_err(fault)?;
        self.racy = row.get(11).map_err(fault)?;
        Ok(())
    }

    pub(crate) fn next_is(&self, path: &[u8]) -> bool {
        !self.is_over && self.path == path
    }

    /// The next path, if it lies before this one.
    pub(crate) fn before(&self, path: Option<&[u8]>) -> Option<&[u8]> {
        (!self.is_over && path.is_none_or(|path| self.path.as_slice() < path)).then_some(&self.path)
    }

    /// What lies before a path is not there any more, unless it could not be looked at.
    pub(super) fn missing_before(
        &mut self,
        path: &[u8],
        blind: Option<&[u8]>,
        sight: Sight,
        pass: &mut Pass,
    ) -> Result<()> {
        while self.before(Some(path)).is_some() {
            self.miss(blind, sight, pass)?;
        }
        Ok(())
    }

    pub(super) fn rest(&mut self, blind: Option<&[u8]>, sight: Sight, pass: &mut Pass) -> Result<()> {
        while !self.is_over {
            self.miss(blind, sight, pass)?;
        }
        Ok(())
    }

    fn miss(&mut self, blind: Option<&[u8]>, sight: Sight, pass: &mut Pass) -> Result<()> {
        if !blind.is_some_and(|prefix| self.path.starts_with(prefix)) {
            pass.missing(&self.path, &self.seen, sight)?;
        }
        self.advance()
    }
}
