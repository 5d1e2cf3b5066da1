//! The order of the frames of a link that has several lanes: each frame has a place in it, which is told only where a lane goes on
//! with another than the one after its last. The other side takes frames in by their places, whichever lane brings them. Pure.

/// What was given to lanes, and what came of them.
pub(super) struct Order {
    /// The place of the next frame that goes out.
    next: u32,
    /// The lane that the last one went on.
    last: usize,
    /// The place of the next frame that is taken in.
    due: u32,
    /// Lanes that frames may come on.
    open: usize,
    /// The places of frames that are here before their time, one for each lane at most.
    early: Vec<u32>,
    /// Lanes there ever were.
    lanes: usize,
    /// Bytes that went out or came in.
    carried: u64,
    /// How many somebody waits for.
    awaited: u64,
}

impl Default for Order {
    fn default() -> Self {
        Order { next: 0, last: 0, due: 0, open: 1, early: Vec::new(), lanes: 1, carried: 0, awaited: u64::MAX }
    }
}

impl Order {
    /// A frame goes out on this lane; gives its place if that has to be told.
    pub fn give(&mut self, lane: usize) -> Option<u32> {
        let place = (self.last != lane).then_some(self.next);
        self.last = lane;
        self.next = self.next.wrapping_add(1);
        place
    }

    /// Whether the frame of this place is the one to be taken in.
    pub fn is_due(&self, place: u32) -> bool {
        self.due == place
    }

    /// The one that was due was taken in.
    pub fn pass(&mut self) {
        self.due = self.due.wrapping_add(1);
    }

    /// A lane has a frame that is not due yet.
    pub fn wait(&mut self, place: u32) {
        self.early.push(place);
    }

    /// It waits no longer.
    pub fn go_on(&mut self, place: u32) {
        if let Some(at) = self.early.iter().position(|early| *early == place) {
            self.early.swap_remove(at);
        }
    }

    /// Whether what is due cannot come any more.
    pub fn is_broken(&self) -> bool {
        self.early.len() >= self.open && !self.early.contains(&self.due)
    }

    /// There is to be one more lane; gives its number.
    pub fn open(&mut self) -> usize {
        self.open += 1;
        self.lanes += 1;
        self.lanes - 1
    }

    /// Nothing comes on one of them any more; says whether there are others.
    pub fn close(&mut self) -> bool {
        self.open = self.open.saturating_sub(1);
        self.open > 0
    }

    /// Whether there is, or was, more than one.
    pub fn has_several(&self) -> bool {
        self.lanes > 1
    }

    /// So many bytes were carried; says whether somebody waits for that.
    pub fn carry(&mut self, bytes: usize) -> bool {
        self.carried += bytes as u64;
        self.has_carried(self.awaited)
    }

    /// Whether as many were.
    pub fn has_carried(&self, bytes: u64) -> bool {
        self.carried >= bytes
    }

    /// Somebody waits for that.
    pub fn await_carried(&mut self, bytes: u64) {
        self.awaited = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_where_another_lane_goes_on() {
        let mut order = Order { next: u32::MAX, ..Order::default() };
        let told = [0, 0, 1, 1, 0].map(|lane| order.give(lane));
        assert_eq!(told, [None, None, Some(1), None, Some(3)]);
    }

    #[test]
    fn what_is_not_due_waits_for_what_another_lane_may_bring() {
        let mut order = Order::default();
        order.open();
        order.wait(1);
        assert!(!order.is_due(1) && !order.is_broken(), "the other lane may bring it");
        order.wait(0);
        assert!(order.is_due(0) && !order.is_broken(), "it has");
        order.go_on(0);
        order.pass();
        assert!(order.is_due(1));
        order.go_on(1);
        order.wait(7);
        assert!(order.close() && order.is_broken(), "nobody is left to bring it");
        assert!(!order.close());
    }
}
