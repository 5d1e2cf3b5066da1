//! A store of files over a channel, from both ends: what it has beside the verbs of [`crate::remote`] and [`crate::serve`].
//! Contents go in pieces that nobody answers, so that a long line is filled; what goes wrong with one is told in the answer to
//! the next verb, and the credit of the channel bounds what is on its way.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use sync_core::{Knowledge, Position, Registry, Source};
use sync_store::contents::WANTS;
use sync_store::{
    Completed, Contents, Description, Drained, Greeting, Lacking, Manner, Next, Opened, Opening, Outline, Piece,
    PieceSink, Realised, Result, Settled, Since, Skipped, Store, StoreError, Trouble, Want,
};

use crate::message::{ContentsRequest, Part, Request, answer, opened, unpack};
use crate::mux::{Channel, Mux};
use crate::openings::Openings;
use crate::remote::RemoteStore;
use crate::serve::Service;

/// A store of files that is reached over a channel.
pub struct RemoteTree {
    store: RemoteStore,
    /// Where it is, for messages.
    site: String,
    unread: Vec<Skipped>,
    /// Whether nothing was to be done there when the round began, and nothing was written since.
    rests: bool,
    /// The database of the link, and how many rounds it was opened for when this was opened ahead.
    after: Option<(Arc<Openings>, u64)>,
}

/// What a store of files answers when a round begins: what any store does, what the scan could not take in, and whether the
/// tree is at rest.
type OpenedTree<'a> = (Opened, Cow<'a, [Skipped]>, bool);

impl RemoteTree {
    /// The store that the other side, of this name, serves on this channel.
    pub fn new(channel: Channel, site: &str) -> Self {
        RemoteTree {
            store: RemoteStore::new(channel).named(site),
            site: site.to_owned(),
            unread: Vec::new(),
            rests: false,
            after: None,
        }
    }

    /// As [`RemoteStore::open_ahead`]; it is opened once the database of the link is, for the last round there was. If that is opened
    /// once more after all, this counts for nothing.
    ///
    /// # Errors
    /// What the link broke of.
    pub fn open_ahead(&mut self, opening: &Opening, rows: &Arc<Openings>) -> Result<()> {
        let count = rows.count();
        self.after = Some((Arc::clone(rows), count));
        self.store.ask_ahead(&open_after(opening, count), opening)
    }

    /// As [`RemoteStore::met`].
    pub fn met(&mut self) {
        self.store.met();
    }

    /// Gives up a round that was opened ahead.
    ///
    /// # Errors
    /// What the link broke of.
    pub fn forgo(&mut self) -> Result<()> {
        Ok(self.store.forgo()?)
    }

    /// As [`RemoteStore::waits`].
    pub fn waits(&self) -> u64 {
        self.store.waits()
    }

    fn call<T>(&mut self, work: impl FnOnce(&mut RemoteStore) -> Result<T>) -> Result<T> {
        self.rests = false;
        self.look(work)
    }

    /// By what does not touch files or their rows.
    fn look<T>(&mut self, work: impl FnOnce(&mut RemoteStore) -> Result<T>) -> Result<T> {
        work(&mut self.store).map_err(|e| e.during(&self.site))
    }

    fn ask<T: DeserializeOwned>(&mut self, request: ContentsRequest) -> Result<T> {
        self.call(|store| store.call(&Request::Contents(request)))
    }
}

impl Store for RemoteTree {
    sync_store::pass_on! {
        knowledge forgot last_heard leave_history is_empty recognises reincarnate changes apply apply_ahead applied enter scan
        digest rows restamp bury purge compared conflicts parked restore
    }

    /// Also hears what the scan could not take in, and whether anything is to be done there.
    fn open_round(&mut self, opening: &Opening, told: &mut dyn FnMut(&Knowledge) -> Result<()>) -> Result<Opened> {
        self.rests = false;
        let is_after = self.after.take().is_some_and(|(rows, count)| rows.count() == count);
        if !(is_after && self.store.is_opened(opening)) {
            self.store.ask_ahead(&open_after(opening, 0), opening)?;
        }
        let (opened, unread, rests): OpenedTree = self.store.hear_opened(told)?;
        (self.unread, self.rests) = (unread.into_owned(), rests);
        Ok(opened)
    }

