//! The marks of one table as one snapshot has them, row by row, in a temporary file: a query's result that may be large
//! is read whole and at once, so that its connection is free for other queries of the same snapshot. Decides nothing.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use sync_core::{Value, codec};
use sync_store::{Result, StoreError, Trouble};

use crate::layout::Tracked;
use crate::marks::{Marks, Reader};
use crate::sql::Sql;

/// Marks that were read and not yet taken.
pub(crate) struct Spool {
    file: BufReader<File>,
    /// Read, but of a row that did not fit any more.
    held: Option<Vec<Value>>,
}

impl Spool {
    /// Reads the whole result of a query of marks ([`Reader`] says which columns), all marks of a row together.
    pub fn read(sql: &mut dyn Sql, query: &str) -> Result<Self> {
        let mut file = BufWriter::new(tempfile::tempfile().map_err(|e| disk(&e))?);
        sql.query(query, &[], &mut |row| {
            let bytes = codec::pack_values(&row);
            let length = (bytes.len() as u64).to_le_bytes();
            file.write_all(&length).and_then(|()| file.write_all(&bytes)).map_err(|e| disk(&e))
        })?;
        let mut file = file.into_inner().map_err(|e| disk(e.error()))?;
        file.rewind().map_err(|e| disk(&e))?;
        Ok(Spool { file: BufReader::new(file), held: None })
    }

    /// The marks of the next so many rows; none at the end.
    pub fn take(&mut self, tracked: &Tracked, rows: usize) -> Result<Marks> {
        let mut reader = Reader::new(tracked);
        while let Some(mark) = self.next()? {
            if reader.rows() >= rows && !reader.has_row_of(&mark) {
                self.held = Some(mark);
                break;
            }
            reader.add(mark)?;
        }
        Ok(reader.into_marks())
    }

    fn next(&mut self) -> Result<Option<Vec<Value>>> {
        if let Some(mark) = self.held.take() {
            return Ok(Some(mark));
        }
        let mut length = [0; 8];
        match self.file.read_exact(&mut length) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(|e| disk(&e))?,
        }
        let mut bytes = vec![0; u64::from_le_bytes(length) as usize];
        self.file.read_exact(&mut bytes).map_err(|e| disk(&e))?;
        Ok(Some(codec::unpack_values(&bytes)?))
    }
}

fn disk(error: &io::Error) -> StoreError {
    StoreError::new(Trouble::Failure, format!("cannot use a temporary file for waiting changes: {error}"))
        .hint("free some space in the temporary folder (TMPDIR): about 50 bytes a change are needed")
}
