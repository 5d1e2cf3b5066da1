//! The two sides of a round: their stores, what they say of themselves, and what follows from that for a direction.

use sync_core::digest::Order;
use sync_store::{Description, Method, Mode, Scope, Store};

use crate::compare::Stores;
use crate::error::Result;
use crate::handshake::Agreement;
use crate::opening::Early;
use crate::report::{Direction, Watch};
use crate::transfer::Horizon;
use crate::transfer::Rest;

/// Goes through the folders of documents.
pub type Documents<'a> = dyn FnMut(&mut dyn Watch) + 'a;

/// The two sides of a round, after the handshake.
pub(crate) struct Parties<'a> {
    pub master: &'a mut dyn Store,
    pub slave: &'a mut dyn Store,
    pub agreement: Agreement,
    /// What the sides said of themselves.
    pub about: Sides<Description>,
    pub horizon: Horizon,
    pub mode: Mode,
    /// Whether the drains left marks for the streams.
    pub left: Sides<bool>,
    /// Goes through the folders of documents, if there are any.
    pub documents: Option<&'a mut Documents<'a>>,
    /// The seqs of rows whose documents are there for certain: how far the stores were when the documents were last begun with.
    pub carried: Sides<u64>,
    /// What the slave answered when the round began.
    pub early: Early,
    /// Which way everything was copied in bulk in this round, to a side that had nothing.
    pub copied: Option<Direction>,
    /// Whether tables were compared in this round: what that stamped goes to the other side at once.
    pub is_compared: bool,
    /// Whether more follows at once, and so what became of the last rows that were pushed need not be waited for.
    pub is_followed: bool,
}

impl Parties<'_> {
    /// What is done about the last batches of a stream.
    pub fn rest(&self, direction: Direction) -> Rest {
        if self.is_followed && direction == Direction::Push { Rest::Left } else { Rest::Awaited }
    }
}

/// One of each.
#[derive(Clone, Debug)]
pub(crate) struct Sides<T> {
    pub master: T,
    pub slave: T,
}

impl<T> Sides<T> {
    /// Those of a sender and a receiver.
    fn towards(direction: Direction, sender: T, receiver: T) -> Self {
        match direction {
            Direction::Pull => Sides { master: receiver, slave: sender },
            Direction::Push => Sides { master: sender, slave: receiver },
        }
    }

    pub fn sender(&self, direction: Direction) -> &T {
        match direction {
            Direction::Pull => &self.slave,
            Direction::Push => &self.master,
        }
    }

    pub fn receiver(&self, direction: Direction) -> &T {
        match direction {
            Direction::Pull => &self.master,
            Direction::Push => &self.slave,
        }
    }
}

impl<'a> Parties<'a> {
    /// The sender and the receiver of a direction.
    pub fn stores(&mut self, direction: Direction) -> (&mut dyn Store, &mut dyn Store) {
        match direction {
            Direction::Pull => (self.slave, self.master),
            Direction::Push => (self.master, self.slave),
        }
    }

    /// Both, for a compare.
    pub fn pair(&mut self) -> Stores<'_> {
        Stores { master: self.master, slave: self.slave }
    }

    pub fn order(&self, table: &str) -> Order {
        order(&self.about.master, &self.about.slave, table)
    }

    /// The whole of a table, for a compare.
    pub fn scope(&self, table: &str) -> Scope {
        scope(&self.about.master, &self.about.slave, table)
    }

    /// Before rows that were just read go this way: if any were published since the documents were gone through, they are gone
    /// through again. A file was there before the row that cites it was written, so it goes with them.
    pub fn carry_documents(&mut self, direction: Direction, watch: &mut dyn Watch) -> Result<()> {
        if self.documents.is_none() || self.mode == Mode::Preview {
            return Ok(());
        }
        let sent = self.stores(direction).0.describe()?.head.seq;
        if sent == *self.carried.sender(direction) {
            return Ok(());
        }
        let received = self.stores(direction).1.describe()?.head.seq;
        self.carried = Sides::towards(direction, sent, received);
        self.go_through_documents(watch);
        Ok(())
    }

    /// The time, in milliseconds, from which on rows of a sender may cite documents that were not gone through; nothing if
    /// there are no documents.
    pub fn written_since(&self, direction: Direction) -> Option<u64> {
        /// Rows of other sites pass through this one, by clocks that differ.
        const MARGIN: i64 = 300_000;
        let millis = self.sender(direction).clock_micros / 1000 - MARGIN;
        self.documents.as_ref().map(|_| u64::try_from(millis).unwrap_or_default())
    }

    /// Goes through the folders of documents, if there are any.
    pub fn go_through_documents(&mut self, watch: &mut dyn Watch) {
        if let Some(documents) = &mut self.documents {
            documents(watch);
        }
    }

    pub fn sender(&self, direction: Direction) -> &Description {
        self.about.sender(direction)
    }

    pub fn receiver(&self, direction: Direction) -> &Description {
        self.about.receiver(direction)
    }
}
/// In what order a table's rows can be compared: by key, if both sides sort it alike.
pub(crate) fn order(master: &Description, slave: &Description, table: &str) -> Order {
    let key = |about: &Description| about.tables.iter().find(|t| t.name == table).map(|t| t.key.clone());
    if key(master) == key(slave) { Order::Keys } else { Order::Buckets }
}

/// The whole of a table, and how it can be compared: by sums that databases make, where rows would cross a network and both
/// sides make them alike.
pub(crate) fn scope(master: &Description, slave: &Description, table: &str) -> Scope {
    let sums = |about: &Description| about.tables.iter().find(|t| t.name == table).and_then(|t| t.sums.clone());
    let order = order(master, slave, table);
    let can = order == Order::Keys && sums(master).is_some() && sums(master) == sums(slave);
    let method = if can && (master.far || slave.far) { Method::Summed } else { Method::Read };
    Scope { method, ..Scope::whole(table, order) }
}
