//! The pairs of byte streams that carry one link. Each is written by a thread that takes the next frame there is, so that whichever
//! has room is used, and read by one that waits until its frame is due. When the link ends, each says so at its end: one that ends
//! otherwise has lost something.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::{Arc, MutexGuard};

use super::{Shared, State};
use crate::error::LinkError;
use crate::frame::{BODY_LIMIT, Frame, Kind, invalid};

/// What a link's lanes are added by, and who adds them hears of the link.
#[derive(Clone)]
pub struct Lanes {
    shared: Arc<Shared>,
}

impl Lanes {
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        Lanes { shared }
    }

    /// Waits until the link has carried so many bytes in both directions; false if it ended before.
    pub fn wait_until_carried(&self, bytes: u64) -> bool {
        let mut state = self.shared.lock();
        state.order.await_carried(bytes);
        loop {
            if state.over || state.broken.is_some() {
                return false;
            }
            if state.order.has_carried(bytes) {
                return true;
            }
            state = self.shared.carried.wait(state);
        }
    }

    /// There is to be one more, before the other side can use it. If it is dropped, there is none after all.
    pub fn reserve(&self) -> Lane {
        Lane { number: self.shared.lock().order.open(), shared: Some(self.shared.clone()) }
    }
}

/// A lane that nothing goes over yet.
pub struct Lane {
    number: usize,
    shared: Option<Arc<Shared>>,
}

impl Lane {
    /// Frames go over these streams as well. The other side must do the same with its ends of them.
    pub fn join(mut self, from: impl Read + Send + 'static, to: impl Write + Send + 'static) {
        if let Some(shared) = self.shared.take() {
            shared.read_on(from);
            shared.write_on(self.number, to);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.lock().order.close();
            shared.turn.wake();
        }
    }
}

/// What is known of a lane that is read.
#[derive(Default)]
struct Reading {
    /// The place of its next frame.
    place: u32,
    is_over: bool,
}

impl Shared {
    pub(super) fn write_on(self: &Arc<Self>, lane: usize, to: impl Write + Send + 'static) {
        let writes = self.clone();
        let write = move || writes.write_all(lane, &mut BufWriter::with_capacity(2 * BODY_LIMIT, to));
        let mut state = self.lock();
        state.writers.push(std::thread::spawn(write));
    }

    pub(super) fn read_on(self: &Arc<Self>, from: impl Read + Send + 'static) {
        let reads = self.clone();
        // Never joined: it ends with the stream, which the other side ends.
        std::thread::spawn(move || reads.read_all(&mut BufReader::with_capacity(2 * BODY_LIMIT, from)));
    }

    fn read_all<R: Read>(&self, from: &mut BufReader<R>) {
        let mut reading = Reading::default();
        let error = loop {
            match Frame::read(from).and_then(|frame| frame.map(|frame| self.take_in(frame, &mut reading)).transpose()) {
                // Of frames that came together all are told at once.
                Ok(Some(())) if Frame::begins(from.buffer()) => {}
                Ok(Some(())) => self.wake_all(),
                Ok(None) if reading.is_over && self.close_lane() => return,
                Ok(None) => break LinkError::closed(),
                Err(e) => break e.into(),
            }
        };
        self.fail(error);
    }

    /// Takes in a frame once it is due.
    fn take_in(&self, frame: Frame, reading: &mut Reading) -> io::Result<()> {
        match frame.kind {
            Kind::Turn => reading.place = frame.number().ok_or_else(|| invalid("a turn without a number"))?,
            Kind::End => reading.is_over = true,
            _ => {
                let mut state = self.wait_for_turn(reading.place)?;
                reading.place = reading.place.wrapping_add(1);
                state.order.pass();
                self.turn.wake();
                self.count(&mut state, &frame);
                state.accept(frame)?;
            }
        }
        Ok(())
    }

    fn wait_for_turn(&self, place: u32) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if state.order.is_due(place) {
            return Ok(state);
        }
        // Of what came before nobody was told yet; and whoever waits too looks whether what is due can still come.
        self.wake_all();
        state.order.wait(place);
        while !state.order.is_due(place) {
            if state.order.is_broken() || state.broken.is_some() {
                return Err(invalid("frames of which some are missing"));
            }
            state = self.turn.wait(state);
        }
        state.order.go_on(place);
        Ok(state)
    }

    /// Says whether there are others.
    fn close_lane(&self) -> bool {
        let has_others = self.lock().order.close();
        self.turn.wake();
        has_others
    }

    fn count(&self, state: &mut State, frame: &Frame) {
        if state.order.carry(frame.body.len()) {
            self.carried.wake();
        }
    }

    fn write_all(&self, lane: usize, to: &mut dyn Write) {
        while let Some((place, frame)) = self.to_write(lane, to) {
            let turn = place.map_or(Ok(()), |place| Frame::turn(place).write(to));
            if let Err(e) = turn.and_then(|()| frame.write(to)) {
                return self.fail(e.into());
            }
        }
        let _ = self.end(to);
    }

    /// The last that goes over a lane: if there are several, that nothing is missing.
    fn end(&self, to: &mut dyn Write) -> io::Result<()> {
        let state = self.lock();
        let is_whole = state.broken.is_none() && state.order.has_several();
        drop(state);
        if is_whole {
            Frame::bare(Kind::End, 0).write(to)?;
        }
        to.flush()
    }

    /// The next frame, once there is one, and its place, if that has to be told; nothing when the link is over. Before it waits, what
    /// was written is flushed.
    fn to_write(&self, lane: usize, to: &mut dyn Write) -> Option<(Option<u32>, Frame)> {
        if let Some(given) = self.give(lane, &mut self.lock()) {
            return Some(given);
        }
        if let Err(e) = to.flush() {
            self.fail(e.into());
        }
        let mut state = self.lock();
        loop {
            if state.broken.is_some() {
                return None;
            }
            match self.give(lane, &mut state) {
                Some(given) => return Some(given),
                None if state.over => return None,
                None => state = self.outgoing.wait(state),
            }
        }
    }

    fn give(&self, lane: usize, state: &mut State) -> Option<(Option<u32>, Frame)> {
        let frame = self.next_frame(state)?;
        self.count(state, &frame);
        Some((state.order.give(lane), frame))
    }
}
