//! How one kind of server says things. Text and schema only; what is done with it is the same for all.
//!
//! # The mark table
//! For each synchronised table number `n` there is `server_sync_mark_n`:
//!
//! | column | content |
//! | --- | --- |
//! | `id` | unique, ascending where that costs nothing (`UUID_SHORT()`, rowid); order in which the marks of one row were made |
//! | `op` | [`Op`](crate::schema::Op) as an integer |
//! | `at` | when, in whatever form is cheapest for a trigger; read through [`Dialect::mark_micros`] |
//! | `b0`, `b1`, … | changed columns of an update: bit `i % 32` of `b(i / 32)` for column id `i`; all bits set where the trigger could not tell |
//! | `delta` | only of a table with counters: what was added ([`crate::counters`]) |
//! | `k0`, `k1`, … | the key, in columns of the key columns' own types |

use sync_core::Value;
use sync_store::Result;

use crate::counters::Range;
use crate::schema::{Column, Registered, Schema, Table, Trigger};
use crate::sql::Sql;

/// What differs between kinds of server.
pub trait Dialect: Send + Sync {
    /// The database is another site's: what is right there but for the account that made it stays as it is. Otherwise two
    /// sites with accounts of their own would make each other's triggers anew for ever.
    fn visit(&mut self) {}

    /// An identifier, quoted, whatever characters it has.
    fn quote(&self, name: &str) -> String;

    /// Begins a transaction that writes.
    fn begin(&self) -> &'static str;

    /// Begins a transaction that only reads, all of it from one snapshot.
    fn begin_snapshot(&self) -> &'static str;

    /// Put at the end of a SELECT that locks the rows it finds and fails at once ([`sync_store::Trouble::Contention`])
    /// if another transaction holds one; empty where a writer locks everything.
    fn for_update(&self) -> &'static str;

    /// The same, but waits.
    fn wait_for_update(&self) -> &'static str;

