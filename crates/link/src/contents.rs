//! A store of files over a channel, from both ends: what it has beside the verbs of [`crate::remote`] and [`crate::serve`].
//! Contents go in pieces that nobody answers, so that a long line is filled; what goes wrong with one is told in the answer to
//! the next verb, and the credit of the channel bounds what is on its way.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use sync_store::{
    Contents, Drained, Lacking, Manner, Piece, PieceSink, Realised, Result, Skipped, Store, StoreError, Trouble, Want,
};

use crate::message::{ContentsRequest, Part, Request, answer, opened, pack, unpack};
use crate::mux::Channel;
use crate::remote::RemoteStore;
use crate::serve::Service;

/// A store of files that is reached over a channel.
pub struct RemoteTree {
    store: RemoteStore,
    /// Where it is, for messages.
    site: String,
    unread: Vec<Skipped>,
}

impl RemoteTree {
    /// The store that the other side, of this name, serves on this channel.
    pub fn new(channel: Channel, site: &str) -> Self {
        RemoteTree { store: RemoteStore::new(channel), site: site.to_owned(), unread: Vec::new() }
    }

    fn call<T>(&mut self, work: impl FnOnce(&mut RemoteStore) -> Result<T>) -> Result<T> {
        work(&mut self.store).map_err(|e| e.during(&self.site))
    }

    fn ask<T: DeserializeOwned>(&mut self, request: ContentsRequest) -> Result<T> {
        self.call(|store| store.call(&Request::Contents(request)))
    }
}

impl Store for RemoteTree {
    sync_store::pass_on! {
        describe knowledge forgot last_heard leave_history is_empty recognises greet reincarnate outline changes apply
        apply_ahead applied complete enter scan digest rows restamp bury registry register purge compared conflicts parked restore
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

    fn rest(&mut self) -> Result<()> {
        self.ask(ContentsRequest::Rest)
    }

    fn settle(&mut self) -> Result<u64> {
        self.ask(ContentsRequest::Settle)
    }

    fn wanted(&mut self, limit: usize) -> Result<Vec<Want>> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        self.ask(ContentsRequest::Wanted(limit))
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
        Ok(self.store.ask(&Request::Contents(ContentsRequest::Receive(Cow::Borrowed(piece))))?)
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

/// The error of a store that has no files.
pub(crate) fn no_files() -> StoreError {
    StoreError::new(Trouble::Corrupt, "a database was asked for files")
}

/// Contents that are asked for at once, at most.
const WANTS: u32 = 4096;

/// Answers until the other side closes the channel.
///
/// # Errors
/// What the link broke of. What goes wrong with the store is the other side's to hear.
pub fn serve(channel: &Channel, tree: &mut dyn Contents) -> crate::Result<()> {
    let mut service = Service::new(channel);
    let mut late: Option<StoreError> = None;
    while let Some(message) = channel.receive()? {
        let request = unpack(&message)?;
        drop(message);
        match request {
            // After an error the rest of what is on its way is of no use.
            Request::Contents(ContentsRequest::Receive(piece)) if late.is_none() => late = tree.receive(&piece).err(),
            Request::Contents(ContentsRequest::Receive(_)) => {}
            Request::Contents(ContentsRequest::Meet) => tree.meet(),
            request => match late.take() {
                Some(error) => service.end(Err::<(), _>(error))?,
                None => answer_one(&mut service, tree, request)?,
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
        ContentsRequest::Wanted(limit) => service.end(tree.wanted(limit.min(WANTS) as usize)),
        ContentsRequest::Supply(wants) => service.end(tree.supply(&wants, &mut |piece| service.item(&piece))),
        ContentsRequest::Realise => service.end(tree.realise()),
        ContentsRequest::Lacking => service.end(tree.lacking()),
        ContentsRequest::Unrealised => service.end(tree.unrealised()),
        ContentsRequest::Unread => service.end(Ok(tree.unread())),
        ContentsRequest::Meet | ContentsRequest::Receive(_) => Ok(()),
    }
}

/// Tells which stores of files there are, to whoever asks.
///
/// # Errors
/// What the link broke of.
pub fn tell_names(channel: &Channel, names: &[String]) -> crate::Result<()> {
    while channel.receive()?.is_some() {
        channel.send(answer(Part::Done, &names)?)?;
    }
    Ok(())
}

/// Asks which stores of files the other side has.
///
/// # Errors
/// What the link broke of, and what keeps the other side from answering.
pub fn ask_names(channel: &Channel) -> Result<Vec<String>> {
    channel.send(pack(&())?)?;
    let message = channel.receive()?.ok_or_else(crate::LinkError::closed)?;
    match opened(&message)? {
        (Part::Failed, body) => Err(unpack(body)?),
        (_, body) => Ok(unpack(body)?),
    }
}
