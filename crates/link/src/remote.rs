//! The store at the other end of a channel, as a [`Store`] here. Says and hears; decides nothing.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_core::{Knowledge, Position, Purgeable, Registry, SiteId, Source, Stamp, Value};
use sync_store::{
    Answers, Applied, Batch, Burial, Completed, ConflictEntry, Description, Drained, Greeting, Mode, Opened, Opening,
    Outline, ParkedEntry, Question, Restamp, Result, Since, Sink, Store, StoreError, Streamed, Trouble,
};

use crate::error::LinkError;
use crate::message::{Part, Request, opened, pack, unpack};
use crate::mux::Channel;

/// A store that is reached over a channel.
pub struct RemoteStore {
    channel: Channel,
    ahead: Ahead,
    /// Requests that nobody waited for: their answers come before that of the next one.
    posted: usize,
    /// Where it is, for messages.
    site: Option<String>,
    /// How often it was waited for.
    waits: u64,
}

/// Batches that went ahead, [`AHEAD`] at most.
#[derive(Default)]
struct Ahead {
    /// How many have no answer yet.
    waiting: usize,
    /// What became of those that have, and nobody was told yet.
    applied: Applied,
    /// Why one could not be applied.
    failed: Option<StoreError>,
}

/// What is on its way is bounded by the channel's credit; this bounds how many small ones have no answer.
const AHEAD: usize = 32;

impl RemoteStore {
    /// The store that the other side serves on this channel.
    pub fn new(channel: Channel) -> Self {
        RemoteStore { channel, ahead: Ahead::default(), posted: 0, site: None, waits: 0 }
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
        self.channel.send_along(pack(request)?)
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
        self.hear_ahead(0)?;
        if !request.may_follow() {
            self.confirm()?;
        }
        self.ask(request)?;
        self.waits += 1;
        let mut refused = self.hear_posted()?;
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
        self.hear_ahead(0)?;
        self.ask(request)?;
        self.posted += 1;
        Ok(())
    }

    /// Hears what became of what was posted; says what went wrong first.
    fn hear_posted(&mut self) -> crate::Result<Option<StoreError>> {
        let mut failed = None;
        while self.posted > 0 {
            let message = self.heard()?;
            self.posted -= 1;
            match opened(&message)? {
                (Part::Failed, body) => {
                    let error = unpack(body)?;
                    failed.get_or_insert(error);
                }
                (_, body) => unpack::<()>(body)?,
            }
        }
        Ok(failed)
    }

    /// Begins a round by such a request; says what came at its end. The other side says what it contains exactly once. Errors of
    /// the other side name it, and not those of who is told.
    pub(crate) fn open_by<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        told: &mut dyn FnMut(&Knowledge) -> Result<()>,
    ) -> Result<T> {
        let (mut times, mut ours) = (0, None);
        let end = self.stream(request, &mut |knowledge: Knowledge| {
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
        while self.ahead.waiting > left || (self.ahead.waiting > 0 && self.channel.is_readable()) {
            if let Some(error) = self.hear_posted()? {
                // It was posted before they went, and so none of them was applied.
                self.ahead.failed.get_or_insert(error);
            }
            let message = self.heard()?;
            self.ahead.waiting -= 1;
            match opened(&message)? {
                (Part::Failed, body) => {
                    let error = unpack(body)?;
                    self.ahead.failed.get_or_insert(error);
                }
                (_, body) => self.ahead.applied.add(unpack(body)?),
            }
        }
        Ok(())
    }

    /// What became of the batches that were answered. After one that failed, once the rest has been refused, begins anew.
    fn told(&mut self) -> Result<Applied> {
        if self.ahead.failed.is_some() {
            self.call::<()>(&Request::Applied)?;
        }
        let ahead = std::mem::take(&mut self.ahead);
        self.ahead.waiting = ahead.waiting;
        ahead.failed.map_or(Ok(ahead.applied), Err)
    }
}

fn unlike_a_beginning() -> StoreError {
    StoreError::new(Trouble::Corrupt, "the other side did not say once what it contains")
}

impl Store for RemoteStore {
    fn open_round(&mut self, opening: &Opening, told: &mut dyn FnMut(&Knowledge) -> Result<()>) -> Result<Opened> {
        self.open_by(&Request::Open(Cow::Borrowed(opening)), told)
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
            self.ahead.waiting += 1;
        }
        self.told()
    }

    fn applied(&mut self) -> Result<Applied> {
        self.waits += u64::from(self.ahead.waiting > 0);
        self.hear_ahead(0)?;
        self.told()
    }

    fn confirm(&mut self) -> Result<()> {
        if self.posted == 0 {
            return Ok(());
        }
        self.waits += 1;
        self.hear_posted()?.map_or(Ok(()), Err)
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
