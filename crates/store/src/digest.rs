//! The shapes of a full compare: what is asked of a store about its tables, and what it answers. Plain data.

use serde::{Deserialize, Serialize};
use sync_core::digest::{Node, Order, RowHash, Span};
use sync_core::{Position, Source, Stamp, Value};

/// A question about tables. The answers come as they are found, table by table in the order of the question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Question {
    /// Reads tables through: the super-leaves of each span, then the rows to look at in any case. The leaves are kept until
    /// the next such question.
    Supers(Vec<Scope>),
    /// The leaves of spans that begin and end where super-leaves do.
    Leaves(Vec<Scope>),
    /// The rows of spans that begin and end where leaves do: keys and hashes. In the order of keys, [`TOGETHER`] spans are
    /// answered as one; in that of buckets, each by itself.
    Rows(Vec<Scope>),
    /// How single rows stand now.
    Standings(Vec<Candidates>),
    /// Where the leaves of whole tables end, by their keys alone; sums are left open. Asked of the side that is near, so
    /// that the other can be asked for [`Question::Sums`] between these ends.
    Ends(Vec<Scope>),
    /// One node for each span, summed by the database itself; then the rows to look at in any case.
    Sums(Vec<Scope>),
}

/// How rows become digests. Sums of different methods cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// The store reads its rows and hashes them, which costs a database that is near the least.
    #[default]
    Read,
    /// The database hashes and sums its rows, and only sums come to the store: where rows would have to cross a network.
    Summed,
}

/// So many spans are answered as one, as each statement costs more than the rows of a leaf.
pub const TOGETHER: usize = 32;

/// A table, and which parts of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The table.
    pub table: String,
    /// In what order its rows are cut and spans are meant.
    pub order: Order,
    /// The parts; one that begins and ends nowhere is the whole table.
    pub spans: Vec<Span>,
    /// How rows become digests.
    pub method: Method,
    /// Stop at the first end of a super-leaf behind so many rows (in the order of keys only); 0: read to the end.
    pub limit: u64,
}

impl Scope {
    /// A whole table.
    pub fn whole(table: &str, order: Order) -> Self {
        Scope { table: table.to_owned(), order, spans: vec![Span::default()], method: Method::Read, limit: 0 }
    }
}

/// Rows of a table that seem to differ.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Candidates {
    /// The table.
    pub table: String,
    /// Their keys.
    pub keys: Vec<Vec<Value>>,
    /// Who else has the table, and how far it contains this store.
    pub peer: Source,
    /// How far that is.
    pub position: Position,
    /// How far, where the peer holds this table.
    pub held: Option<u64>,
}

/// An answer. `scope` and `span` are indexes into the question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// A table begins, which has about so many rows.
    Begins {
        /// Which.
        scope: usize,
        /// Its rows, roughly; 0 if nothing is known.
        about: u64,
    },
    /// So many rows more were read.
    Read {
        /// Of which table.
        scope: usize,
        /// How many.
        rows: u64,
    },
    /// The nodes of a span, all of them.
    Nodes {
        /// Of which table.
        scope: usize,
        /// Of which span; of sums, the first of as many as there are nodes.
        span: usize,
        /// In order; the last one ends with the span, unless a limit was reached.
        nodes: Vec<Node>,
    },
    /// Rows whose values are not what the table shows, with the hashes of their true values. They count instead of what
    /// is in the table.
    Aside {
        /// Of which table.
        scope: usize,
        /// The rows.
        rows: Vec<RowHash>,
    },
    /// Rows of a span, or of several that are answered as one.
    Rows {
        /// Of which table.
        scope: usize,
        /// Of which span; the first of several.
        span: usize,
        /// In any order.
        rows: Vec<RowHash>,
        /// Whether these are the last ones.
        last: bool,
    },
    /// How the candidates stand, in their order.
    Standings {
        /// Of which table.
        scope: usize,
        /// One for each key.
        standings: Vec<Standing>,
    },
}

/// How a row stands, seen in one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The hash of its true values; `None` if it is not there.
    pub hash: Option<u128>,
    /// Whether the stream of changes that follows brings it to the peer, or a later one whose mark is there already.
    pub travels: bool,
    /// Whether it is there although it was deleted: somebody put it back without its being marked.
    pub unmarked: bool,
    /// The row's line, if it has one.
    pub line: Option<Standpoint>,
    /// What is in its file, or was when the row was deleted, if that is known. Rows of databases have no file.
    pub content: Option<Content>,
}

/// What is in a file, as far as a compare tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The beginning of the hash; 0 of what is no file.
    pub hash: u128,
    /// When it was modified, in nanoseconds since the Unix epoch, if it is there and a file.
    pub modified: Option<i64>,
}

impl Standing {
    /// Whether the other's file has another content, as far as both can tell.
    pub fn is_another_file(&self, other: &Standing) -> bool {
        self.content.zip(other.content).is_some_and(|(own, other)| own.hash != other.hash)
    }
}

/// What the line of a row says of how it came there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standpoint {
    /// Its seq.
    pub seq: u64,
    /// Whose change it was, if not this store's own.
    pub origin: Option<Source>,
    /// When it was inserted: a delete of a row that was inserted later wins over whatever was written to this one.
    pub inserted: Stamp,
    /// When it was last written, or deleted.
    pub newest: Stamp,
    /// What it has incorporated: for each site its highest stamp.
    pub seen: Vec<Stamp>,
}

impl Standpoint {
    /// No stamp in it is higher, that of a delete neither.
    pub fn highest(&self) -> Stamp {
        self.seen.iter().copied().fold(self.newest, Stamp::max)
    }

    /// Whether it has incorporated what a row elsewhere was last written with.
    pub fn covers(&self, other: &Standpoint) -> bool {
        let newest = other.newest;
        !newest.is_written() || self.seen.iter().any(|stamp| stamp.site() == newest.site() && *stamp >= newest)
    }
}

/// Receives answers as they come. An error ends the question.
pub type Answers<'a> = dyn FnMut(Answer) -> crate::Result<()> + 'a;