    /// As [`Dialect::for_update`], but others may read and refer to the rows meanwhile.
    fn for_share(&self) -> &'static str {
        self.for_update()
    }

    /// The condition that two values given as `?` are equal in the eyes of a unique key over this column.
    fn equal(&self, column: &Column) -> String;

    /// A table in a FROM clause whose rows are looked up by their key and never scanned for it: a scan would wait
    /// behind every row that the application holds.
    fn by_key(&self, table: &Table) -> String;

    /// DELETE of `count` marks by id (`?` each) that locks exactly those, and never waits behind marks being made.
    fn delete_marks(&self, mark_table: &str, count: usize) -> String;

    /// The expression for the id of a new mark, one for each row of a SELECT.
    fn mark_id(&self) -> &'static str;

    /// The expression for `at` of a mark made now.
    fn mark_now(&self) -> &'static str;

    /// The table of marks that triggers had to put elsewhere, where there can be any.
    fn late_table(&self) -> Option<&'static str> {
        None
    }

    /// Moves marks that triggers had to put elsewhere into the mark tables; returns how many. To be called within the
    /// transaction that then reads marks, after it has locked rows. Waits for nobody.
    fn gather_marks(&self, _sql: &mut dyn Sql, _tables: &[(&Table, &Registered)]) -> Result<u64> {
        Ok(0)
    }

    /// If the message of a failed write says that the server did not open a table rightly and keeps it so: makes triggers
    /// look out of date, for it opens the table anew where one is made anew.
    fn outdate(&self, _schema: &mut Schema, _message: &str) {}

    /// An INSERT or UPDATE that also takes what the server keeps in such a column but refuses to be given: the empty value of an
    /// ENUM without an empty label. Only for single rows, of which NOT NULL and keys are checked all the same.
    fn lenient(&self, statement: &str) -> String {
        statement.to_owned()
    }

    /// The condition that a column which was added to a table no longer has its default; may hold for too many rows.
    fn not_default(&self, column: &str) -> String;

    /// As [`Dialect::not_default`], but looks at the column's default; for servers where no condition fits all.
    fn unlike_default(&self, _sql: &mut dyn Sql, _table: &str, column: &str) -> Result<String> {
        Ok(self.not_default(&self.quote(column)))
    }

    /// Queries that take, waiting up to a minute, and release the lock under which triggers are renewed; the first
    /// gives 1 on success. `None` where writers exclude each other anyway.
    fn renewal_lock(&self) -> Option<[&'static str; 2]> {
        None
    }

    /// A query that takes the upgrade lock (gives 1 on success; waits a few seconds), an expression that is not NULL while
    /// anybody holds it, and a query that releases it. `None` where a database has no such locks.
    fn upgrade_lock(&self) -> Option<[&'static str; 3]> {
        None
    }

    /// Makes the writes of this connection captured (as the application's are), or not.
    fn capture(&self, on: bool) -> &'static str;

    /// Put after `INSERT INTO … VALUES …` of rows whose key exists: sets these columns. Columns are quoted already.
    fn on_duplicate(&self, key: &[String], set: &[String]) -> String;

    /// The server's clock in microseconds since the Unix epoch, UTC, as an expression.
    fn now_micros(&self) -> &'static str;

    /// `m.at` of a mark in microseconds since the Unix epoch, as an expression.
    fn mark_micros(&self) -> &'static str;

    /// What stands for a value of this key column where the column is compared with it: `?`, with a cast where a text
    /// would be compared inexactly.
    fn key_place(&self, _column: &Column) -> String {
        "?".to_owned()
    }

    /// Whether the database gives the rows of a table, whose key is a single integer, their keys by itself.
    fn numbers_rows(&self, sql: &mut dyn Sql, table: &Table) -> Result<bool>;

    /// The query for the key that the last INSERT without one was given.
    fn last_number(&self) -> &'static str;

    /// What a column can hold, if it is one that could merge by adding.
    fn range(&self, column: &Column) -> Option<Range>;

    /// Whether SUBSTR and CHAR_LENGTH take a value of this column apart so that its pieces make the whole again; of use
    /// only where rows come in packets.
    fn cuts(&self, _column: &Column) -> bool {
        false
    }

    /// How a column is read if not by its name: so that what is more than text arrives, for [`Dialect::received`].
    fn read_as(&self, _column: &Column) -> Option<String> {
        None
    }

    /// A value that was read so.
    fn received(&self, value: Value) -> Value {
        value
    }

    /// What stands for a value of this column if not `?`, with its parameters: where the value is more than text.
    fn place(&self, _column: &Column, _value: &Value) -> Option<(String, Vec<Value>)> {
        None
    }

    /// What the database itself hashes of this column's value, as bytes of which no two values have the same, and none is the
    /// beginning of another; the same at every server for equal values. NULL only where the server could not tell it.
    /// `None` if there is nothing that is exact.
    fn digest_part(&self, _column: &Column) -> Option<String> {
        None
    }

    /// Whose server it is: texts are only sure to sort alike, collation for collation, on servers of one maker.
    fn product(&self) -> &'static str {
        ""
    }

    /// A hash of such parts: an unsigned number of 64 bits.
    fn digest_of(&self, _parts: &[String]) -> Option<String> {
        None
    }

    /// A value of this key column as it is compared in the order that ORDER BY gives.
    fn sorting_value(&self, _column: &Column, value: &Value) -> Value {
        value.clone()
    }

    /// That two expressions of this column's type are equal byte for byte (neither is NULL), and so that an index on
    /// the left one can be used.
    fn same(&self, column: &Column, left: &str, right: &str) -> String;

    /// The statements that create our tables (`IF NOT EXISTS`), except the mark tables.
    fn own_tables(&self) -> Vec<String>;

    /// The query for the names of all our tables, mark tables too; the one that says whose store this is comes last.
    fn list_own_tables(&self) -> &'static str;

    /// The conflict list as a synchronised table.
    fn conflict_table(&self) -> Table;

    /// A query for how many rows a table has, roughly but at once.
    fn count_roughly(&self, table: &str) -> String;

    /// At most this many `?` in one statement.
    fn max_params(&self) -> usize;

    /// A short text that changes whenever tables, columns, keys or triggers do. Cheap; one statement if possible.
    fn probe(&self, sql: &mut dyn Sql) -> Result<String>;

    /// How many statements that change schemas the server has begun: a text that differs whenever that number does, in
    /// one statement that opens no table. `None` where [`Dialect::probe`] costs no more, or the server does not tell.
    fn schema_statements(&self, _sql: &mut dyn Sql) -> Result<Option<String>> {
        Ok(None)
    }

    /// Reads the triggers of the schema alone.
    fn read_triggers(&self, sql: &mut dyn Sql) -> Result<Vec<Trigger>> {
        Ok(self.read_schema(sql)?.triggers)
    }

    /// Reads the schema.
    fn read_schema(&self, sql: &mut dyn Sql) -> Result<Schema>;

    /// Makes the mark tables and the triggers of the registered tables what they should be, marks what cascades do to the
    /// rows of other tables where the triggers of those do not fire, and guards the application's triggers; removes our
    /// triggers from tables that are not registered. Says what it did; nothing if all was right already. Crash-safe at any
    /// point, and never leaves a moment in which a write of the application fails or is not marked, other than before the
    /// first installation.
    fn install(&self, sql: &mut dyn Sql, schema: &Schema, tables: &[(&Table, &Registered)]) -> Result<Vec<String>>;

    /// Removes all our triggers, and the guards from the application's. Tables are dropped by the caller afterwards.
    fn uninstall(&self, sql: &mut dyn Sql, schema: &Schema) -> Result<()>;

    /// What the account lacks, one line each: the privilege and the GRANT to type. `triggers` are all there are; those of the
    /// application must be guarded.
    fn missing_privileges(&self, sql: &mut dyn Sql, triggers: &[Trigger]) -> Result<Vec<String>>;
}
