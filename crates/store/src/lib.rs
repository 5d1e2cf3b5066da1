//! The one interface that hides what a store is and where it is, and the shapes that cross it.
//!
//! A store is one part of a virtual desktop at one site. Its verbs are coarse, so that a round costs the same few
//! exchanges whether the store is local, behind a direct connection or behind an agent. This crate holds no
//! implementation; every implementation must pass the story suite in the `sync_story` tests.

pub mod batch;
pub mod contents;
pub mod description;
pub mod digest;
pub mod error;
pub mod opening;
mod pass_on;
pub mod report;
pub mod squeeze;
pub mod steady;
mod travel;

pub use batch::{Batch, Change, TableHead};
pub use contents::{Contents, Hash, Lacking, Manner, Next, Piece, PieceSink, Realised, Reason, Settled, Skipped, Want};
pub use description::{Description, Role, SlaveSettings, TableInfo, TableStatus};
pub use digest::{Answer, Answers, Candidates, Content, Method, Question, Scope, Standing, Standpoint};
pub use error::{Result, StoreError, Trouble};
pub use opening::{Opened, Opening, Ready};
pub use report::{Applied, ConflictEntry, Drained, Mode, Outline, ParkedEntry, ParkedKind, TableOutline};

use serde::{Deserialize, Serialize};
use sync_core::{Incarnation, Knowledge, Position, Purgeable, Registry, SiteId, Source, Stamp, Value};

/// What the receiver already contains, and who it is: all that a sender needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Since {
    /// The receiver's own source; rows whose latest change came from it are not echoed.
    pub receiver: Source,
    /// How far the receiver contains this store, general position and held tables.
    pub position: Position,
    /// Tables that stay behind, with the seq each has reached; those that are paused now are left out of `tables`.
    pub held: Vec<(String, u64)>,
    /// The tables to send. Anything else is withheld, and the receiver holds it.
    pub tables: Vec<String>,
    /// Nothing that was published later is sent; to the head, if there is none. What a drain left is sent nevertheless.
    pub upto: Option<Position>,
}

/// What a store makes of a peer's claim to contain it up to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Greeting {
    /// The peer contains everything up to here; what follows is a stream of changes.
    Known(Position),
    /// The peer never heard of this incarnation. Of an earlier one, which this one goes on from, it said that it contains
    /// everything up to here.
    Continues {
        /// The earlier one.
        left: Incarnation,
        /// How far it was acknowledged.
        upto: Position,
    },
    /// Nothing is known of what the peer contains: everything must be compared.
    Stranger,
    /// This store does not recognise its own history: it was restored from a backup and must be
    /// [`Store::reincarnate`]d before it sends anything.
    Restored,
}

/// Receives batches as they are read. An error stops the stream and is passed on.
pub type Sink<'a> = dyn FnMut(Batch) -> Result<()> + 'a;

/// One part of a virtual desktop at one site.
///
/// Every method that writes is atomic: after a crash at any instruction its effect is there whole or not at all, and
/// calling it again is harmless. No method loses a change of the application, however it interleaves with one.
pub trait Store: Send {
    /// Begins a round: [`Store::knowledge`], which is told at once, so that the master can go on with its own; [`Store::forgot`];
    /// and if it did not, what else the master has to know, from [`Store::drain`] on. One question where there is a long line to
    /// the store, and the single verbs elsewhere.
    fn open_round(&mut self, opening: &Opening, told: &mut dyn FnMut(&Knowledge) -> Result<()>) -> Result<Opened> {
        opening::open(self, opening, told)
    }

    /// Whose history this is, as far as this process knows: whether that is so still, [`Store::describe`] says.
    fn own_source(&mut self) -> Result<Source> {
        Ok(self.describe()?.source)
    }

    /// Who and what this is, read afresh: identity, versions, clock; the tables as of the last [`Store::drain`].
    fn describe(&mut self) -> Result<Description>;

    /// What this store contains of others.
    fn knowledge(&mut self) -> Result<Knowledge>;

    /// Before anything is stamped: whether a peer knows more of this store's history than it does itself. Then it was
    /// restored: what is added to its counters now must not go into sums that are greater elsewhere, and a row of which
    /// it has only marks may have been heard of. Gives its site.
    fn forgot(&mut self, peer: &Knowledge) -> Result<Option<SiteId>>;

