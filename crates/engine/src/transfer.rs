//! Moving batches from one store to the other: one thread reads while the other applies, with a short queue between
//! them, so memory stays bounded and neither side waits for the other's disk.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use sync_core::{RowState, Stamp};
use sync_store::steady::{Steady, since};
use sync_store::{Applied, Batch, Mode, Sink, Store, StoreError, Trouble};

use crate::error::{EngineError, Kind, Result};
use crate::round::Options;

/// Batches that wait to be applied.
const QUEUE: usize = 2;

/// While batches on their way, the one being applied among them, weigh more than this, nothing more is read: what a
/// large value takes at one side, in copies and packets, is then not taken at the other at the same time.
const ROOM: usize = 4 << 20;

/// Runs `produce` on its own thread and `consume` on this one. An error of either stops both.
pub(crate) fn pump<S: Send + ?Sized, T: Send>(
    from: &mut S,
    produce: impl FnOnce(&mut S, &mut Sink) -> sync_store::Result<T> + Send,
    mut consume: impl FnMut(Batch) -> Result<()>,
) -> Result<T> {
    let (sender, receiver) = sync_channel::<Batch>(QUEUE);
    let load = &Load::new();
    thread::scope(|scope| {
        let consumer = Consumer { receiver, load };
        let producer = scope.spawn(move || {
            let mut sink = |batch: Batch| {
                let weight = batch.weight();
                load.change(|bytes| bytes.saturating_add(weight));
                sender.send(batch).map_err(|_| stopped())?;
                load.wait();
                Ok(())
            };
            produce(from, &mut sink)
        });
        let consumed = consumer.run(&mut consume);
        let produced = producer.join().map_err(|_| EngineError::new(Kind::Failure, "the reading thread broke down"))?;
        consumed?;
        Ok(produced?)
    })
}

/// Pumps batches into a store, more of them while it still applies those before. `look` sees each first, and `told` hears what
/// became of them, some later than the next ones went.
pub(crate) fn pour<'s, T: Send>(
    from: &mut (dyn Store + 's),
    to: &mut dyn Store,
    (mode, rest): (Mode, Rest),
    produce: impl FnOnce(&mut (dyn Store + 's), &mut Sink) -> sync_store::Result<T> + Send,
    mut look: impl FnMut(&mut Batch) -> Result<()>,
    mut told: impl FnMut(Applied),
) -> Result<T> {
    let ended = pump(from, produce, |mut batch| {
        look(&mut batch)?;
        told(to.apply_ahead(&batch, mode)?);
        Ok(())
    });
    if ended.is_ok() && rest == Rest::Left {
        return ended;
    }
    // Also after an error, so that nothing of this stream comes up in a later one.
    let rest = to.applied();
    let ended = ended?;
    told(rest?);
    Ok(ended)
}

/// What is done about batches that are still being applied when the last one went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// They are waited for.
    Awaited,
    /// Whoever goes on hears of them ([`Store::applied`]).
    Left,
}

/// The end of the queue where batches are applied. Once it is gone, a producer that waits sees that nobody reads any more.
struct Consumer<'a> {
    receiver: Receiver<Batch>,
    load: &'a Load,
}

impl Consumer<'_> {
    fn run(self, consume: &mut impl FnMut(Batch) -> Result<()>) -> Result<()> {
        self.receiver.iter().try_for_each(|batch| {
            let weight = batch.weight();
            consume(batch)?;
            self.load.change(|bytes| bytes.saturating_sub(weight));
            Ok(())
        })
    }
}

impl Drop for Consumer<'_> {
    fn drop(&mut self) {
        self.load.end();
    }
}

/// What the batches on their way weigh; nothing once nobody applies them.
struct Load {
    bytes: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Load {
    fn new() -> Self {
        Load { bytes: Mutex::new(Some(0)), changed: Condvar::new() }
    }

    fn bytes(&self) -> MutexGuard<'_, Option<usize>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let mut bytes = self.bytes();
        *bytes = bytes.map(change);
        self.changed.notify_all();
    }

