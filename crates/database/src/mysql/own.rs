//! Our own tables in the application's database, as MySQL and MariaDB spell them. What each is for is told in
//! [`crate::meta`], [`crate::identity`], [`crate::catalog`], [`crate::vector`], [`crate::registry`], [`crate::brief`] and [`crate::conflicts`].

use crate::conflicts;
use crate::schema::{Column, Kind, Table};

/// The statements that create our tables, except the mark tables.
pub(super) fn own_tables() -> Vec<String> {
    [STORE, TABLE, ROW, SOURCE, KNOWLEDGE, ACKNOWLEDGED, TOKEN, PARKED, REGISTRY, CONFLICT, BRIEF]
        .iter()
        .map(|body| {
            format!("CREATE TABLE IF NOT EXISTS {body} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin")
        })
        .collect()
}

const STORE: &str = "server_sync_store (one TINYINT PRIMARY KEY, format INT NOT NULL, store BINARY(16) NOT NULL, \
     incarnation BIGINT UNSIGNED NOT NULL, site SMALLINT UNSIGNED NOT NULL, site_name VARCHAR(64) NOT NULL, \
     vd VARCHAR(64) NOT NULL, vd_version VARCHAR(64) NOT NULL, product_version VARCHAR(64) NOT NULL, \
     slave TINYINT NOT NULL, masters TEXT NOT NULL, excluded TEXT NOT NULL, together TEXT NOT NULL, \
     trees TEXT NOT NULL, counters TEXT, rekey TEXT, seq BIGINT UNSIGNED NOT NULL, token BIGINT UNSIGNED NOT NULL, \
     epochs BLOB)";
const TABLE: &str = "server_sync_table (number SMALLINT UNSIGNED PRIMARY KEY, name VARCHAR(64) NOT NULL UNIQUE, \
     columns_by_id MEDIUMBLOB NOT NULL, key_columns BLOB NOT NULL)";
const ROW: &str = "server_sync_row (tab SMALLINT UNSIGNED NOT NULL, id VARBINARY(32) NOT NULL, \
     seq BIGINT UNSIGNED NOT NULL, origin SMALLINT UNSIGNED NOT NULL, dead TINYINT NOT NULL, state BLOB NOT NULL, \
     row_key BLOB, kept LONGBLOB, PRIMARY KEY (tab, id), KEY by_seq (seq))";
const SOURCE: &str = "server_sync_source (number SMALLINT UNSIGNED PRIMARY KEY, store BINARY(16) NOT NULL, \
     incarnation BIGINT UNSIGNED NOT NULL, UNIQUE KEY by_source (store, incarnation))";
const KNOWLEDGE: &str = "server_sync_knowledge (store BINARY(16) NOT NULL, incarnation BIGINT UNSIGNED NOT NULL, \
     tab VARCHAR(64) NOT NULL, seq BIGINT UNSIGNED NOT NULL, token BIGINT UNSIGNED NOT NULL, \
     PRIMARY KEY (store, incarnation, tab))";
const ACKNOWLEDGED: &str = "server_sync_acknowledged (store BINARY(16) NOT NULL, incarnation BIGINT UNSIGNED NOT NULL, \
     own_incarnation BIGINT UNSIGNED NOT NULL, seq BIGINT UNSIGNED NOT NULL, \
     PRIMARY KEY (store, incarnation, own_incarnation))";
const TOKEN: &str = "server_sync_token (seq BIGINT UNSIGNED PRIMARY KEY, token BIGINT UNSIGNED NOT NULL)";
const PARKED: &str = "server_sync_parked (tab SMALLINT UNSIGNED NOT NULL, id VARBINARY(32) NOT NULL, \
     kind VARCHAR(16) NOT NULL, detail TEXT NOT NULL, other_tab SMALLINT UNSIGNED, other_key LONGBLOB, \
     PRIMARY KEY (tab, id))";
const REGISTRY: &str = "server_sync_registry (one TINYINT PRIMARY KEY, packed LONGBLOB NOT NULL)";
const CONFLICT: &str = "server_sync_conflict (id CHAR(32) PRIMARY KEY, table_name VARCHAR(64) NOT NULL, \
     kind VARCHAR(16) NOT NULL, column_name VARCHAR(64) NOT NULL, row_key LONGBLOB NOT NULL, \
     column_names MEDIUMBLOB NOT NULL, winner BIGINT UNSIGNED NOT NULL, loser BIGINT UNSIGNED NOT NULL, \
     winning LONGBLOB NOT NULL, losing LONGBLOB NOT NULL, restored TINYINT NOT NULL)";
const BRIEF: &str = "server_sync_brief (tab SMALLINT UNSIGNED NOT NULL, id VARBINARY(32) NOT NULL, \
     inserted BIGINT UNSIGNED NOT NULL, deleted BIGINT UNSIGNED NOT NULL, state BLOB NOT NULL, \
     PRIMARY KEY (tab, id, inserted), KEY by_deleted (deleted))";

/// The conflict list as a synchronised table.
pub(super) fn conflict_table() -> Table {
    let text =
        |name, size| column(name, &format!("varchar({size}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"), Kind::Text);
    let bytes = |name| column(name, "longblob", Kind::Bytes);
    let number = |name| column(name, "bigint unsigned", Kind::Integer);
    let columns = vec![
        column("id", "char(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", Kind::Text),
        text("table_name", 64),
        text("kind", 16),
        text("column_name", 64),
        bytes("row_key"),
        bytes("column_names"),
        number("winner"),
        number("loser"),
        bytes("winning"),
        bytes("losing"),
        column("restored", "tinyint", Kind::Integer),
    ];
    Table::plain(conflicts::TABLE, columns, vec![0])
}

fn column(name: &str, sql_type: &str, kind: Kind) -> Column {
    let sql_type = sql_type.to_owned();
    Column { name: name.to_owned(), definition: name.to_owned(), sql_type, kind, nullable: false, generated: false }
}
