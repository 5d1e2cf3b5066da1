//! Changes of triggers, spaced beside a working application. Decides when, never what.
//!
//! A server that finds a table changed since a statement was prepared prepares it again, but three times in a row only; then
//! the statement fails (error 1615). Every CREATE and DROP TRIGGER is such a change, and what waited for one of them to end
//! comes upon the next if that follows at once. So two changes of a table are a while apart, and two of any tables a
//! moment, as long as the server works for anybody else.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sync_store::Result;

use super::session::ddl;
use crate::sql::{Fields, Sql};

/// Between two changes of one table: time to prepare and begin whatever waited.
const WHILE: Duration = Duration::from_millis(100);

/// Between two changes of any tables, because a statement can use many.
const MOMENT: Duration = Duration::from_millis(10);

/// A connection that changes triggers.
pub(super) struct Paced<'a> {
    /// For whatever changes no table of the application.
    pub sql: &'a mut dyn Sql,
    /// How many statements others had begun before; `None` once there were more.
    before: Option<u64>,
    latest: Option<Instant>,
    by_table: HashMap<String, Instant>,
}

impl<'a> Paced<'a> {
    /// Begins.
    pub fn new(sql: &'a mut dyn Sql) -> Result<Self> {
        let before = Some(begun_by_others(sql)?);
        Ok(Paced { sql, before, latest: None, by_table: HashMap::new() })
    }

    /// Runs a statement that changes a table's triggers, when it is time.
    pub fn ddl(&mut self, table: &str, statement: &str) -> Result<()> {
        self.change(table, |sql| ddl(sql, table, statement))
    }

    /// Does `work`, which changes a table's triggers once as far as others can see, when it is time.
    pub fn change(&mut self, table: &str, work: impl FnOnce(&mut dyn Sql) -> Result<()>) -> Result<()> {
        let due = [self.latest.map(|at| at + MOMENT), self.by_table.get(table).map(|at| *at + WHILE)];
        if let Some(due) = due.into_iter().flatten().max()
            && due > Instant::now()
            && self.is_busy()?
        {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let done = work(self.sql);
        self.latest = Some(Instant::now());
        self.by_table.insert(table.to_owned(), Instant::now());
        done
    }

    /// Whether anybody else used the server since we began. Statements are counted when they begin, so one that waits for
    /// us was counted.
    fn is_busy(&mut self) -> Result<bool> {
        if let Some(before) = self.before
            && begun_by_others(self.sql)? != before
        {
            self.before = None;
        }
        Ok(self.before.is_none())
    }
}

/// How many statements other connections have begun; needs no privilege.
fn begun_by_others(sql: &mut dyn Sql) -> Result<u64> {
    let all = questions(sql, "GLOBAL")?;
    // Both queries count themselves.
    Ok((all + 1).saturating_sub(questions(sql, "SESSION")?))
}

fn questions(sql: &mut dyn Sql, scope: &str) -> Result<u64> {
    let row = sql.first(&format!("SHOW {scope} STATUS LIKE 'Questions'"), &[])?;
    let mut fields = Fields::of(row.unwrap_or_default());
    fields.text()?;
    fields.unsigned()
}

/// The same, each table's in their order, but two of one table as far apart as may be: first one of each table, then the
/// second of each.
pub(super) fn alternating<T>(changes: Vec<T>, table: impl Fn(&T) -> &str) -> Vec<T> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut rank = |change: &T| {
        let count = counts.entry(table(change).to_owned()).or_default();
        *count += 1;
        *count
    };
    let mut ranked: Vec<(usize, T)> = changes.into_iter().map(|change| (rank(&change), change)).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, change)| change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_take_turns() {
        let changes = vec!["a1", "a2", "a3", "b1", "c1", "c2"];
        assert_eq!(alternating(changes, |c| &c[..1]), ["a1", "b1", "c1", "a2", "c2", "a3"]);
    }
}
