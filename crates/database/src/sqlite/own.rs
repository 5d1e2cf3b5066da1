//! Our own tables in the application's database, as SQLite spells them: the same as in [`crate::mysql`]. What each is
//! for is told in [`crate::meta`], [`crate::identity`], [`crate::catalog`], [`crate::vector`], [`crate::registry`], [`crate::brief`] and [`crate::conflicts`].
//!
//! Nothing here needs a newer SQLite than the triggers do (3.15): the application's reads these definitions as well.

use crate::conflicts;
use crate::schema::{Column, Kind, Table};

/// The statements that create our tables, except the mark tables.
pub(super) fn own_tables() -> Vec<String> {
    let tables = [STORE, TABLE, ROW, SOURCE, KNOWLEDGE, ACKNOWLEDGED, TOKEN, PARKED, REGISTRY, CONFLICT, BRIEF];
    let tables = tables.iter().map(|body| format!("CREATE TABLE IF NOT EXISTS {body}"));
    let indexes = [BY_SEQ, BY_DELETED].map(|body| format!("CREATE INDEX IF NOT EXISTS {body}"));
    tables.chain(indexes).collect()
}

const STORE: &str = "server_sync_store (one INTEGER PRIMARY KEY, format INTEGER NOT NULL, store BLOB NOT NULL, \
     incarnation INTEGER NOT NULL, site INTEGER NOT NULL, site_name TEXT NOT NULL, vd TEXT NOT NULL, \
     vd_version TEXT NOT NULL, product_version TEXT NOT NULL, slave INTEGER NOT NULL, masters TEXT NOT NULL, \
     excluded TEXT NOT NULL, together TEXT NOT NULL, trees TEXT NOT NULL, counters TEXT, rekey TEXT, \
     seq INTEGER NOT NULL, token INTEGER NOT NULL, epochs BLOB)";
const TABLE: &str = "server_sync_table (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, \
     columns_by_id BLOB NOT NULL, key_columns BLOB NOT NULL)";
const ROW: &str = "server_sync_row (tab INTEGER NOT NULL, id BLOB NOT NULL, seq INTEGER NOT NULL, \
     origin INTEGER NOT NULL, dead INTEGER NOT NULL, state BLOB NOT NULL, row_key BLOB, kept BLOB, \
     PRIMARY KEY (tab, id)) WITHOUT ROWID";
const BY_SEQ: &str = "server_sync_row_by_seq ON server_sync_row (seq)";
const SOURCE: &str = "server_sync_source (number INTEGER PRIMARY KEY, store BLOB NOT NULL, \
     incarnation INTEGER NOT NULL, UNIQUE (store, incarnation))";
const KNOWLEDGE: &str = "server_sync_knowledge (store BLOB NOT NULL, incarnation INTEGER NOT NULL, tab TEXT NOT NULL, \
     seq INTEGER NOT NULL, token INTEGER NOT NULL, PRIMARY KEY (store, incarnation, tab)) WITHOUT ROWID";
const ACKNOWLEDGED: &str = "server_sync_acknowledged (store BLOB NOT NULL, incarnation INTEGER NOT NULL, \
     own_incarnation INTEGER NOT NULL, seq INTEGER NOT NULL, \
     PRIMARY KEY (store, incarnation, own_incarnation)) WITHOUT ROWID";
const TOKEN: &str = "server_sync_token (seq INTEGER PRIMARY KEY, token INTEGER NOT NULL)";
const PARKED: &str = "server_sync_parked (tab INTEGER NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL, \
     detail TEXT NOT NULL, other_tab INTEGER, other_key BLOB, PRIMARY KEY (tab, id)) WITHOUT ROWID";
const REGISTRY: &str = "server_sync_registry (one INTEGER PRIMARY KEY, packed BLOB NOT NULL)";
const CONFLICT: &str = "server_sync_conflict (id TEXT NOT NULL PRIMARY KEY, table_name TEXT NOT NULL, \
     kind TEXT NOT NULL, column_name TEXT NOT NULL, row_key BLOB NOT NULL, column_names BLOB NOT NULL, \
     winner INTEGER NOT NULL, loser INTEGER NOT NULL, winning BLOB NOT NULL, losing BLOB NOT NULL, \
     restored INTEGER NOT NULL)";
const BRIEF: &str = "server_sync_brief (tab INTEGER NOT NULL, id BLOB NOT NULL, inserted INTEGER NOT NULL, \
     deleted INTEGER NOT NULL, state BLOB NOT NULL, PRIMARY KEY (tab, id, inserted)) WITHOUT ROWID";
const BY_DELETED: &str = "server_sync_brief_by_deleted ON server_sync_brief (deleted)";

/// The conflict list as a synchronised table.
pub(super) fn conflict_table() -> Table {
    let columns = [
        ("id", Kind::Text),
        ("table_name", Kind::Text),
        ("kind", Kind::Text),
        ("column_name", Kind::Text),
        ("row_key", Kind::Bytes),
        ("column_names", Kind::Bytes),
        ("winner", Kind::Integer),
        ("loser", Kind::Integer),
        ("winning", Kind::Bytes),
        ("losing", Kind::Bytes),
        ("restored", Kind::Integer),
    ];
    Table::plain(conflicts::TABLE, columns.into_iter().map(column).collect(), vec![0])
}

fn column((name, kind): (&str, Kind)) -> Column {
    let sql_type = match kind {
        Kind::Text => "TEXT",
        Kind::Integer => "INTEGER",
        _ => "BLOB",
    };
    let (name, sql_type) = (name.to_owned(), sql_type.to_owned());
    Column { definition: name.clone(), name, sql_type, kind, nullable: false, generated: false }
}
