//! The store at the other end of a channel, as a [`Store`] here. Says and hears; decides nothing.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_core::{Knowledge, Position, Purgeable, Registry, SiteId, Source, Stamp, Value};
use sync_store::{
    Answers, Applied, Batch, Burial, Completed, ConflictEntry, Description, Drained, Greeting, Mode, Opened, Opening,
    Outline, ParkedEntry, Question, Restamp, Result, Since, Sink, Store, StoreError, Streamed, Trouble,
};

use crate::error::LinkError;
use crate::message::{Part, Request, opened, pack, pack_content, unpack};
use crate::mux::Channel;
use crate::openings::Openings;

/// A store that is reached over a channel.
pub struct RemoteStore {
    channel: Channel,
    /// What has no answer yet, in the order in which the answers come.
    open: VecDeque<Unanswered>,
    /// Why something that was posted could not be done, until that is told.
    refused: Option<StoreError>,
    ahead: Ahead,
    /// A round that was opened before it is waited for.
    early: Option<Early>,
    openings: Arc<Openings>,
    /// Where it is, for messages.
    site: Option<String>,
    /// How often it was waited for.
    waits: u64,
}

/// A round that was opened ahead, behind all that has no answer.
struct Early {
    opening: Opening,
    at: Instant,
}

/// An answer to a question that is older is not used: what was told of clocks and graves would be of then.
const FRESH: Duration = Duration::from_secs(5);

impl Early {
    fn is_of(&self, opening: &Opening) -> bool {
        self.opening == *opening && self.at.elapsed() < FRESH
    }
}

/// A request that nobody waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unanswered {
    /// A batch that went ahead, [`AHEAD`] at most.
    Batch,
    /// What has no result.
    Posted,
}

/// What became of the batches that went ahead.
#[derive(Default)]
struct Ahead {
    /// Of those that were answered, and nobody was told yet.
    applied: Applied,
    /// Why one could not be applied.
    failed: Option<StoreError>,
}

/// What is on its way is bounded by the channel's credit; this bounds how many small ones have no answer.
const AHEAD: usize = 32;

impl RemoteStore {
    /// The store that the other side serves on this channel.
    pub fn new(channel: Channel) -> Self {
        RemoteStore {
            channel,
            open: VecDeque::new(),
            refused: None,
            ahead: Ahead::default(),
            early: None,
            openings: Arc::default(),
            site: None,
            waits: 0,
        }
    }

    /// The same, and this is the site: what keeps it from beginning a round names it.
    pub fn named(self, site: &str) -> Self {
        RemoteStore { site: Some(site.to_owned()), ..self }
    }

    /// How often an answer was waited for: what a long line makes slow.
    pub fn waits(&self) -> u64 {
        self.waits
    }

    pub(crate) fn ask(&self, request: &impl Serialize) -> crate::Result<()> {
        self.channel.send(pack(request)?)
    }

    /// The same for one of many, that nobody answers: it may go out with what follows.
    pub(crate) fn ask_along(&self, request: &impl Serialize) -> crate::Result<()> {
        self.channel.send_along(pack_content(request)?)
    }

    fn heard(&self) -> crate::Result<Vec<u8>> {
        self.channel.receive()?.ok_or_else(LinkError::closed)
    }

    pub(crate) fn call<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T> {
        self.stream(request, &mut |(): ()| Ok(()))
    }

    /// Asks, gives each item to `sink`, and returns the end. If `sink` wants no more, the other side is told so, and what is
    /// on its way is let pass, so that the channel can be used again.
    pub(crate) fn stream<I: DeserializeOwned, T: DeserializeOwned>(
        &mut self,
        request: &Request,
        sink: &mut dyn FnMut(I) -> Result<()>,
    ) -> Result<T> {
        self.forgo()?;
        if !request.may_follow_rows() {
            self.hear_ahead(0)?;
        }
        if !request.may_follow() {
            self.confirm()?;
        }
        self.ask(request)?;
        self.hear(sink)
    }

    /// Hears the answer to what was asked last.
    fn hear<I: DeserializeOwned, T: DeserializeOwned>(&mut self, sink: &mut dyn FnMut(I) -> Result<()>) -> Result<T> {
        self.waits += 1;
        self.hear_all()?;
        let mut refused = self.refused.take();
        loop {
            let message = self.heard()?;
            match (opened(&message)?, &refused) {
                ((Part::Item, body), None) => {
                    let item = unpack(body)?;
                    drop(message);
                    if let Err(e) = sink(item) {
                        self.ask(&Request::Stop)?;
                        refused = Some(e);
                    }
                }
                ((Part::Item, _), Some(_)) => {}
                ((Part::Done, body), None) => return Ok(unpack(body)?),
                ((Part::Failed, body), None) => return Err(unpack::<StoreError>(body)?),
                ((Part::Done | Part::Failed, _), Some(_)) => {
                    return Err(refused.unwrap_or_else(crate::message::stopped));
                }
            }
        }
    }
}

