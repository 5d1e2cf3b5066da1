//! Several conversations over one pair of byte streams, so that a large file never delays a small change. Each channel
//! carries messages of any length, cut into frames that take turns; a sender goes no further than the receiver gave it
//! credit, so that what waits is bounded on both sides. More pairs may carry the same frames (lanes). Knows nothing of what the
//! messages say.

mod ends;
mod lane;
mod order;
mod signal;

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ends::Ends;
pub use lane::{Lane, Lanes};
use order::Order;
use signal::Signal;

use crate::error::{Fault, LinkError, Result};
use crate::frame::{Frame, Kind, invalid};

/// Bytes that may be on their way on a channel before the receiver has taken them. Part of the protocol.
pub const WINDOW: u32 = 16 << 20;

/// A message is no longer than this.
pub const MESSAGE_LIMIT: usize = 256 << 20;

/// Channels that the other side may have open, or ask for, at a time.
const CHANNELS: usize = 64;

/// A link: the end of it that this process has.
pub struct Mux {
    shared: Arc<Shared>,
}

/// When a message is to go out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Haste {
    /// At once.
    Now,
    /// With those that follow.
    Along,
}

/// One conversation.
pub struct Channel {
    shared: Arc<Shared>,
    number: u32,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something came in, or the link broke.
    arrived: Signal,
    /// There is room for another message, or nobody is there any more to take it.
    room: Signal,
    /// Something is to be written, credit came, or the link is over.
    outgoing: Signal,
    /// The next frame of another lane may be the one that is next.
    turn: Signal,
    /// As much was carried as somebody waits for.
    carried: Signal,
}

#[derive(Default)]
struct State {
    channels: BTreeMap<u32, Ends>,
    /// Frames that need no credit.
    control: VecDeque<Frame>,
    /// Channels that the other side opened and nobody accepted yet.
    opened: VecDeque<(u32, String)>,
    /// The channel that had the last turn.
    turn: u32,
    next: u32,
    order: Order,
    /// What writes, for each lane.
    writers: Vec<JoinHandle<()>>,
    over: bool,
    broken: Option<LinkError>,
}

impl Mux {
    /// Begins to carry frames. `first` is the number of this side's first channel: the sides take odd and even ones.
    pub fn start(from: impl Read + Send + 'static, to: impl Write + Send + 'static, first: u32) -> Self {
        let link = Self::begin(to, first);
        link.listen(from);
        link
    }

    /// Begins to carry frames one way: what is to be asked can go out before anything is known of the other side. Nothing is
    /// heard before [`Mux::listen`].
    pub fn begin(to: impl Write + Send + 'static, first: u32) -> Self {
        let state = State { next: first, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), ..Shared::default() });
        shared.write_on(0, to);
        Mux { shared }
    }

    /// Carries them the other way as well; called once.
    pub fn listen(&self, from: impl Read + Send + 'static) {
        self.shared.read_on(from);
    }

    /// More ways for the same frames.
    pub fn lanes(&self) -> Lanes {
        Lanes::of(self.shared.clone())
    }

    /// Opens a conversation with a service of the other side.
    ///
    /// # Errors
    /// What the link broke of.
    pub fn open(&self, service: &str) -> Result<Channel> {
        let mut state = self.shared.lock();
        state.sound()?;
        let number = state.next;
        state.next += 2;
        state.channels.insert(number, Ends::new());
        state.control.push_back(Frame { body: service.as_bytes().to_vec(), ..Frame::bare(Kind::Open, number) });
        self.shared.outgoing.wake();
        Ok(Channel { shared: self.shared.clone(), number })
    }

    /// Waits for the other side to open a conversation; says with which service. Nothing once the link has ended.
    ///
    /// # Errors
    /// What the link broke of.
    pub fn accept(&self) -> Result<Option<(Channel, String)>> {
        let mut state = self.shared.lock();
        loop {
            if let Some((number, service)) = state.opened.pop_front() {
                return Ok(Some((Channel { shared: self.shared.clone(), number }, service)));
            }
            match &state.broken {
                Some(e) if *e == LinkError::closed() => return Ok(None),
                Some(e) => return Err(e.clone()),
                None => state = self.shared.arrived.wait(state),
            }
        }
    }

    /// Ends the link with this error: whoever waits on a channel hears of it.
    pub fn fail(&self, error: LinkError) {
        self.shared.fail(error);
    }
}

