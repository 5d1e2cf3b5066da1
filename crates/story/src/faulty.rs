//! Stores that break on purpose, and one that watches what goes through it.

use sync_store::{Applied, Batch, Mode, Result, Since, Sink, Store, StoreError, Streamed, Trouble};

/// When a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The request is lost: nothing was done.
    Before,
    /// The answer is lost: it was done, and nobody hears of it.
    After,
}

/// A store that breaks at its n-th call.
pub struct Faulty<'a> {
    inner: &'a mut dyn Store,
    left: u32,
    when: When,
    /// Whether it has broken.
    pub broken: bool,
}

impl<'a> Faulty<'a> {
    /// The call after `calls` others breaks.
    pub fn new(inner: &'a mut dyn Store, calls: u32, when: When) -> Self {
        Faulty { inner, left: calls, when, broken: false }
    }

    fn call<T>(&mut self, work: impl FnOnce(&mut dyn Store) -> Result<T>) -> Result<T> {
        let fails = self.left == 0;
        self.left = self.left.saturating_sub(1);
        if !fails {
            return work(self.inner);
        }
        self.broken = true;
        self.left = u32::MAX;
        if self.when == When::After {
            work(self.inner)?;
        }
        Err(lost())
    }
}

/// The error of a connection that broke.
pub fn lost() -> StoreError {
    StoreError::new(Trouble::Unreachable, "the connection was lost on purpose")
}

/// A store that does something before its n-th batch, and notes how heavy batches are.
pub struct Watched<'a> {
    inner: &'a mut dyn Store,
    /// Batches applied so far.
    pub batches: u32,
    /// The weight of the heaviest.
    pub heaviest: usize,
    before: Box<dyn FnMut(u32) -> Result<()> + Send + 'a>,
}

impl<'a> Watched<'a> {
    /// Calls `before` with the number of each batch, from 0.
    pub fn new(inner: &'a mut dyn Store, before: impl FnMut(u32) -> Result<()> + Send + 'a) -> Self {
        Watched { inner, batches: 0, heaviest: 0, before: Box::new(before) }
    }
}

macro_rules! all_but_apply_passed_on {
    () => {
        sync_store::pass_on! {
            describe knowledge forgot last_heard leave_history drain is_empty recognises greet reincarnate outline
            confirm complete enter digest rows restamp bury registry register purge compared conflicts parked restore
        }
    };
}

impl Store for Faulty<'_> {
    all_but_apply_passed_on!();

    fn apply(&mut self, batch: &Batch, mode: Mode) -> Result<Applied> {
        self.call(|inner| inner.apply(batch, mode))
    }

    /// Breaks between batches as well as before and after all.
    fn changes(&mut self, since: &Since, sink: &mut Sink) -> Result<Streamed> {
        let (inner, left, broken) = (&mut *self.inner, &mut self.left, &mut self.broken);
        inner.changes(since, &mut |batch| counted(left, broken).and_then(|()| sink(batch)))
    }

    fn scan(&mut self, table: &str, along: bool, sink: &mut Sink) -> Result<()> {
        let (inner, left, broken) = (&mut *self.inner, &mut self.left, &mut self.broken);
        inner.scan(table, along, &mut |batch| counted(left, broken).and_then(|()| sink(batch)))
    }
}

fn counted(left: &mut u32, broken: &mut bool) -> Result<()> {
    if *left == 0 {
        *broken = true;
        *left = u32::MAX;
        return Err(lost());
    }
    *left -= 1;
    Ok(())
}

impl Watched<'_> {
    fn call<T>(&mut self, work: impl FnOnce(&mut dyn Store) -> Result<T>) -> Result<T> {
        work(self.inner)
    }
}

impl Store for Watched<'_> {
    all_but_apply_passed_on!();

    fn apply(&mut self, batch: &Batch, mode: Mode) -> Result<Applied> {
        (self.before)(self.batches)?;
        self.batches += 1;
        self.heaviest = self.heaviest.max(batch.weight());
        self.inner.apply(batch, mode)
    }

    sync_store::pass_on! { changes scan }
}
