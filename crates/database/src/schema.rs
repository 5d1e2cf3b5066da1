//! The application's schema as synchronisation sees it. Plain data; reading it is the dialects' business.

/// Everything our tables and triggers in the application's database are called begins with this.
pub const PREFIX: &str = "server_sync_";

/// The tables, foreign keys and triggers of a database, without our own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// Base tables, sorted by name.
    pub tables: Vec<Table>,
    /// Foreign keys between them.
    pub foreign_keys: Vec<ForeignKey>,
    /// All triggers, ours too, in the order in which they fire.
    pub triggers: Vec<Trigger>,
}

impl Schema {
    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.name == name)
    }
}

/// A base table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// All columns in their order, generated ones too.
    pub columns: Vec<Column>,
    /// Indexes into `columns` of the key that identifies rows: the primary key, else the first unique key without
    /// nullable columns (the one InnoDB clusters by). Empty: the table cannot be synchronised.
    pub key: Vec<usize>,
    /// Whether it has a primary key.
    pub has_primary: bool,
    /// Other unique keys, as indexes into `columns`.
    pub uniques: Vec<Vec<usize>>,
    /// Indexes into `columns` of those that merge by adding, as the settings say; empty where a schema was only read.
    pub counters: Vec<usize>,
    /// Whether a row that loses against another one of its key gets a new key, as the settings say.
    pub rekeys: bool,
    /// Whether marks are atomic with the rows: false for MyISAM, Aria and the like.
    pub transactional: bool,
}

impl Table {
    /// A transactional table with a primary key at these indexes, and nothing else.
    pub fn plain(name: impl Into<String>, columns: Vec<Column>, key: Vec<usize>) -> Self {
        Table {
            name: name.into(),
            columns,
            key,
            has_primary: true,
            uniques: Vec::new(),
            counters: Vec::new(),
            rekeys: false,
            transactional: true,
        }
    }

    /// The key's columns.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().map(|i| &self.columns[*i])
    }

    /// The columns that merge by adding.
    pub fn counter_columns(&self) -> impl Iterator<Item = &Column> {
        self.counters.iter().map(|i| &self.columns[*i])
    }

    /// The columns that are synchronised: all but generated ones.
    pub fn stored_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| !c.generated)
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The type as it is written in CREATE TABLE, character set and collation included, NOT NULL and defaults not.
    pub sql_type: String,
    /// What values it holds.
    pub kind: Kind,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// Whether the database computes it; such a column is never written and never sent.
    pub generated: bool,
    /// The normalised definition that goes into the table's fingerprint: equal on MariaDB and MySQL exactly if values
    /// go from one to the other unchanged (no display widths, no defaults; character set but not collation, except
    /// for key columns).
    pub definition: String,
}

/// What values a column holds, as far as comparing and sorting them exactly depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Integers, BIT, YEAR, BOOLEAN: `=` compares exactly.
    Integer,
    /// FLOAT and DOUBLE.
    Float,
    /// DECIMAL, dates and times: `=` compares exactly.
    Exact,
    /// CHAR, VARCHAR, TEXT, ENUM, SET: `=` goes by collation.
    Text,
    /// BINARY, VARBINARY, BLOB, UUID, INET: `=` compares exactly.
    Bytes,
    /// JSON of MySQL.
    Json,
    /// Geometry.
    Geometry,
}

/// What a foreign key does to the children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// RESTRICT, NO ACTION, SET DEFAULT (InnoDB refuses it): the children are not touched.
    Restrict,
    /// CASCADE.
    Cascade,
    /// SET NULL.
    SetNull,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// The table that refers.
    pub child: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The table referred to.
    pub parent: String,
    /// Its columns.
    pub parent_columns: Vec<String>,
    /// What deleting the parent does.
    pub on_delete: Action,
    /// What changing the parent's columns does.
    pub on_update: Action,
}

/// A trigger, ours or the application's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// The table.
    pub table: String,
    /// `INSERT`, `UPDATE` or `DELETE`.
    pub event: String,
    /// `BEFORE` or `AFTER`.
    pub timing: String,
    /// The statement it runs, as the server gives it; for SQLite the whole CREATE TRIGGER.
    pub body: String,
    /// `user@host`; empty for SQLite.
    pub definer: String,
    /// Session settings it was created under, to create it again alike; empty for SQLite.
    pub sql_mode: String,
    /// `character_set_client`.
    pub charset: String,
    /// `collation_connection`.
    pub collation: String,
}

impl Trigger {
    /// Whether it is one of ours.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with(PREFIX)
    }
}

/// A table as it is registered: its number and the lasting ids of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The table's number, in the names of its mark table and triggers. Never used again.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// Column names by id. Ids are never used again: a dropped column leaves an empty name, a renamed one keeps its
    /// id, a new one is added at the end.
    pub columns: Vec<String>,
    /// Names of the key columns.
    pub key: Vec<String>,
}

impl Registered {
    /// The id of a column.
    pub fn id(&self, column: &str) -> Option<u16> {
        self.columns.iter().position(|c| c == column).map(|i| i as u16)
    }

    /// The table that its marks go to.
    pub fn mark_table(&self) -> String {
        format!("{PREFIX}mark_{}", self.number)
    }

    /// How many integer columns of 32 bits the marks need for the changed-column bits.
    pub fn bit_columns(&self) -> usize {
        self.columns.len().div_ceil(BITS).max(1)
    }
}

/// Changed-column bits in one integer column of a mark.
pub const BITS: usize = 32;

/// What happened to a row, as a mark tells it (column `op`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The row appeared.
    Insert = 1,
    /// Columns were written.
    Update = 2,
    /// The row disappeared, or a cascade is about to take it.
    Delete = 3,
    /// Something happened that the trigger could not tell, because the key's definition had changed under it; the key
    /// of such a mark is NULL. The table must be compared.
    Unknown = 4,
}