    /// When a site last wrote to a table with counters, as far as this store knows, in milliseconds since the Unix epoch.
    fn last_heard(&mut self, site: SiteId) -> Result<u64>;

    /// Takes a new incarnation after a restore. What was added to counters until `latest` was added before the backup, and is
    /// stamped as part of the history that is left, in which it may have been published; what was added later was since.
    fn leave_history(&mut self, latest: u64) -> Result<Source>;

    /// Brings capture up to date with the schema, then turns the pending marks into stamped rows; where there are very
    /// many, some are left for [`Store::changes`] ([`Drained::left`]).
    fn drain(&mut self) -> Result<Drained>;

    /// Whether its work is done at another machine, so that something else can be done here meanwhile.
    fn is_far(&self) -> bool {
        false
    }

    /// Whether it holds no row of the application at all.
    fn is_empty(&mut self) -> Result<bool>;

    /// Whether a position of its own history is still part of it; if not, the store was restored from a backup.
    fn recognises(&mut self, own: Position) -> Result<bool>;

    /// Hears how far `peer` contains this store, by what it says, and remembers it.
    fn greet(&mut self, peer: Source, claimed: Option<Position>) -> Result<Greeting>;

    /// Takes a new incarnation. Its seqs go on where they are.
    fn reincarnate(&mut self) -> Result<Source>;

    /// How many rows [`Store::changes`] would send, by table; of those whose marks were left by the drain no fewer than
    /// it would.
    fn outline(&mut self, since: &Since) -> Result<Outline>;

    /// Streams the rows that changed, in seq order, in batches of bounded size. It covers every row of `since.tables` up to
    /// the position at which it ends, but those that were written meanwhile: they have a later one.
    fn changes(&mut self, since: &Since, sink: &mut Sink) -> Result<Streamed>;

    /// Merges a batch, shows the outcome and records the sender's position, all in one transaction.
    fn apply(&mut self, batch: &Batch, mode: Mode) -> Result<Applied>;

    /// As [`Store::apply`], but where there is a long line to the store it may return before: what became of a batch then comes
    /// with a later call, at the latest with [`Store::applied`]. They are applied in order, and after one that cannot be none
    /// that follows it: the error comes with a later call too.
    fn apply_ahead(&mut self, batch: &Batch, mode: Mode) -> Result<Applied> {
        self.apply(batch, mode)
    }

    /// Waits until all is applied that went ahead, and says what became of what was not told yet. Also after an error.
    fn applied(&mut self) -> Result<Applied> {
        Ok(Applied::default())
    }

    /// Waits for what has no result and was not waited for, so that it does not hold up what follows: [`Self::register`],
    /// [`Self::compared`] and [`Self::complete`]. The error of one of them comes here, or with an earlier call; nothing that
    /// writes rows is asked of the store before they are done.
    fn confirm(&mut self) -> Result<()> {
        Ok(())
    }

    /// After a stream has been received whole: records its end, what the sender itself contained when it began, and
    /// which tables are held for this sender.
    fn complete(&mut self, stream: &Completed) -> Result<()>;

    /// Takes over authoritative restores that a peer has met, by table: all that is not part of them is deleted. Everything that
    /// the peer has of these tables must be contained here. What is lost by that is listed as conflicts; these are counted only.
    fn enter(&mut self, tables: &[(String, Stamp)]) -> Result<Applied>;

    /// Streams a whole table, each row once with its state, in whatever order is cheapest here. If that is wanted and the rows
    /// stand for files, small contents go along, each behind the row that names it.
    fn scan(&mut self, table: &str, along: bool, sink: &mut Sink) -> Result<()>;

    /// Answers a question of a full compare. Reads only; each statement is short, and marks are not drained.
    fn digest(&mut self, question: &Question, answers: &mut Answers) -> Result<()>;

    /// The rows with the first of these keys, as many as fit into a batch, in any order; keys that were never heard of are
    /// left out, and rows that were deleted since the last drain. One that the application writes to meanwhile is not: what a
    /// compare does not see it cannot decide about. Also says how many keys it dealt with: at least one, if there is one.
    fn rows(&mut self, table: &str, keys: &[Vec<Value>]) -> Result<(Batch, usize)>;

