//! What waits at one end of a channel, and the credit that it has and gives. Pure.

use std::collections::VecDeque;

use super::WINDOW;
use crate::frame::{BODY_LIMIT, Frame, Kind};

/// What a frame counts beside its body, so that nobody can send empty messages without end. Part of the protocol.
pub(super) const OVERHEAD: usize = 64;

/// Credit is given for so many bytes at once: a frame back for each small message would cost as much as the message.
const GRANT: u64 = WINDOW as u64 / 8;

/// While more bytes than this wait to be sent on a channel, no more are taken: whoever sends many small messages need not wait
/// for each of them to be written.
const QUEUE: usize = 256 << 10;

/// So many bytes of messages that need not go out at once are worth a call of the system.
const BURST: usize = 64 << 10;

/// What waits on a channel.
pub(super) struct Ends {
    /// Messages that are to be sent, and how much of the first is gone.
    sending: VecDeque<Vec<u8>>,
    gone: usize,
    /// Bytes of those.
    queued: usize,
    /// Below 0 by [`OVERHEAD`] at most.
    pub(super) credit: i64,
    /// Messages that are here.
    pub(super) received: VecDeque<Vec<u8>>,
    pub(super) partial: Vec<u8>,
    /// Bytes that came and for which no new credit was given.
    pub(super) owed: u64,
    /// Of those, for which it may be given.
    free: u64,
    /// No more comes in.
    pub(super) ended: bool,
    /// Dropped at this end: what still comes is thrown away.
    pub(super) dropped: bool,
}

/// The credit that a piece takes.
fn cost(body: usize) -> u64 {
    (body + OVERHEAD) as u64
}

/// The credit that a message takes, if none of its frames is cut short.
fn cost_of(message: usize) -> u64 {
    message as u64 + message.div_ceil(BODY_LIMIT).max(1) as u64 * OVERHEAD as u64
}

impl Ends {
    pub(super) fn new() -> Self {
        Ends {
            sending: VecDeque::new(),
            gone: 0,
            queued: 0,
            credit: i64::from(WINDOW),
            received: VecDeque::new(),
            partial: Vec::new(),
            owed: 0,
            free: 0,
            ended: false,
            dropped: false,
        }
    }

    /// Whether another message can be taken to be sent.
    pub(super) fn has_room(&self) -> bool {
        self.queued < QUEUE
    }

    /// Whether so many can be taken that it is worth waking who waits to send them.
    pub(super) fn has_much_room(&self) -> bool {
        self.queued <= QUEUE / 2
    }

    /// Whether what waits is to go out, though nobody is in a hurry.
    pub(super) fn is_burst(&self) -> bool {
        self.queued >= BURST
    }

    /// Whether anything still has to go out.
    pub(super) fn is_sending(&self) -> bool {
        !self.sending.is_empty()
    }

    /// Takes in a piece of a message; false if that is more than the sender had credit for.
    pub(super) fn owe(&mut self, body: usize) -> bool {
        self.owed += cost(body);
        self.owed <= u64::from(WINDOW) + OVERHEAD as u64
    }

    pub(super) fn may_send(&self) -> bool {
        self.credit > 0 && !self.sending.is_empty()
    }

    pub(super) fn send(&mut self, message: Vec<u8>) {
        self.queued += message.len();
        self.sending.push_back(message);
    }

    /// The next piece of what is to be sent.
    pub(super) fn piece(&mut self, channel: u32) -> Option<Frame> {
        let message = self.sending.front()?;
        let room = usize::try_from(self.credit).unwrap_or(usize::MAX).min(BODY_LIMIT);
        let end = message.len().min(self.gone + room);
        let body = message[self.gone..end].to_vec();
        self.gone = end;
        let last = end == message.len();
        self.credit -= cost(body.len()) as i64;
        self.queued -= body.len();
        if last {
            self.sending.pop_front();
            self.gone = 0;
        }
        Some(Frame { kind: Kind::Data, last, channel, body })
    }

    /// The next message that is here, and the credit to be given for it.
    pub(super) fn take(&mut self) -> Option<(Vec<u8>, u64)> {
        let message = self.received.pop_front()?;
        let due = self.due(cost_of(message.len()));
        Some((message, due))
    }

    /// Credit to be given now: a message that is waited for may come in whole; beyond it, as messages are taken. A sender
    /// without any is owed a whole window, so that it never waits for what is not given yet.
    pub(super) fn due(&mut self, taken: u64) -> u64 {
        let is_waited_for = self.received.is_empty() || self.dropped;
        self.free = if is_waited_for { self.owed } else { self.owed.min(self.free + taken) };
        if self.free < GRANT {
            return 0;
        }
        self.owed -= self.free;
        std::mem::take(&mut self.free)
    }
}
