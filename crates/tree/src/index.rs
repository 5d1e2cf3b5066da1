//! The index: an SQLite file whose table `entry` is what is synchronised, a row a path; and beside it what is only this
//! machine's: what is on the disk (`disk`), what lies in the trash, what settled before. Statements only.
//!
//! Everything is written here as an application writes: the triggers of [`sync_database`] mark what happens to `entry`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Params, Row, Statement, Transaction, TransactionBehavior, params,
};
use sync_core::codec::unpack_state;
use sync_core::{RowId, RowState, Value};
use sync_store::{Hash, Result, StoreError, Trouble};

use crate::cells::{Account, Cells, Content};
use crate::disk::{Disk, Op};
use crate::ignore::Ignore;
use crate::look::{Known, Seen};
use crate::pending;
use crate::root::Marker;
use crate::seams::Prepare;

/// The file of an index that has this ending: none, `-wal`, `-shm`.
pub fn file_of(index: &Path, ending: &str) -> PathBuf {
    let mut name = index.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The synchronised table.
pub const ENTRY: &str = "entry";

/// The tables that stay here.
pub const LOCAL: [&str; 12] = [
    "disk",
    "trash",
    "removed",
    "settled",
    "chunk",
    "root",
    "pending",
    "listed",
    "joined",
    "vain",
    "stranger",
    "rows_first",
];

/// `kind` and `hash` are for queries and for people. `owner` and `grp` hold a number as an integer or a name as bytes, which
/// SQLite takes for no number, see [`Account`]; in indexes of earlier versions there are numbers only, and they mean the same.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS entry (path BLOB NOT NULL PRIMARY KEY, content BLOB NOT NULL, mode INTEGER NOT NULL, \
    owner INTEGER NOT NULL, grp INTEGER NOT NULL, xattrs BLOB NOT NULL, \
    kind TEXT GENERATED ALWAYS AS (CAST(substr(content,1,1) AS TEXT)) VIRTUAL, \
    hash BLOB GENERATED ALWAYS AS (CASE WHEN substr(content,1,1)=x'66' THEN substr(content,2,32) END) VIRTUAL, \
    twin BLOB NOT NULL DEFAULT x'');