impl Drop for Mux {
    /// What is to be written is written first.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.over = true;
        self.shared.wake_all();
        let writers = std::mem::take(&mut state.writers);
        drop(state);
        for writer in writers {
            let _ = writer.join();
        }
    }
}

impl Channel {
    /// Sends a message; returns once there is room for the next one.
    ///
    /// # Errors
    /// What the link broke of; [`Fault::Protocol`] for a message that is too long.
    pub fn send(&self, message: Vec<u8>) -> Result<()> {
        self.put(message, Haste::Now)
    }

    /// The same for one of many small messages, which go out together: it may wait for the next one, or for
    /// [`Self::receive`].
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_along(&self, message: Vec<u8>) -> Result<()> {
        self.put(message, Haste::Along)
    }

    fn put(&self, message: Vec<u8>, haste: Haste) -> Result<()> {
        if message.len() > MESSAGE_LIMIT {
            let text = format!("a message of {} bytes is too long for the link", message.len());
            return Err(LinkError::new(Fault::Protocol, text)
                .hint("rows of more than 200 MB need a direct connection to the database"));
        }
        let mut state = self.shared.lock();
        loop {
            state.sound()?;
            let ends = state.ends(self.number)?;
            if ends.ended {
                return Err(LinkError::closed());
            }
            if ends.has_room() {
                ends.send(message);
                if haste == Haste::Now || ends.is_burst() {
                    self.shared.outgoing.wake();
                }
                return Ok(());
            }
            state = self.shared.room.wait(state);
        }
    }

    /// Waits for the next message; nothing once the other side has closed the channel.
    ///
    /// # Errors
    /// What the link broke of.
    pub fn receive(&self) -> Result<Option<Vec<u8>>> {
        let mut state = self.shared.lock();
        loop {
            if let Some(message) = self.take(&mut state)? {
                return Ok(Some(message));
            }
            if state.ends(self.number)?.ended {
                return Ok(None);
            }
            state.sound()?;
            self.shared.outgoing.wake();
            state = self.shared.arrived.wait(state);
        }
    }

    /// Whether a message, or the end, has come already.
    pub fn is_readable(&self) -> bool {
        let mut state = self.shared.lock();
        state.broken.is_some() || state.ends(self.number).map_or(true, |e| e.ended || !e.received.is_empty())
    }

    fn take(&self, state: &mut State) -> Result<Option<Vec<u8>>> {
        let ends = state.ends(self.number)?;
        let Some((message, due)) = ends.take() else { return Ok(None) };
        if state.grant(self.number, due) {
            self.shared.outgoing.wake();
        }
        Ok(Some(message))
    }
}

impl Drop for Channel {
    /// What was sent goes out first; the other side is told that no more comes.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        self.shared.outgoing.wake();
        let is_sending = |ends: &Ends| ends.is_sending() && !ends.ended;
        while state.broken.is_none() && state.channels.get(&self.number).is_some_and(is_sending) {
            state = self.shared.room.wait(state);
        }
        state.control.push_back(Frame::bare(Kind::Close, self.number));
        let ended = state.channels.get(&self.number).is_none_or(|e| e.ended);
        if ended {
            state.channels.remove(&self.number);
        } else if let Some(ends) = state.channels.get_mut(&self.number) {
            (ends.dropped, ends.received, ends.partial) = (true, VecDeque::new(), Vec::new());
            let due = ends.due(0);
            state.grant(self.number, due);
        }
        self.shared.outgoing.wake();
    }
}

