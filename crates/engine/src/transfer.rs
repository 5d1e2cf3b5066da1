//! Moving batches from one store to the other: one thread reads while the other applies, with a short queue between
//! them, so memory stays bounded and neither side waits for the other's disk.

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{RowState, Stamp};
use sync_store::{Batch, Sink, Store, StoreError, Trouble};

use crate::error::{EngineError, Kind, Result};

/// Batches that wait to be applied.
const QUEUE: usize = 2;

/// Runs `produce` on its own thread and `consume` on this one. An error of either stops both.
pub(crate) fn pump<T: Send>(
    from: &mut dyn Store,
    produce: impl FnOnce(&mut dyn Store, &mut Sink) -> sync_store::Result<T> + Send,
    mut consume: impl FnMut(Batch) -> Result<()>,
) -> Result<T> {
    let (sender, receiver) = sync_channel::<Batch>(QUEUE);
    thread::scope(|scope| {
        let producer = scope.spawn(move || {
            let mut sink = |batch| sender.send(batch).map_err(|_| stopped());
            produce(from, &mut sink)
        });
        let consumed = receiver.iter().try_for_each(&mut consume);
        // A producer that is blocked on a full queue sees that nobody reads any more.
        drop(receiver);
        let produced = producer.join().map_err(|_| EngineError::new(Kind::Failure, "the reading thread broke down"))?;
        consumed?;
        Ok(produced?)
    })
}

fn stopped() -> StoreError {
    StoreError::new(Trouble::Failure, "the other side stopped")
}

/// Beyond what time a stamp cannot honestly have been made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    since: Instant,
    millis: u64,
}

impl Horizon {
    /// `micros` is the latest clock reading of either side, `bound` how far clocks may differ.
    pub fn new(micros: i64, bound: Duration) -> Self {
        let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        let now = u64::try_from(micros / 1000).unwrap_or_default();
        Horizon { since: Instant::now(), millis: now.saturating_add(bound) }
    }

    /// Halts if a batch holds a stamp from beyond.
    pub fn check(&self, batch: &Batch) -> Result<()> {
        let limit = self.millis.saturating_add(u64::try_from(self.since.elapsed().as_millis()).unwrap_or_default());
        let highest = |s: &RowState| s.newest().max(s.deleted).max(s.seen.highest());
        let newest = batch.changes.iter().map(|c| highest(&c.row.state)).max();
        match newest.filter(|s| s.millis() > limit) {
            Some(stamp) => Err(from_the_future(stamp)),
            None => Ok(()),
        }
    }
}

fn from_the_future(stamp: Stamp) -> EngineError {
    let when = i64::try_from(stamp.millis()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let when = when.map(|t| t.to_string()).unwrap_or_else(|| "a time far in the future".to_owned());
    EngineError::new(Kind::Halt, format!("site {} wrote a row at {when}, which is in the future", stamp.site()))
        .hint(format!("check the clock of site {}; its rows can be received once that time has come", stamp.site()))
}