CREATE INDEX IF NOT EXISTS entry_hash ON entry (hash) WHERE hash IS NOT NULL;
CREATE INDEX IF NOT EXISTS entry_twin ON entry (twin) WHERE twin<>x'';
CREATE TABLE IF NOT EXISTS disk (path BLOB NOT NULL PRIMARY KEY, content BLOB NOT NULL, mode INTEGER NOT NULL, \
    owner INTEGER NOT NULL, grp INTEGER NOT NULL, xattrs BLOB NOT NULL, hash BLOB, dev INTEGER NOT NULL, \
    ino INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, kind INTEGER NOT NULL, \
    seen_mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL, seen_xattrs BLOB NOT NULL, \
    racy INTEGER NOT NULL, twin BLOB NOT NULL DEFAULT x'', links INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS disk_hash ON disk (hash) WHERE hash IS NOT NULL;
CREATE INDEX IF NOT EXISTS disk_ino ON disk (ino);
CREATE INDEX IF NOT EXISTS disk_large ON disk (size) WHERE size>8388608;
CREATE TABLE IF NOT EXISTS trash (path BLOB NOT NULL, at INTEGER NOT NULL, hash BLOB NOT NULL, size INTEGER NOT NULL, \
    mode INTEGER NOT NULL, owner INTEGER NOT NULL, grp INTEGER NOT NULL, xattrs BLOB NOT NULL, mtime INTEGER NOT NULL, \
    PRIMARY KEY (path, at)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS trash_hash ON trash (hash);
CREATE TABLE IF NOT EXISTS removed (path BLOB NOT NULL PRIMARY KEY, hash BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunk (content BLOB NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL, \
    hash BLOB NOT NULL, here INTEGER NOT NULL, PRIMARY KEY (content, offset)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS chunk_hash ON chunk (hash);
CREATE TABLE IF NOT EXISTS joined (dev INTEGER NOT NULL, ino INTEGER NOT NULL, PRIMARY KEY (dev, ino)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stranger (kind TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS root (one INTEGER PRIMARY KEY CHECK (one=1), marker TEXT NOT NULL, ino INTEGER NOT NULL, \
    realised INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS rows_first (one INTEGER PRIMARY KEY CHECK (one=1), why INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS vain (hash BLOB NOT NULL PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (path BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS listed (one INTEGER PRIMARY KEY CHECK (one=1), patterns TEXT NOT NULL);";

/// Hashes and inodes come in no order, so that each lot of files touches pages all over their indexes: they are kept in memory
/// (32 MiB at most), and go to the file once for many lots.
const TUNING: &str = "PRAGMA synchronous=FULL; PRAGMA cache_size=-32768; PRAGMA wal_autocheckpoint=4096";

/// The columns of [`Known`], after the path.
pub const KNOWN: &str = "content, mode, owner, grp, xattrs, twin, dev, ino, size, mtime, ctime, kind, seen_mode, uid, gid, \
     links, seen_xattrs, racy";

/// The columns of [`Seen`], and whether it has to be read again.
pub const SEEN: &str = "dev, ino, size, mtime, ctime, kind, seen_mode, uid, gid, links, racy";

/// The columns of [`Cells`].
pub const CELLS: &str = "content, mode, owner, grp, xattrs, twin";

/// These columns, of the table that a query calls so.
pub fn columns_of(table: &str, columns: &str) -> String {
    columns.split(", ").map(|column| format!("{table}.{column}")).collect::<Vec<_>>().join(", ")
}

/// What indexes of earlier versions do not have.
const ADDED: [(&str, &str, &str); 3] = [
    (ENTRY, "twin", "BLOB NOT NULL DEFAULT x''"),
    ("disk", "twin", "BLOB NOT NULL DEFAULT x''"),
    ("disk", "links", "INTEGER NOT NULL DEFAULT 1"),
];

/// The open index.
pub struct Index {
    path: PathBuf,
    disk: Disk,
    connection: Connection,
}

impl Index {
    /// Opens the file; makes it where there is none.
    pub fn open(path: &Path, disk: &Disk, prepare: Option<Prepare>) -> Result<Self> {
        let connection = Connection::open(path).map_err(fault)?;
        prepare.map_or(Ok(()), |prepare| prepare(&connection)).map_err(fault)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(fault)?;
        connection.set_prepared_statement_cache_capacity(128);
        // Without it, each statement that could use an index over some rows only (`entry_hash`, `disk_hash`) is prepared anew
        // whenever a value is bound, as the value might decide about it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(fault)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(fault)?;
        connection.execute_batch(TUNING).map_err(fault)?;
        upgrade(&connection).and_then(|()| connection.execute_batch(TABLES)).map_err(fault)?;
        Ok(Index { path: path.to_owned(), disk: disk.clone(), connection })
    }

    /// Gives queries the functions `ignored(path, is_directory)` and `content_size(content)`.
    pub fn set_functions(&self, ignore: Arc<Ignore>) -> Result<()> {
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        let ignored = move |context: &Context| {
            let path = context.get_raw(0).as_blob().unwrap_or_default();
            Ok(ignore.covers(path, context.get(1)?))
        };
        // The sum of many may be more than a number holds, if a peer lies: each is less than a petabyte here.
        let size = |context: &Context| {
            let packed = context.get_raw(0).as_blob().unwrap_or_default();
            Ok(i64::try_from(crate::cells::size(packed).min(1 << 50)).unwrap_or(i64::MAX))
        };
        self.connection.create_scalar_function("ignored", 2, flags, ignored).map_err(fault)?;
        self.connection.create_scalar_function("content_size", 1, flags, size).map_err(fault)
    }

    /// Is another number once anything was written to the index, by whomever.
    pub fn version(&self) -> Result<(i64, u64)> {
        let others = self.connection.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(fault)?;
        Ok((others, self.connection.total_changes()))
    }

    /// Another connection, which reads from a snapshot beside our writing.
    pub fn reader(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&self.path, flags).map_err(fault)?;
        reader.busy_timeout(Duration::from_secs(5)).map_err(fault)?;
        Ok(reader)
    }

    /// Begins a transaction that writes.
    pub fn begin(&mut self) -> Result<Writing<'_>> {
        self.disk.may(Op::Begin, b"").map_err(refused)?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
        Ok(Writing { transaction, disk: &self.disk })
    }

    /// Looks things up.
    pub fn look(&self) -> Look<'_> {
        Look(&self.connection)
    }

    /// The root as it was when it was set up.
    pub fn root(&self) -> Result<Option<Marker>> {
        root(self.look())
    }

    /// Remembers the root.
    pub fn set_root(&self, marker: &Marker) -> Result<()> {
        let statement = "INSERT OR IGNORE INTO root (one, marker, ino, realised) VALUES (1, ?, ?, 0)";
        self.connection.execute(statement, params![marker.id, marker.inode.cast_signed()]).map(drop).map_err(fault)
    }
}

/// Gives an index of an earlier version the columns that it lacks. Their defaults say that nothing is known: no row is
/// changed by that, and what there is to say is found by the next scan.
fn upgrade(connection: &Connection) -> rusqlite::Result<()> {
    let lacks =
        |(table, column, _): &(&str, &str, &str)| {
            let columns = "SELECT COUNT(*), COALESCE(SUM(name=?2),0) FROM pragma_table_xinfo(?1)";
            connection
                .query_row(columns, [table, column], |row| Ok(row.get::<_, i64>(0)? > 0 && row.get::<_, i64>(1)? == 0))
        };
    for added @ (table, column, definition) in ADDED {
        if lacks(&added)? {
            connection.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {definition}"))?;
        }
    }
    Ok(())
}

/// A transaction that writes; what is not committed is taken back.
pub struct Writing<'a> {
    transaction: Transaction<'a>,
    disk: &'a Disk,
}

impl Writing<'_> {
    /// What was written stays.
    pub fn commit(self) -> Result<()> {
        self.disk.may(Op::Commit, b"").map_err(refused)?;
        self.transaction.commit().map_err(fault)
    }

    /// Looks things up in it.
    pub fn look(&self) -> Look<'_> {
        Look(&self.transaction)
    }

    /// Runs a statement; says how many rows it concerned.
    pub fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.transaction.prepare_cached(sql).and_then(|mut s| s.execute(params)).map_err(fault)
    }

    /// Writes a row, which what is on the disk has to be made like.
    pub fn put_entry(&self, path: &[u8], cells: &Cells) -> Result<()> {
        self.put_alike(path, cells)?;
        pending::add(self, path)
    }

    /// Writes a row that says what is on the disk. Only the cells that differ are marked.
    pub fn put_alike(&self, path: &[u8], cells: &Cells) -> Result<()> {
        let Cells { mode, owner, group, attributes, twin, .. } = cells;
        let content = cells.content.pack();
        let params = params![content, mode, owner, group, attributes, twin, path];
        let update = "UPDATE entry SET content=?, mode=?, owner=?, grp=?, xattrs=?, twin=? WHERE path=?";
        if self.run(update, params)? == 0 {
            let insert = "INSERT INTO entry (content, mode, owner, grp, xattrs, twin, path) VALUES (?,?,?,?,?,?,?)";
            self.run(insert, params)?;
        }
        Ok(())
    }

    /// Removes a row of what is not on the disk.
    pub fn delete_alike(&self, path: &[u8]) -> Result<()> {
        self.run("DELETE FROM entry WHERE path=?", [path]).map(drop)
    }

    /// Writes down what is on the disk.
    pub fn put_known(&self, path: &[u8], known: &Known) -> Result<()> {
        let Known { cells, seen, attributes, racy } = known;
        let statement = "INSERT OR REPLACE INTO disk (path, content, mode, owner, grp, xattrs, hash, dev, ino, size, mtime, \
             ctime, kind, seen_mode, uid, gid, seen_xattrs, racy, twin, links) \
             VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
        let hash = hash_of(&cells.content);
        self.run(
            statement,
            params![
                path,
                cells.content.pack(),
                cells.mode,
                cells.owner,
                cells.group,
                cells.attributes,
                hash.map(|h| h.0),
                seen.device.cast_signed(),
                seen.inode.cast_signed(),
                seen.size.cast_signed(),
                seen.mtime,
                seen.ctime,
                seen.kind,
                seen.mode,
                seen.owner,
                seen.group,
                attributes,
                racy,
                cells.twin,
                seen.links.cast_signed()
            ],
        )?;
        self.run("DELETE FROM removed WHERE path=?", [path]).map(drop)
    }

    /// Writes down that nothing is there any more.
    pub fn delete_known(&self, path: &[u8]) -> Result<()> {
        self.run("INSERT OR REPLACE INTO removed (path, hash) SELECT path, hash FROM disk WHERE path=?", [path])?;
        self.run("DELETE FROM disk WHERE path=?", [path]).map(drop)
    }
}

/// Looking things up.
#[derive(Clone, Copy)]
pub struct Look<'a>(&'a Connection);

impl<'a> Look<'a> {
    /// At an index that somebody else works on.
    pub fn on(connection: &'a Connection) -> Self {
        Look(connection)
    }

    /// A query of which there may be many rows.
    pub fn prepare(&self, sql: &str) -> Result<Statement<'a>> {
        self.0.prepare(sql).map_err(fault)
    }

    /// The first row of a query.
    pub fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.0.prepare_cached(sql).map_err(fault)?;
        statement.query_row(params, read).optional().map_err(fault)
    }

    /// All rows of a query that is known to be small.
    pub fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.0.prepare_cached(sql).map_err(fault)?;
        let rows = statement.query_map(params, read).map_err(fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fault)
    }

    /// A single value, of a query that has one.
    pub fn one<T: FromSql>(&self, sql: &str, params: impl Params) -> Result<Option<T>> {
        self.first(sql, params, |row| row.get(0))
    }

    /// The row of a path.
    pub fn entry(&self, path: &[u8]) -> Result<Option<Cells>> {
        self.first(&format!("SELECT {CELLS} FROM entry WHERE path=?"), [path], |row| cells(row, 0))
    }

    /// What is known of the disk at a path.
    pub fn known(&self, path: &[u8]) -> Result<Option<Known>> {
        self.first(&format!("SELECT {KNOWN} FROM disk WHERE path=?"), [path], |row| known(row, 0))
    }

    /// The state of a path's row, living or dead; nothing if it was never heard of, or is from before synchronisation.
    pub fn state(&self, path: &[u8]) -> Result<Option<RowState>> {
        let id = RowId::of(&[Value::Bytes(path.to_vec())]);
        let query =
            "SELECT state FROM server_sync_row WHERE tab=(SELECT number FROM server_sync_table WHERE name=?) AND id=?";
        let state: Option<Vec<u8>> = self.one(query, params![ENTRY, id.as_bytes()])?;
        Ok(state.map(|s| unpack_state(&s)).transpose()?)
    }

    /// Whether a row lives below a path.
    pub fn has_below(&self, table: &str, path: &[u8]) -> Result<bool> {
        let (from, to) = crate::name::below(path);
        let query = format!("SELECT 1 FROM {table} WHERE path>=? AND path<? LIMIT 1");
        Ok(self.one::<i64>(&query, params![from, to])?.is_some())
    }
}