impl RemoteStore {
    /// Asks for something that has no result, and goes on: what goes wrong is told with the next verb.
    pub(crate) fn post(&mut self, request: &Request) -> Result<()> {
        self.forgo()?;
        self.ask(request)?;
        self.open.push_back(Unanswered::Posted);
        Ok(())
    }

    /// Hears the next answer of what nobody waited for.
    fn hear_one(&mut self) -> crate::Result<()> {
        let message = self.heard()?;
        let is_batch = self.open.pop_front() == Some(Unanswered::Batch);
        match (opened(&message)?, is_batch) {
            ((Part::Failed, body), true) => {
                // Behind what was refused, no batch is applied.
                let error = self.refused.take().map_or_else(|| unpack(body), Ok)?;
                self.ahead.failed.get_or_insert(error);
            }
            // Nor is anything done behind a batch that could not be.
            ((Part::Failed, _), false) if self.ahead.failed.is_some() => {}
            ((Part::Failed, body), false) => {
                let error = unpack(body)?;
                self.refused.get_or_insert(error);
            }
            ((_, body), true) => self.ahead.applied.add(unpack(body)?),
            ((_, body), false) => unpack::<()>(body)?,
        }
        Ok(())
    }

    fn hear_all(&mut self) -> crate::Result<()> {
        while !self.open.is_empty() {
            self.hear_one()?;
        }
        Ok(())
    }

    /// Opens a round before anybody waits for that: [`Store::open_round`] of the same then hears the answer, if that is not old
    /// meanwhile. Whatever else is asked first, it is given up.
    ///
    /// # Errors
    /// What the link broke of.
    pub fn open_ahead(&mut self, opening: &Opening) -> Result<()> {
        self.ask_ahead(&Request::Open(Cow::Borrowed(opening)), opening)?;
        self.openings.note();
        Ok(())
    }

    /// The other side was met only now, however long that took: what was opened ahead is answered from now on.
    pub fn met(&mut self) {
        self.early.iter_mut().for_each(|early| early.at = Instant::now());
    }

    /// The same by such a request.
    pub(crate) fn ask_ahead(&mut self, request: &Request, opening: &Opening) -> Result<()> {
        self.forgo()?;
        self.hear_ahead(0)?;
        self.ask(request)?;
        self.early = Some(Early { opening: opening.clone(), at: Instant::now() });
        Ok(())
    }

    /// How many rounds were opened, for what has to come after this.
    pub fn openings(&self) -> Arc<Openings> {
        Arc::clone(&self.openings)
    }

    /// Whether this round was opened, and nobody has heard the answer yet.
    pub(crate) fn is_opened(&self, opening: &Opening) -> bool {
        self.early.as_ref().is_some_and(|early| early.is_of(opening))
    }

    /// Gives up a round that was opened ahead.
    pub(crate) fn forgo(&mut self) -> crate::Result<()> {
        if self.early.take().is_none() {
            return Ok(());
        }
        self.hear_all()?;
        while opened(&self.heard()?)?.0 == Part::Item {}
        Ok(())
    }

    /// Hears the answer to a round that was opened; says what came at its end. The other side says what it contains exactly once.
    /// Errors of the other side name it, and not those of who is told.
    pub(crate) fn hear_opened<T: DeserializeOwned>(
        &mut self,
        told: &mut dyn FnMut(&Knowledge) -> Result<()>,
    ) -> Result<T> {
        self.early = None;
        let (mut times, mut ours) = (0, None);
        let end = self.hear(&mut |knowledge: Knowledge| {
            times += 1;
            if times > 1 {
                return Err(unlike_a_beginning());
            }
            told(&knowledge).map_err(|e| {
                ours = Some(e);
                crate::message::stopped()
            })
        });
        if let Some(ours) = ours {
            return Err(ours);
        }
        let end = end.and_then(|end| if times == 1 { Ok(end) } else { Err(unlike_a_beginning()) });
        end.map_err(|e| self.site.iter().fold(e, |e, site| e.during(site)))
    }

    /// Hears answers of batches that went ahead: those that are here, and more until no more than `left` are missing.
    fn hear_ahead(&mut self, left: usize) -> crate::Result<()> {
        while self.waiting() > left || (self.waiting() > 0 && self.channel.is_readable()) {
            self.hear_one()?;
        }
        Ok(())
    }

    /// Batches that have no answer yet.
    fn waiting(&self) -> usize {
        self.open.iter().filter(|open| **open == Unanswered::Batch).count()
    }

    /// What became of the batches that were answered. After one that failed, once the rest has been refused, begins anew.
    fn told(&mut self) -> Result<Applied> {
        if self.ahead.failed.is_some() {
            self.call::<()>(&Request::Applied)?;
        }
        let ahead = std::mem::take(&mut self.ahead);
        ahead.failed.map_or(Ok(ahead.applied), Err)
    }
}

fn unlike_a_beginning() -> StoreError {
    StoreError::new(Trouble::Corrupt, "the other side did not say once what it contains")
}