impl State {
    fn sound(&self) -> Result<()> {
        match &self.broken {
            Some(e) => Err(e.clone()),
            None => Ok(()),
        }
    }

    fn ends(&mut self, channel: u32) -> Result<&mut Ends> {
        self.channels.get_mut(&channel).ok_or_else(LinkError::closed)
    }

    /// Says whether there is a frame to be written for it.
    fn grant(&mut self, channel: u32, bytes: u64) -> bool {
        if bytes > 0 {
            self.control.push_back(Frame::credit(channel, u32::try_from(bytes).unwrap_or(u32::MAX)));
        }
        bytes > 0
    }

    /// The next frame to write: what needs no credit first, then a piece of whose turn it is.
    fn next_frame(&mut self) -> Option<Frame> {
        if let Some(frame) = self.control.pop_front() {
            return Some(frame);
        }
        let ready = |(number, ends): (&u32, &Ends)| ends.may_send().then_some(*number);
        let after = self.channels.range(self.turn + 1..).find_map(ready);
        let channel = after.or_else(|| self.channels.iter().find_map(ready))?;
        self.turn = channel;
        self.channels.get_mut(&channel)?.piece(channel)
    }

    /// Takes in a frame; the error is the other side's.
    fn accept(&mut self, frame: Frame) -> std::io::Result<()> {
        match frame.kind {
            Kind::Open => self.accept_open(frame),
            Kind::Data => self.accept_data(frame),
            Kind::Credit => {
                let bytes = frame.number().ok_or_else(|| invalid("credit without a number"))?;
                if let Some(ends) = self.channels.get_mut(&frame.channel) {
                    ends.credit = ends.credit.saturating_add(i64::from(bytes));
                }
                Ok(())
            }
            Kind::Close => {
                let dropped = self.channels.get(&frame.channel).is_some_and(|e| e.dropped);
                match self.channels.get_mut(&frame.channel) {
                    Some(ends) if !dropped => ends.ended = true,
                    _ => drop(self.channels.remove(&frame.channel)),
                }
                Ok(())
            }
            // They are of a lane.
            Kind::Turn | Kind::End => Ok(()),
        }
    }

    fn accept_open(&mut self, frame: Frame) -> std::io::Result<()> {
        let service = String::from_utf8(frame.body).map_err(|_| invalid("a service without a proper name"))?;
        let is_own = frame.channel % 2 == self.next % 2;
        if is_own || self.channels.contains_key(&frame.channel) {
            return Err(invalid("a channel that is open already"));
        }
        if self.channels.len() >= CHANNELS {
            return Err(invalid("requests for too many channels"));
        }
        self.channels.insert(frame.channel, Ends::new());
        self.opened.push_back((frame.channel, service));
        Ok(())
    }

    fn accept_data(&mut self, frame: Frame) -> std::io::Result<()> {
        // A channel that was closed here a moment ago.
        let Some(ends) = self.channels.get_mut(&frame.channel) else { return Ok(()) };
        if !ends.owe(frame.body.len()) {
            return Err(invalid("more than it had credit for"));
        }
        if !ends.dropped {
            if ends.partial.len() + frame.body.len() > MESSAGE_LIMIT {
                return Err(invalid("a message that is longer than messages are"));
            }
            ends.partial.extend_from_slice(&frame.body);
            if frame.last {
                ends.received.push_back(std::mem::take(&mut ends.partial));
            }
        }
        let due = ends.due(0);
        self.grant(frame.channel, due);
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        for signal in [&self.arrived, &self.room, &self.outgoing, &self.turn, &self.carried] {
            signal.wake();
        }
    }

    fn fail(&self, error: LinkError) {
        self.lock().broken.get_or_insert(error);
        self.wake_all();
    }

    /// The next frame. Whoever waits for room may send the next message once there is much.
    fn next_frame(&self, state: &mut State) -> Option<Frame> {
        let frame = state.next_frame()?;
        if state.channels.get(&frame.channel).is_none_or(Ends::has_much_room) {
            self.room.wake();
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests;