impl ToSql for Account {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Account::Number(number) => i64::from(*number).into(),
            Account::Name(name) => ToSqlOutput::Borrowed(ValueRef::Blob(name.as_bytes())),
        })
    }
}

/// Also [`Account::NOBODY`], which the trash has.
impl FromSql for Account {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Integer(number) => {
                u32::try_from(number).map(Account::Number).map_err(|_| FromSqlError::OutOfRange(number))
            }
            ValueRef::Blob(name) => {
                str::from_utf8(name).map(|name| Account::Name(name.to_owned())).map_err(FromSqlError::other)
            }
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// What is remembered of the directory that the index is about.
pub fn root(look: Look) -> Result<Option<Marker>> {
    look.first("SELECT marker, ino FROM root", [], |row| Ok(Marker { id: row.get(0)?, inode: unsigned(row, 1)? }))
}

/// Reads the columns [`CELLS`].
pub fn cells(row: &Row, at: usize) -> rusqlite::Result<Cells> {
    let content: Vec<u8> = row.get(at)?;
    Ok(Cells {
        content: Content::unpack(&content).map_err(|e| unreadable(at, e))?,
        mode: row.get(at + 1)?,
        owner: row.get(at + 2)?,
        group: row.get(at + 3)?,
        attributes: row.get(at + 4)?,
        twin: row.get(at + 5)?,
    })
}

/// Reads the columns [`SEEN`] but for the last.
pub fn seen(row: &Row, at: usize) -> rusqlite::Result<Seen> {
    Ok(Seen {
        device: unsigned(row, at)?,
        inode: unsigned(row, at + 1)?,
        size: unsigned(row, at + 2)?,
        mtime: row.get(at + 3)?,
        ctime: row.get(at + 4)?,
        kind: row.get(at + 5)?,
        mode: row.get(at + 6)?,
        owner: row.get(at + 7)?,
        group: row.get(at + 8)?,
        links: unsigned(row, at + 9)?,
    })
}

/// Reads the columns [`KNOWN`].
pub fn known(row: &Row, at: usize) -> rusqlite::Result<Known> {
    let seen = seen(row, at + 6)?;
    Ok(Known { cells: cells(row, at)?, seen, attributes: row.get(at + 16)?, racy: row.get(at + 17)? })
}

fn unsigned(row: &Row, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::cast_unsigned)
}

fn unreadable(at: usize, e: StoreError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Blob, Box::new(e))
}

/// Reads a hash.
pub fn hash(row: &Row, at: usize) -> rusqlite::Result<Hash> {
    row.get(at).map(Hash)
}

/// The hash of a content, if it is a file's.
pub fn hash_of(content: &Content) -> Option<Hash> {
    match content {
        Content::File { hash, .. } => Some(*hash),
        _ => None,
    }
}

/// A test says that the system does not let us write.
fn refused(e: rustix::io::Errno) -> StoreError {
    StoreError::new(Trouble::Failure, format!("the index of the tree: {e}"))
}

/// An error of SQLite, by what helps.
pub fn fault(e: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseCorrupt, DatabaseLocked, NotADatabase};
    let trouble = match e.sqlite_error_code() {
        Some(DatabaseBusy | DatabaseLocked) => Trouble::Contention,
        Some(DatabaseCorrupt | NotADatabase) => Trouble::Corrupt,
        _ => Trouble::Failure,
    };
    let error = StoreError::new(trouble, format!("the index of the tree: {e}"));
    match trouble {
        Trouble::Corrupt => error.hint("delete the index file: it is made again from the directory"),
        _ => error,
    }
}