    /// Stamps columns as written by this site at `millis`, or just above the stamps they have: how a compare decides
    /// between cells that differ under equal stamps. A row that is there although it was deleted, without a mark that says
    /// why, is stamped as inserted then.
    fn restamp(&mut self, table: &str, rows: &[Restamp], millis: u64) -> Result<()>;

    /// Deletes rows as a write of this site at `millis`: the compare found that they were deleted, and that nobody has their
    /// graves any more. A row that is written meanwhile is merged with that, like any other.
    fn bury(&mut self, table: &str, rows: &[Burial], millis: u64, mode: Mode) -> Result<Applied>;

    /// Which stores take part as far as is known here, and which graves are forgotten.
    fn registry(&mut self) -> Result<Registry>;

    /// Takes what another copy of the registry knows better.
    fn register(&mut self, registry: &Registry) -> Result<()>;

    /// Drops graves that nobody needs any more, if they were made before `before` (milliseconds since the Unix epoch), and
    /// records which may be gone: so many at a time. Never those of rows that are shown although they were deleted.
    fn purge(&mut self, graves: &Purgeable, before: u64) -> Result<u64>;

    /// When the first line was written that [`Store::purge`] would look at, in milliseconds since the Unix epoch; 0 if that is
    /// not known. One that asks for older ones finds nothing.
    fn oldest_line(&mut self, _registry: &Registry) -> Result<u64> {
        Ok(0)
    }

    /// These tables were compared and settled: what made them [`Description::suspect`] is done with. What came up since
    /// the last drain stays.
    fn compared(&mut self, tables: &[String]) -> Result<()>;

    /// The conflict list, newest first.
    fn conflicts(&mut self) -> Result<Vec<ConflictEntry>>;

    /// What a constraint keeps from being shown here as the state says.
    fn parked(&mut self) -> Result<Vec<ParkedEntry>>;

    /// Writes the losing value of a conflict back as a new write of this site.
    fn restore(&mut self, conflict: &str) -> Result<()>;
}

/// Which columns of a row are to be stamped anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restamp {
    /// The row's key.
    pub key: Vec<Value>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Whether the row counts as inserted then, whatever was known of it: no delete that it has not seen wins over it.
    pub anew: bool,
    /// When it was written, in milliseconds since the Unix epoch, if not when the others were.
    pub at: Option<u64>,
}

/// A row that is to be deleted, because it was elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burial {
    /// The row's key.
    pub key: Vec<Value>,
    /// The seq that its line had when that was found out; nothing if it has none.
    pub seq: Option<u64>,
    /// Whether it is not quite sure, so that the row is listed and can be put back.
    pub doubtful: bool,
}

/// How a stream of changes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streamed {
    /// Where.
    pub end: Position,
    /// Whether no row was left out. One that was written meanwhile comes with the next stream; until then the receiver lacks
    /// what third sites wrote in it, and must not believe that it contains what the sender contains of them.
    pub whole: bool,
}

/// A stream that was received whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Completed {
    /// Who sent it.
    pub sender: Source,
    /// Where it ended.
    pub end: Position,
    /// What the sender contained when the stream began; nothing if it left rows out ([`Streamed::whole`]).
    pub knowledge: Knowledge,
    /// The tables that were sent whole; they are no longer held.
    pub sent: Vec<String>,
    /// Tables that were withheld although both sides have reason to want them, held at the seq they had reached.
    pub held: Vec<(String, u64)>,
}

impl Completed {
    /// What a receiver contains after this stream, if it contained `before` when the stream began.
    pub fn after(&self, before: &Knowledge, own: Source) -> Knowledge {
        let mut after = before.clone();
        after.meet(self.sender, self.end);
        for table in &self.sent {
            after.release(self.sender, table);
        }
        for (table, seq) in &self.held {
            after.hold(self.sender, table, *seq);
        }
        let withheld: Vec<String> = self.held.iter().map(|(table, _)| table.clone()).collect();
        after.adopt(&self.knowledge, own, &withheld);
        after
    }
}