impl Store for RemoteStore {
    fn open_round(&mut self, opening: &Opening, told: &mut dyn FnMut(&Knowledge) -> Result<()>) -> Result<Opened> {
        if !self.is_opened(opening) {
            self.open_ahead(opening)?;
        }
        self.hear_opened(told)
    }

    fn is_far(&self) -> bool {
        true
    }

    fn describe(&mut self) -> Result<Description> {
        self.call(&Request::Describe)
    }

    fn knowledge(&mut self) -> Result<Knowledge> {
        self.call(&Request::Knowledge)
    }

    fn forgot(&mut self, peer: &Knowledge) -> Result<Option<SiteId>> {
        self.call(&Request::Forgot(Cow::Borrowed(peer)))
    }

    fn last_heard(&mut self, site: SiteId) -> Result<u64> {
        self.call(&Request::LastHeard(site))
    }

    fn leave_history(&mut self, latest: u64) -> Result<Source> {
        self.call(&Request::LeaveHistory(latest))
    }

    fn drain(&mut self) -> Result<Drained> {
        self.call(&Request::Drain)
    }

    fn is_empty(&mut self) -> Result<bool> {
        self.call(&Request::IsEmpty)
    }

    fn recognises(&mut self, own: Position) -> Result<bool> {
        self.call(&Request::Recognises(own))
    }

    fn greet(&mut self, peer: Source, claimed: Option<Position>) -> Result<Greeting> {
        self.call(&Request::Greet(peer, claimed))
    }

    fn reincarnate(&mut self) -> Result<Source> {
        self.call(&Request::Reincarnate)
    }

    fn outline(&mut self, since: &Since) -> Result<Outline> {
        self.call(&Request::Outline(Cow::Borrowed(since)))
    }

    fn changes(&mut self, since: &Since, sink: &mut Sink) -> Result<Streamed> {
        self.stream(&Request::Changes(Cow::Borrowed(since)), sink)
    }

    fn apply(&mut self, batch: &Batch, mode: Mode) -> Result<Applied> {
        self.call(&Request::Apply(Cow::Borrowed(batch), mode))
    }

    fn apply_ahead(&mut self, batch: &Batch, mode: Mode) -> Result<Applied> {
        self.hear_ahead(AHEAD - 1)?;
        if self.ahead.failed.is_none() {
            self.ask(&Request::ApplyAhead(Cow::Borrowed(batch), mode))?;
            self.open.push_back(Unanswered::Batch);
        }
        self.told()
    }

    fn applied(&mut self) -> Result<Applied> {
        self.waits += u64::from(self.waiting() > 0);
        self.hear_ahead(0)?;
        self.told()
    }

    fn confirm(&mut self) -> Result<()> {
        self.waits += u64::from(!self.open.is_empty());
        self.hear_all()?;
        self.refused.take().map_or(Ok(()), Err)
    }

    fn complete(&mut self, stream: &Completed) -> Result<()> {
        self.post(&Request::Complete(Cow::Borrowed(stream)))
    }

    fn enter(&mut self, tables: &[(String, Stamp)]) -> Result<Applied> {
        self.call(&Request::Enter(tables.into()))
    }

    fn scan(&mut self, table: &str, along: bool, sink: &mut Sink) -> Result<()> {
        self.stream(&Request::Scan(table.into(), along), sink)
    }

    fn digest(&mut self, question: &Question, answers: &mut Answers) -> Result<()> {
        self.stream(&Request::Digest(Cow::Borrowed(question)), answers)
    }

    fn rows(&mut self, table: &str, keys: &[Vec<Value>]) -> Result<(Batch, usize)> {
        self.call(&Request::Rows(table.into(), keys.into()))
    }

    fn bury(&mut self, table: &str, rows: &[Burial], millis: u64, mode: Mode) -> Result<Applied> {
        self.call(&Request::Bury(table.into(), rows.into(), millis, mode))
    }

    fn registry(&mut self) -> Result<Registry> {
        self.call(&Request::Registry)
    }

    fn register(&mut self, registry: &Registry) -> Result<()> {
        self.post(&Request::Register(Cow::Borrowed(registry)))
    }

    fn purge(&mut self, graves: &Purgeable, before: u64) -> Result<u64> {
        self.call(&Request::Purge(Cow::Borrowed(graves), before))
    }

    fn restamp(&mut self, table: &str, rows: &[Restamp], millis: u64) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.call(&Request::Restamp(table.into(), rows.into(), millis))
    }

    fn compared(&mut self, tables: &[String]) -> Result<()> {
        self.post(&Request::Compared(tables.into()))
    }

    fn conflicts(&mut self) -> Result<Vec<ConflictEntry>> {
        self.call(&Request::Conflicts)
    }

    fn parked(&mut self) -> Result<Vec<ParkedEntry>> {
        self.call(&Request::Parked)
    }

    fn restore(&mut self, conflict: &str) -> Result<()> {
        self.call(&Request::Restore(conflict.into()))
    }
}
