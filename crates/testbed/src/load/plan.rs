//! What a writer writes next: a pure function of its dice. Keys of new rows are its own; most work is on the rows that
//! all sites share, so that sites meet.

use std::sync::Arc;

use sync_fixture::{Keys, Row, Statement, Value};

use super::{Change, WritersOptions};
use crate::Cell;

/// One statement of a transaction, on one row.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) table: &'static str,
    pub(super) key: i64,
    pub(super) change: Change,
}

/// Plans one writer's transactions.
pub(super) struct Planner {
    rng: fastrand::Rng,
    site: Arc<str>,
    writer: u16,
    keys: Keys,
    accounts: u64,
    /// Of its own accounts, for the slow transactions and some others.
    own: Vec<i64>,
    rows: u64,
    values: u64,
}

/// Every writer's own keys start here times its number, far above the shared ones.
const LANE: u64 = 10_000_000;

const OWN: usize = 16;

impl Planner {
    pub(super) fn new(options: &WritersOptions, site: Arc<str>, writer: u16) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(options.seed.wrapping_mul(1009).wrapping_add(writer.into())),
            site,
            writer,
            keys: Keys::of_site(options.site_number),
            accounts: options.accounts,
            own: Vec::new(),
            rows: LANE * (u64::from(writer) + 1),
            values: 0,
        }
    }

    /// True in `share` of `whole` cases.
    pub(super) fn chance(&mut self, share: u64, whole: u64) -> bool {
        self.rng.u64(..whole) < share
    }

    /// The steps of an ordinary transaction: one to four.
    pub(super) fn transaction(&mut self) -> Vec<Step> {
        let count = self.rng.usize(1..=4);
        (0..count).map(|_| self.step()).collect()
    }

    /// The steps of a slow transaction, all on rows that only this writer touches.
    pub(super) fn own_transaction(&mut self) -> Vec<Step> {
        let mut steps = vec![self.insert_account()];
        if let Some(&account) = self.own.first() {
            steps.push(self.update("load_account", account));
        }
        steps
    }

    /// Takes a committed transaction's new accounts into those this writer comes back to.
    pub(super) fn remember(&mut self, steps: &[Step]) {
        for step in steps {
            match step.change {
                Change::Insert(_) if step.table == "load_account" && self.own.len() < OWN => self.own.push(step.key),
                _ => {}
            }
        }
    }

    fn step(&mut self) -> Step {
        match self.rng.u32(..1000) {
            0..120 => self.insert_account(),
            120..270 => self.insert_child(),
            270..720 => {
                let account = self.account();
                self.update("load_account", account)
            }
            720..985 => {
                let child = self.shared(2);
                self.update("load_child", child)
            }
            985..995 => Step { table: "load_child", key: self.doomed(2), change: Change::Delete },
            _ => Step { table: "load_account", key: self.doomed(1), change: Change::Delete },
        }
    }

    fn insert_account(&mut self) -> Step {
        let cells = ["a", "b", "c"].map(|column| (column, self.value()));
        Step { table: "load_account", key: self.new_key(), change: Change::Insert(cells.into()) }
    }

    fn insert_child(&mut self) -> Step {
        let account = Cell::Integer(self.account().into());
        let cells = vec![("account_id", account), ("v", self.value())];
        Step { table: "load_child", key: self.new_key(), change: Change::Insert(cells) }
    }

    fn update(&mut self, table: &'static str, key: i64) -> Step {
        let column = if table == "load_child" { "v" } else { self.rng.choice(["a", "b", "c", "note"]).unwrap_or("a") };
        Step { table, key, change: Change::Update(column, self.value()) }
    }

    fn account(&mut self) -> i64 {
        match self.rng.choice(&self.own) {
            Some(&own) if self.rng.u8(..4) == 0 => own,
            _ => self.shared(1),
        }
    }

    /// The key of a shared row; half of the time one of the few hot ones.
    fn shared(&mut self, rows_per_account: u64) -> i64 {
        let all = (self.accounts * rows_per_account).max(1);
        let limit = if self.rng.bool() { all.min(64) } else { all };
        Keys::of_site(0).id(self.rng.u64(..limit))
    }

    /// The key of a shared row to delete: any, or the hot ones would soon all be gone.
    fn doomed(&mut self, rows_per_account: u64) -> i64 {
        Keys::of_site(0).id(self.rng.u64(..(self.accounts * rows_per_account).max(1)))
    }

    fn new_key(&mut self) -> i64 {
        self.rows += 1;
        self.keys.id(self.rows)
    }

    fn value(&mut self) -> Cell {
        self.values += 1;
        Cell::Bytes(format!("{}/w{}/{:06}", self.site, self.writer, self.values).into_bytes())
    }
}

impl Step {
    /// The step as SQL.
    pub(super) fn statement(&self) -> Statement {
        let Self { table, key, change } = self;
        match change {
            Change::Insert(cells) => {
                let columns: Vec<&str> = ["id"].into_iter().chain(cells.iter().map(|(column, _)| *column)).collect();
                let values = cells.iter().map(|(_, cell)| value(cell));
                let params: Vec<Value> = [Value::from(*key)].into_iter().chain(values).collect();
                Statement::new(Row::insert_sql(table, &columns, 1), params)
            }
            Change::Update(column, cell) => {
                Statement::new(format!("UPDATE {table} SET {column} = ? WHERE id = ?"), [value(cell), (*key).into()])
            }
            Change::Delete => Statement::new(format!("DELETE FROM {table} WHERE id = ?"), [(*key).into()]),
        }
    }
}

/// Plans hold texts and keys only.
fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Integer(number) => i64::try_from(*number).map_or(Value::Null, Value::Integer),
        other => other.as_text().map_or(Value::Null, Value::from),
    }
}
