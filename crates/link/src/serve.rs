//! A store served to the other end of a channel: a fixed set of verbs, one after the other. The counterpart of
//! [`crate::remote`].

use serde::Serialize;
use sync_store::{Batch, Mode, Result as StoreResult, Store};

use crate::error::Result;
use crate::message::{Part, Request, answer, answer_content, stopped, unpack};
use crate::mux::Channel;
use crate::openings::Openings;

/// Answers until the other side closes the channel, and counts the rounds that are opened.
///
/// # Errors
/// What the link broke of. What goes wrong with the store is the other side's to hear.
pub fn serve(channel: &Channel, store: &mut dyn Store, openings: &Openings) -> Result<()> {
    let mut service = Service::new(channel);
    while let Some(message) = channel.receive()? {
        let request = unpack(&message)?;
        drop(message);
        let opens = matches!(request, Request::Open(_));
        service.answer(store, request)?;
        if opens {
            openings.note();
        }
    }
    Ok(())
}

/// Answers everything with this error until the other side closes the channel: there is no store.
///
/// # Errors
/// As [`serve`].
pub fn refuse(channel: &Channel, error: &sync_store::StoreError) -> Result<()> {
    while channel.receive()?.is_some() {
        channel.send(answer(Part::Failed, error)?)?;
    }
    Ok(())
}

pub(crate) struct Service<'a> {
    channel: &'a Channel,
    /// A batch that went ahead could not be applied, or what was posted could not be done, and no batch that follows may be
    /// applied, until all was heard of or another round begins.
    spoilt: bool,
    /// It was a batch: nothing may be written down, or done about rows, as if it had been applied.
    lacks_rows: bool,
}

impl<'a> Service<'a> {
    pub fn new(channel: &'a Channel) -> Self {
        Service { channel, spoilt: false, lacks_rows: false }
    }

    pub fn answer(&mut self, store: &mut dyn Store, request: Request) -> Result<()> {
        match request {
            Request::Stop => Ok(()),
            Request::Describe => self.end(store.describe()),
            Request::Knowledge => self.end(store.knowledge()),
            Request::Drain => self.end(store.drain()),
            Request::IsEmpty => self.end(store.is_empty()),
            Request::Recognises(own) => self.end(store.recognises(own)),
            Request::Greet(peer, claimed) => self.end(store.greet(peer, claimed)),
            Request::Reincarnate => self.end(store.reincarnate()),
            Request::Outline(since) => self.end(store.outline(&since)),
            Request::Changes(since) => self.end(store.changes(&since, &mut |batch: Batch| self.item(&batch))),
            Request::Apply(batch, mode) => self.end(store.apply(&batch, mode)),
            Request::Complete(stream) => self.posted(|| store.complete(&stream)),
            Request::Scan(table, along) => self.end(store.scan(&table, along, &mut |batch: Batch| self.item(&batch))),
            Request::Digest(question) => self.end(store.digest(&question, &mut |answer| self.item(&answer))),
            Request::Rows(table, keys) => self.end(store.rows(&table, &keys)),
            Request::Bury(table, rows, millis, mode) => self.end(store.bury(&table, &rows, millis, mode)),
            Request::Registry => self.end(store.registry()),
            Request::Register(registry) => self.posted(|| store.register(&registry)),
            Request::Purge(graves, before) => self.end(store.purge(&graves, before)),
            Request::Restamp(table, rows, millis) => self.end(store.restamp(&table, &rows, millis)),
            Request::Compared(tables) => self.posted(|| store.compared(&tables)),
            Request::Conflicts => self.end(store.conflicts()),
            Request::Parked => self.end(store.parked()),
            Request::Restore(conflict) => self.end(store.restore(&conflict)),
            Request::Forgot(peer) => self.end(store.forgot(&peer)),
            Request::LastHeard(site) => self.end(store.last_heard(site)),
            Request::LeaveHistory(latest) => self.end(store.leave_history(latest)),
            Request::Enter(tables) => self.end(self.with_rows(|| store.enter(&tables))),
            Request::ApplyAhead(batch, mode) => self.ahead(store, &batch, mode),
            Request::Applied => {
                self.begin();
                self.end(Ok(()))
            }
            Request::Open(opening) => {
                self.begin();
                let opened = store.open_round(&opening, &mut |knowledge| self.item(knowledge));
                self.end(opened)
            }
            Request::Contents(_) => self.end(Err::<(), _>(crate::contents::no_files())),
        }
    }

    /// Whoever begins a round has given up what went before.
    pub fn begin(&mut self) {
        (self.spoilt, self.lacks_rows) = (false, false);
    }

    /// Does what the result of is not waited for.
    fn posted(&mut self, work: impl FnOnce() -> StoreResult<()>) -> Result<()> {
        let done = self.with_rows(work);
        self.spoilt |= done.is_err();
        self.end(done)
    }

    fn ahead(&mut self, store: &mut dyn Store, batch: &Batch, mode: Mode) -> Result<()> {
        let applied = if self.spoilt { Err(stopped()) } else { store.apply(batch, mode) };
        self.spoilt |= applied.is_err();
        self.lacks_rows |= applied.is_err();
        self.end(applied)
    }

    /// Does what must not be done where rows are lacking that were to be applied before.
    pub fn with_rows<T>(&self, work: impl FnOnce() -> StoreResult<T>) -> StoreResult<T> {
        if self.lacks_rows { Err(stopped()) } else { work() }
    }

    /// One of several; refused once the other side says anything, which can only be that it wants no more.
    pub fn item(&self, item: &impl Serialize) -> StoreResult<()> {
        self.go_on()?;
        Ok(self.channel.send(answer(Part::Item, item)?)?)
    }

    /// The same, and it may go out with what follows, of which the end is the last.
    pub fn item_along(&self, item: &impl Serialize) -> StoreResult<()> {
        self.go_on()?;
        Ok(self.channel.send_along(answer_content(Part::Item, item)?)?)
    }

    fn go_on(&self) -> StoreResult<()> {
        if self.channel.is_readable() { Err(stopped()) } else { Ok(()) }
    }

    pub fn end(&self, result: StoreResult<impl Serialize>) -> Result<()> {
        let message = match &result {
            Ok(value) => answer(Part::Done, value)?,
            Err(error) => answer(Part::Failed, error)?,
        };
        self.channel.send(message)
    }
}
