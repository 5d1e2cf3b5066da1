//! That both sites hold the same: a hash over every row of every table of the application, read from each file.

use rusqlite::Connection;
use serde_json::json;
use sync_core::codec::pack_values;

use super::site::Site;
use super::{broken, value};
use crate::failure::Result;
use crate::json;
use crate::output::{Line, Output, Style};

/// A table at both sites.
pub struct Compared {
    name: String,
    geneva: Sum,
    lyon: Sum,
}

/// How many rows, and the hash of them all.
#[derive(PartialEq, Eq)]
struct Sum {
    rows: usize,
    hash: String,
}

/// Every table of the application.
pub fn tables(geneva: &Site, lyon: &Site) -> Result<Vec<Compared>> {
    let one = |name: String| Ok(Compared { geneva: sum(&geneva.app, &name)?, lyon: sum(&lyon.app, &name)?, name });
    names(&geneva.app)?.into_iter().map(one).collect()
}

fn names(app: &Connection) -> Result<Vec<String>> {
    let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND name NOT LIKE 'server\\_sync\\_%' ESCAPE '\\' ORDER BY name";
    let mut statement = app.prepare(query).map_err(broken)?;
    let names = statement.query_map([], |row| row.get(0)).map_err(broken)?;
    names.collect::<rusqlite::Result<_>>().map_err(broken)
}

fn sum(app: &Connection, table: &str) -> Result<Sum> {
    let mut statement = app.prepare(&format!("SELECT * FROM \"{table}\"")).map_err(broken)?;
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row| {
        let values: Vec<_> = (0..columns).map(|i| row.get_ref(i).map(value)).collect::<rusqlite::Result<_>>()?;
        Ok(blake3::hash(&pack_values(&values)))
    };
    let rows = statement.query_map([], row).map_err(broken)?;
    let mut hashes: Vec<[u8; 32]> = rows.map(|h| h.map(Into::into)).collect::<rusqlite::Result<_>>().map_err(broken)?;
    // Two sites may hold the same rows in another order.
    hashes.sort_unstable();
    Ok(Sum { rows: hashes.len(), hash: blake3::hash(&hashes.concat()).to_hex()[..16].to_owned() })
}

impl Compared {
    /// How many rows the first site has.
    pub fn rows(&self) -> usize {
        self.geneva.rows
    }

    /// Whether both hold the same.
    pub fn is_equal(&self) -> bool {
        self.geneva == self.lyon
    }

    /// A line with both hashes.
    pub fn show(&self, output: &Output) {
        output.object(&json!({
            "message_type": "demo_table", "time": json::now(), "table": self.name, "rows": self.geneva.rows,
            "geneva": self.geneva.hash, "lyon": self.lyon.hash, "equal": self.is_equal(),
        }));
        let (sign, style) = if self.is_equal() { ("=", Style::Green) } else { ("≠", Style::Red) };
        let line = Line::new().plain("   ").cell(Style::Plain, &self.name, 16);
        let line = line.plain(format!("{:>6}  ", self.geneva.rows));
        let line = line.add(Style::Cyan, &self.geneva.hash).add(style, format!(" {sign} "));
        output.say(line.add(Style::Magenta, &self.lyon.hash));
    }
}
