//! Asking both sides the same kind of question at once: each on its own thread, with short queues, so that memory stays
//! bounded and neither waits for the other's disk. Decides nothing.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sync_store::{Answer, Question, Store, StoreError, Trouble};

use super::{SIDES, Side};
use crate::error::{EngineError, Kind, Result};

/// Answers that wait to be looked at.
const QUEUE: usize = 32;

/// The two stores of a compare.
pub struct Stores<'a> {
    /// The master's.
    pub master: &'a mut dyn Store,
    /// The slave's.
    pub slave: &'a mut dyn Store,
}

/// A question for each side; they differ where the sides know different things.
pub(super) struct Questions {
    pub master: Question,
    pub slave: Question,
}

impl Questions {
    /// The same for both.
    pub fn alike(question: Question) -> Self {
        Questions { master: question.clone(), slave: question }
    }
}

/// Calls `answered` with the answers of both sides as they come.
pub(super) fn mixed(
    stores: &mut Stores,
    questions: &Questions,
    mut answered: impl FnMut(Side, Answer) -> Result<()>,
) -> Result<()> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(QUEUE);
        let (to_master, to_slave) = (sender.clone(), sender);
        let master = scope.spawn(|| ask(stores.master, &questions.master, to_master, |a| (Side::Master, a)));
        let slave = scope.spawn(|| ask(stores.slave, &questions.slave, to_slave, |a| (Side::Slave, a)));
        let looked = receiver.iter().try_for_each(|(side, answer)| answered(side, answer));
        drop(receiver);
        ended([joined(master), joined(slave)], looked)
    })
}

/// Calls `work` with the answers of each side in its own queue.
pub(super) fn paired<T>(
    stores: &mut Stores,
    questions: &Questions,
    work: impl FnOnce([&Receiver<Answer>; 2]) -> Result<T>,
) -> Result<T> {
    thread::scope(|scope| {
        let ((to_master, master_answers), (to_slave, slave_answers)) = (sync_channel(QUEUE), sync_channel(QUEUE));
        let master = scope.spawn(|| ask(stores.master, &questions.master, to_master, |a| a));
        let slave = scope.spawn(|| ask(stores.slave, &questions.slave, to_slave, |a| a));
        let looked = work([&master_answers, &slave_answers]);
        drop((master_answers, slave_answers));
        ended([joined(master), joined(slave)], looked)
    })
}

fn ask<T>(
    store: &mut dyn Store,
    question: &Question,
    sender: SyncSender<T>,
    tagged: impl Fn(Answer) -> T,
) -> sync_store::Result<()> {
    store.digest(question, &mut |answer| {
        sender.send(tagged(answer)).map_err(|_| StoreError::new(Trouble::Failure, STOPPED))
    })
}

const STOPPED: &str = "the compare was given up";

fn joined(thread: thread::ScopedJoinHandle<sync_store::Result<()>>) -> Result<()> {
    let result = thread.join().map_err(|_| EngineError::new(Kind::Failure, "a reading thread broke down"))?;
    Ok(result?)
}

/// The first error that is a cause and not a consequence: a side that failed ends the queue before whoever reads it.
fn ended<T>(asked: [Result<()>; SIDES], looked: Result<T>) -> Result<T> {
    let is_cause = |e: &EngineError| e.message != STOPPED;
    match (asked.into_iter().filter_map(Result::err).find(is_cause), looked) {
        (Some(cause), _) => Err(cause),
        (None, looked) => looked,
    }
}