    fn describe(&mut self) -> Result<Description> {
        self.look(Store::describe)
    }

    fn greet(&mut self, peer: Source, claimed: Option<Position>) -> Result<Greeting> {
        self.look(|store| store.greet(peer, claimed))
    }

    fn outline(&mut self, since: &Since) -> Result<Outline> {
        self.look(|store| store.outline(since))
    }

    fn complete(&mut self, stream: &Completed) -> Result<()> {
        self.look(|store| store.complete(stream))
    }

    fn registry(&mut self) -> Result<Registry> {
        self.look(Store::registry)
    }

    fn register(&mut self, registry: &Registry) -> Result<()> {
        self.look(|store| store.register(registry))
    }

    fn confirm(&mut self) -> Result<()> {
        self.look(Store::confirm)
    }

    fn is_far(&self) -> bool {
        true
    }

    /// Also hears what the scan could not take in.
    fn drain(&mut self) -> Result<Drained> {
        let drained = self.call(Store::drain)?;
        self.unread = self.ask(ContentsRequest::Unread)?;
        Ok(drained)
    }
}

impl Contents for RemoteTree {
    fn begin(&mut self, manner: Manner) -> Result<()> {
        self.ask(ContentsRequest::Begin(manner))
    }

    fn begin_ahead(&mut self, manner: Manner) -> Result<()> {
        self.call(|store| store.post(&Request::Contents(ContentsRequest::Begin(manner))))
    }

    fn rests(&mut self) -> Result<bool> {
        Ok(self.rests)
    }

    fn rest(&mut self) -> Result<()> {
        self.call(|store| store.post(&Request::Contents(ContentsRequest::Rest)))
    }

    fn settle(&mut self) -> Result<u64> {
        self.ask(ContentsRequest::Settle)
    }

    fn wanted(&mut self, limit: usize) -> Result<Vec<Want>> {
        self.ask(ContentsRequest::Wanted(packed(limit)))
    }

    fn settle_and_want(&mut self, limit: usize, alone: bool) -> Result<Settled> {
        let settled = self.ask(ContentsRequest::SettleAndWant(packed(limit), alone));
        // If it was refused, rows that went before it tell why.
        settled.map_err(|error| self.applied().err().unwrap_or(error))
    }

    fn want_or_realise(&mut self, limit: usize) -> Result<Next> {
        self.ask(ContentsRequest::WantOrRealise(packed(limit)))
    }

    fn lacking(&mut self) -> Result<Lacking> {
        self.ask(ContentsRequest::Lacking)
    }

    fn meet(&mut self) {
        // That the link broke is seen by the next verb too.
        let _ = self.store.ask(&Request::Contents(ContentsRequest::Meet));
    }

    fn supply(&mut self, wants: &[Want], sink: &mut PieceSink) -> Result<()> {
        self.call(|store| store.stream(&Request::Contents(ContentsRequest::Supply(wants.into())), sink))
    }

    fn receive(&mut self, piece: &Piece) -> Result<()> {
        Ok(self.store.ask_along(&Request::Contents(ContentsRequest::Receive(Cow::Borrowed(piece))))?)
    }

    fn realise(&mut self) -> Result<Realised> {
        self.ask(ContentsRequest::Realise)
    }

    fn unrealised(&mut self) -> Result<u64> {
        self.ask(ContentsRequest::Unrealised)
    }

    fn unread(&self) -> &[Skipped] {
        &self.unread
    }
}

fn open_after(opening: &Opening, count: u64) -> Request<'_> {
    Request::Contents(ContentsRequest::Open(Cow::Borrowed(opening), count))
}