    fn end(&self) {
        *self.bytes() = None;
        self.changed.notify_all();
    }

    /// Waits until there is room for more.
    fn wait(&self) {
        let is_full = |bytes: &mut Option<usize>| bytes.is_some_and(|bytes| bytes > ROOM);
        drop(self.changed.wait_while(self.bytes(), is_full));
    }
}

fn stopped() -> StoreError {
    StoreError::new(Trouble::Failure, "the other side stopped")
}

/// Beyond what time a stamp cannot honestly have been made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    since: Instant,
    steady: Steady,
    millis: u64,
}

impl Horizon {
    /// `micros` is the latest clock reading of either side; the options say how far clocks may differ.
    pub fn new(micros: i64, options: &Options) -> Self {
        let bound = u64::try_from(options.expected.max_clock_difference.as_millis()).unwrap_or(u64::MAX);
        let now = u64::try_from(micros / 1000).unwrap_or_default();
        Horizon { since: (options.steady)(), steady: options.steady, millis: now.saturating_add(bound) }
    }

    /// Halts if a batch holds a stamp from beyond.
    pub fn check(&self, batch: &Batch) -> Result<()> {
        let highest = |s: &RowState| s.newest().max(s.deleted).max(s.epoch).max(s.seen.highest());
        let newest = batch.changes.iter().map(|c| highest(&c.row.state)).max();
        newest.map_or(Ok(()), |newest| self.check_stamp(newest))
    }

    /// Halts at a stamp from beyond.
    pub fn check_stamp(&self, stamp: Stamp) -> Result<()> {
        let passed = since(self.since, self.steady);
        let limit = self.millis.saturating_add(u64::try_from(passed.as_millis()).unwrap_or_default());
        if stamp.millis() > limit { Err(from_the_future(stamp)) } else { Ok(()) }
    }
}

fn from_the_future(stamp: Stamp) -> EngineError {
    let when = i64::try_from(stamp.millis()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let when = when.map(|t| t.to_string()).unwrap_or_else(|| "a time far in the future".to_owned());
    EngineError::new(Kind::Halt, format!("site {} wrote a row at {when}, which is in the future", stamp.site()))
        .hint(format!("check the clock of site {}; its rows can be received once that time has come", stamp.site()))
}

#[cfg(test)]
mod tests {
    use sync_core::{Incarnation, Source, StoreId, Value};
    use sync_store::Change;
    use sync_store::batch::baseline_row;

    use super::*;

    fn batch(bytes: usize) -> Batch {
        let row = baseline_row(vec![Value::Bytes(vec![0; bytes])]);
        let sender = Source { store: StoreId(1), incarnation: Incarnation(1) };
        Batch { changes: vec![Change { table: 0, key: Vec::new(), row }], ..Batch::empty(sender) }
    }

    #[test]
    fn nothing_is_read_while_a_heavy_batch_is_applied() {
        let events = Mutex::new(Vec::new());
        let note = |event: &str| events.lock().map(|mut all| all.push(event.to_owned())).unwrap_or_default();
        let produce = |(): &mut (), sink: &mut Sink| {
            (0..3).try_for_each(|_| {
                note("read");
                sink(batch(ROOM))
            })
        };
        let applied = pump(&mut (), produce, |_| {
            note("applied");
            Ok(())
        });
        assert!(applied.is_ok());
        assert_eq!(events.into_inner().unwrap_or_default(), ["read", "applied"].repeat(3));
    }

    #[test]
    fn an_error_at_the_end_stops_a_reader_that_waits() {
        for bytes in [1, ROOM] {
            let produce = |(): &mut (), sink: &mut Sink| -> sync_store::Result<()> {
                loop {
                    sink(batch(bytes))?;
                }
            };
            let result = pump(&mut (), produce, |_| Err(EngineError::new(Kind::Failure, "no")));
            assert_eq!(result.map_err(|e| e.message), Err("no".to_owned()));
        }
    }
}
