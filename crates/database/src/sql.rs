//! Running statements: the one thing that a driver does. Drivers convert values exactly and classify errors; they
//! know nothing of synchronisation.

use sync_core::Value;
use sync_core::digest::Cells;
use sync_store::{Result, StoreError, Trouble};

/// Receives the rows of a result as they arrive.
pub type EachRow<'a> = dyn FnMut(Vec<Value>) -> Result<()> + 'a;

/// Receives the rows of a result as their canonical bytes.
pub type EachCells<'a> = dyn FnMut(&Cells) -> Result<()> + 'a;

/// A connection.
///
/// Values cross it in canonical form ([`Value`]): dates, times and decimals as text, TIMESTAMP in UTC, text of any
/// character set as UTF-8, floats bit for bit.
pub trait Sql: Send {
    /// Runs a statement with `?` parameters; returns how many rows it found (not: changed).
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64>;

    /// As [`Sql::execute`], for parameters that are not needed afterwards: large values need not be copied.
    fn execute_owned(&mut self, sql: &str, params: Vec<Value>) -> Result<u64> {
        self.execute(sql, &params)
    }

    /// Runs a statement once for each of these lists of parameters, all in one exchange, where the server has a way of its own
    /// for that and they are fit for it; `false` if not, and nothing was done. After an error some may be done: the
    /// transaction has to be rolled back.
    fn execute_each(&mut self, _sql: &str, _rows: &[&[Value]]) -> Result<bool> {
        Ok(false)
    }

    /// Runs a query and streams its rows; never holds the whole result. After an error of `each` the connection is
    /// still usable.
    fn query(&mut self, sql: &str, params: &[Value], each: &mut EachRow) -> Result<()>;

    /// As [`Sql::query`], but fills `cells` with each row: what is only hashed need not become values. The same bytes as
    /// [`Cells::set`] makes of those values.
    fn digest(&mut self, sql: &str, params: &[Value], cells: &mut Cells, each: &mut EachCells) -> Result<()> {
        self.query(sql, params, &mut |row| {
            cells.set(&row);
            each(cells)
        })
    }

    /// Runs a statement that cannot be prepared or is used once (DDL, SET, transaction control).
    fn run(&mut self, sql: &str) -> Result<()>;
}

impl dyn Sql + '_ {
    /// The whole result of a query that is known to be small.
    pub fn all(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>> {
        let mut rows = Vec::new();
        self.query(sql, params, &mut |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row of a result.
    pub fn first(&mut self, sql: &str, params: &[Value]) -> Result<Option<Vec<Value>>> {
        Ok(self.all(sql, params)?.into_iter().next())
    }
}

/// Takes the columns of a result row one by one, refusing what has another type.
pub struct Fields(std::vec::IntoIter<Value>);

impl Fields {
    /// The fields of this row.
    pub fn of(row: Vec<Value>) -> Self {
        Fields(row.into_iter())
    }

    /// The next field as it is.
    pub fn value(&mut self) -> Value {
        self.0.next().unwrap_or_default()
    }

    /// The next field as it is, if there is one.
    pub fn next_value(&mut self) -> Option<Value> {
        self.0.next()
    }

    /// The next field as an integer; NULL is 0.
    pub fn int(&mut self) -> Result<i64> {
        match self.value() {
            Value::Int(n) => Ok(n),
            Value::Null => Ok(0),
            // SUM() and friends are DECIMAL.
            Value::Text(s) => s.parse().map_err(|_| unexpected("an integer", &Value::Text(s))),
            other => Err(unexpected("an integer", &other)),
        }
    }

    /// The next field as an unsigned integer; NULL is 0.
    pub fn unsigned(&mut self) -> Result<u64> {
        match self.value() {
            Value::Int(n) => Ok(n as u64),
            Value::UInt(n) => Ok(n),
            Value::Null => Ok(0),
            Value::Text(s) => s.parse().map_err(|_| unexpected("an unsigned integer", &Value::Text(s))),
            other => Err(unexpected("an unsigned integer", &other)),
        }
    }

    /// The next field as text; NULL is empty.
    pub fn text(&mut self) -> Result<String> {
        match self.value() {
            Value::Text(s) => Ok(s),
            Value::Null => Ok(String::new()),
            Value::Bytes(b) => Ok(String::from_utf8_lossy(&b).into_owned()),
            other => Ok(other.to_string()),
        }
    }

    /// The next field as bytes; NULL is empty.
    pub fn bytes(&mut self) -> Result<Vec<u8>> {
        match self.value() {
            Value::Bytes(b) => Ok(b),
            Value::Text(s) => Ok(s.into_bytes()),
            Value::Null => Ok(Vec::new()),
            other => Err(unexpected("bytes", &other)),
        }
    }

    /// All that is left.
    pub fn rest(self) -> Vec<Value> {
        self.0.collect()
    }
}

fn unexpected(wanted: &str, got: &Value) -> StoreError {
    StoreError::new(Trouble::Corrupt, format!("the database gave {got} where {wanted} was expected"))
}