/// A limit, as it is asked for.
fn packed(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// The same, as it is granted.
fn granted(limit: u32) -> usize {
    (limit as usize).min(WANTS)
}

/// The error of a store that has no files.
pub(crate) fn no_files() -> StoreError {
    StoreError::new(Trouble::Corrupt, "a database was asked for files")
}

/// Answers until the other side closes the channel. What is to come after the rows waits for these.
///
/// # Errors
/// What the link broke of. What goes wrong with the store is the other side's to hear.
pub fn serve(channel: &Channel, tree: &mut dyn Contents, rows: &Openings) -> crate::Result<()> {
    let mut service = Service::new(channel);
    let mut late: Option<StoreError> = None;
    // A dry run clears nothing away.
    let mut preview = false;
    while let Some(message) = channel.receive()? {
        let request = unpack(&message)?;
        drop(message);
        match &request {
            Request::Contents(ContentsRequest::Begin(manner)) => preview = manner.preview,
            // Whoever ends a round has given up what was on its way; others may have the folder in any case.
            Request::Contents(ContentsRequest::Rest) => late = None,
            _ => {}
        }
        match request {
            // After an error the rest of what is on its way is of no use.
            Request::Contents(ContentsRequest::Receive(piece)) if late.is_none() => late = tree.receive(&piece).err(),
            Request::Contents(ContentsRequest::Receive(_)) => {}
            Request::Contents(ContentsRequest::Meet) => tree.meet(),
            request => match late.take() {
                Some(error) => service.end(Err::<(), _>(error))?,
                None => match request {
                    Request::Contents(ContentsRequest::Open(opening, count)) => {
                        if !rows.wait_for(count) {
                            return Ok(());
                        }
                        service.begin();
                        open(&service, tree, &opening, preview)?;
                    }
                    request => answer_one(&mut service, tree, request)?,
                },
            },
        }
    }
    Ok(())
}

fn answer_one(service: &mut Service, tree: &mut dyn Contents, request: Request) -> crate::Result<()> {
    let Request::Contents(request) = request else { return service.answer(tree, request) };
    match request {
        ContentsRequest::Begin(manner) => service.end(tree.begin(manner)),
        ContentsRequest::Rest => service.end(tree.rest()),
        ContentsRequest::Settle => service.end(tree.settle()),
        ContentsRequest::Wanted(limit) => service.end(tree.wanted(granted(limit))),
        ContentsRequest::SettleAndWant(limit, alone) => {
            service.end(service.with_rows(|| tree.settle_and_want(granted(limit), alone)))
        }
        ContentsRequest::WantOrRealise(limit) => service.end(tree.want_or_realise(granted(limit))),
        ContentsRequest::Supply(wants) => service.end(tree.supply(&wants, &mut |piece| service.item_along(&piece))),
        ContentsRequest::Realise => service.end(tree.realise()),
        ContentsRequest::Lacking => service.end(tree.lacking()),
        ContentsRequest::Unrealised => service.end(tree.unrealised()),
        ContentsRequest::Unread => service.end(Ok(tree.unread())),
        ContentsRequest::Meet | ContentsRequest::Receive(_) | ContentsRequest::Open(..) => Ok(()),
    }
}

/// Answers whoever begins a round.
fn open(service: &Service, tree: &mut dyn Contents, opening: &Opening, preview: bool) -> crate::Result<()> {
    let opened = tree.open_round(opening, &mut |knowledge| service.item(knowledge));
    let opened = opened.and_then(|opened| {
        let rests = !preview && matches!(opened, Opened::Ready(_)) && tree.rests()?;
        Ok((opened, rests))
    });
    match opened {
        Ok((opened, rests)) => service.end(Ok::<OpenedTree, _>((opened, tree.unread().into(), rests))),
        Err(error) => service.end(Err::<(), _>(error)),
    }
}

/// Tells the other side which stores of files there are, or why there is none, before it asks: so that it need not wait.
///
/// # Errors
/// What the link broke of.
pub fn announce(link: &Mux, names: std::result::Result<&[String], &StoreError>) -> crate::Result<()> {
    let message = match names {
        Ok(names) => answer(Part::Done, &names)?,
        Err(error) => answer(Part::Failed, error)?,
    };
    link.open(ANNOUNCED)?.send(message)
}

/// What the conversation is called that the other side begins by telling which stores of files it has.
const ANNOUNCED: &str = "documents";

/// Hears which stores of files the other side has. It tells once.
///
/// # Errors
/// What the link broke of, and what keeps the other side from telling.
pub fn announced(link: &Mux) -> Result<Vec<String>> {
    let (channel, service) = link.accept()?.ok_or_else(crate::LinkError::closed)?;
    if service != ANNOUNCED {
        return Err(crate::message::unexpected(&service).into());
    }
    let message = channel.receive()?.ok_or_else(crate::LinkError::closed)?;
    match opened(&message)? {
        (Part::Failed, body) => Err(unpack(body)?),
        (_, body) => Ok(unpack(body)?),
    }
}
