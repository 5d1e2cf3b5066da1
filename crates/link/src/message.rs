//! What is said on a channel that leads to a store: the fixed set of verbs and their answers. Whatever else comes is
//! refused; nothing of it is ever executed.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sync_core::{Knowledge, Position, Purgeable, Registry, SiteId, Source, Stamp, Value};
use sync_store::squeeze;
use sync_store::{Batch, Burial, Completed, Manner, Mode, Opening, Piece, Question, Restamp, Since, StoreError, Want};

use crate::error::{Fault, LinkError, Result};

/// A verb of the store with what it needs. The order is part of the protocol.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request<'a> {
    /// The stream that is under way is not wanted any more.
    Stop,
    Describe,
    Knowledge,
    Drain,
    IsEmpty,
    Recognises(Position),
    Greet(Source, Option<Position>),
    Reincarnate,
    Outline(Cow<'a, Since>),
    Changes(Cow<'a, Since>),
    Apply(Cow<'a, Batch>, Mode),
    Complete(Cow<'a, Completed>),
    Scan(Cow<'a, str>, bool),
    Digest(Cow<'a, Question>),
    Rows(Cow<'a, str>, Cow<'a, [Vec<Value>]>),
    Restamp(Cow<'a, str>, Cow<'a, [Restamp]>, u64),
    Bury(Cow<'a, str>, Cow<'a, [Burial]>, u64, Mode),
    Registry,
    Register(Cow<'a, Registry>),
    Purge(Cow<'a, Purgeable>, u64),
    Compared(Cow<'a, [String]>),
    Conflicts,
    Parked,
    Restore(Cow<'a, str>),
    Forgot(Cow<'a, Knowledge>),
    LastHeard(SiteId),
    LeaveHistory(u64),
    Enter(Cow<'a, [(String, Stamp)]>),
    /// Answered like `Apply`, but others follow before the answer. After one that failed all are refused until `Applied`.
    ApplyAhead(Cow<'a, Batch>, Mode),
    /// All that went ahead has been answered: what comes now does not follow something that failed.
    Applied,
    /// A verb of a store of files.
    Contents(ContentsRequest<'a>),
    /// Answered by what the store contains as an item, so that the other side can go on with its own meanwhile, and the rest.
    Open(Cow<'a, Opening>),
}

impl Request<'_> {
    /// Whether it may be asked before it is known whether the batches that went ahead could be applied: it is refused if one could
    /// not be.
    pub(crate) fn may_follow_rows(&self) -> bool {
        matches!(self, Request::Contents(ContentsRequest::SettleAndWant(..)))
    }

    /// Whether it may be asked before it is known whether what was posted could be done: it writes no row of others, and nothing
    /// that what was posted is a condition of.
    pub(crate) fn may_follow(&self) -> bool {
        match self {
            Request::Describe | Request::IsEmpty | Request::Scan(..) | Request::Digest(_) | Request::Rows(..) => true,
            Request::Open(_) | Request::Registry => true,
            Request::Contents(request) => matches!(
                request,
                ContentsRequest::Begin(_)
                    | ContentsRequest::Rest
                    | ContentsRequest::Open(..)
                    | ContentsRequest::Settle
                    | ContentsRequest::SettleAndWant(..)
                    | ContentsRequest::Wanted(_)
            ),
            _ => false,
        }
    }
}

/// What a store of files can be asked beside rows. The order is part of the protocol.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ContentsRequest<'a> {
    Begin(Manner),
    Rest,
    Settle,
    Wanted(u32),
    /// Not answered: what goes wrong is told in the answer to the next verb.
    Meet,
    Supply(Cow<'a, [Want]>),
    /// Not answered either, so that pieces follow one another however long the line is.
    Receive(Cow<'a, Piece>),
    Realise,
    Unrealised,
    Lacking,
    Unread,
    /// As [`Request::Open`], with what the scan could not take in, and whether the tree is at rest; not before the database was
    /// opened so often ([`crate::Openings`]).
    Open(Cow<'a, Opening>, u64),
    SettleAndWant(u32, bool),
    WantOrRealise(u32),
}

/// What a message of an answer is; its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// One of several, more follow.
    Item,
    /// The result, and the end.
    Done,
    /// What went wrong, and the end.
    Failed,
}

impl Part {
    const ALL: [Part; 3] = [Part::Item, Part::Done, Part::Failed];
}

/// Puts something into bytes.
///
/// # Errors
/// [`Fault::Protocol`], which what is sent here never gives.
pub(crate) fn pack(what: &impl Serialize) -> Result<Vec<u8>> {
    Ok(squeezed(pack_content(what)?, 0))
}

/// The same of contents, which are as small as they can be.
pub(crate) fn pack_content(what: &impl Serialize) -> Result<Vec<u8>> {
    plain(Vec::new(), what)
}

/// A message of an answer.
pub(crate) fn answer(part: Part, what: &impl Serialize) -> Result<Vec<u8>> {
    Ok(squeezed(answer_content(part, what)?, 1))
}

/// As [`pack_content`].
pub(crate) fn answer_content(part: Part, what: &impl Serialize) -> Result<Vec<u8>> {
    plain(vec![part as u8], what)
}

/// A message behind what it begins with.
fn plain(mut message: Vec<u8>, what: &impl Serialize) -> Result<Vec<u8>> {
    message.push(squeeze::PLAIN);
    rmp_serde::encode::write(&mut message, what)
        .map_err(|e| LinkError::new(Fault::Protocol, format!("a message cannot be written: {e}")))?;
    Ok(message)
}

/// Fewer bytes go with others in a packet of the line.
const SMALL: usize = 512;

/// More bytes are not made smaller, so that who makes them larger again needs no more room than this.
const LARGE: usize = 16 << 20;

/// The same message, smaller behind so many bytes. Rows are alike: in most messages there is little but keys and stamps.
fn squeezed(mut message: Vec<u8>, begin: usize) -> Vec<u8> {
    let bytes = &message[begin + 1..];
    if let Some(small) = (SMALL..=LARGE).contains(&bytes.len()).then(|| squeeze::squeezed(bytes)).flatten() {
        message.truncate(begin);
        message.extend(small);
    }
    message
}

/// Reads something from the bytes of a hostile side.
///
/// # Errors
/// [`Fault::Protocol`] for what it is not, and for bytes that are left.
pub(crate) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let refused =
        |why: String| LinkError::new(Fault::Protocol, format!("the other side sent what cannot be read: {why}"));
    let bytes =
        squeeze::unpacked(bytes, LARGE).ok_or_else(|| refused("it is not packed as it should be".to_owned()))?;
    let mut input = rmp_serde::Deserializer::new(&*bytes);
    let value = T::deserialize(&mut input).map_err(|e| refused(e.to_string()))?;
    match input.get_ref().is_empty() {
        true => Ok(value),
        false => Err(refused("bytes are left".to_owned())),
    }
}

/// The part that a message of an answer is, and what is in it.
pub(crate) fn opened(message: &[u8]) -> Result<(Part, &[u8])> {
    let part = message.first().and_then(|first| Part::ALL.into_iter().find(|p| *p as u8 == *first));
    let part = part.ok_or_else(|| LinkError::new(Fault::Protocol, "the other side sent an answer of no known kind"))?;
    Ok((part, &message[1..]))
}

/// The error of a conversation that the other side begins and nobody expects.
pub(crate) fn unexpected(service: &str) -> LinkError {
    let service: String = service.chars().filter(|c| !c.is_control()).take(100).collect();
    LinkError::new(Fault::Protocol, format!("the other side begins to speak of {service:?}"))
}

/// The error that ends a stream which is not wanted any more.
pub(crate) fn stopped() -> StoreError {
    StoreError::new(sync_store::Trouble::Failure, "the other side does not want the rest")
}

#[cfg(test)]
mod tests;
