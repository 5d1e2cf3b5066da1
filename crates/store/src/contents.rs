//! What a store of files adds to its rows: the contents they name, and making the directory like the rows. Plain data
//! and one interface, so that contents can travel like batches do. Knows no file system.
//!
//! Rows arrive first; then each side says which contents it lacks, and is supplied; then it makes its directory like its
//! rows. Nothing of this must be finished in one round: what is lacking follows from the rows and the directory.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::{Store, travel};

/// The BLAKE3 hash of a file's content, or of a chunk of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The most bytes that one piece carries.
pub const PIECE: usize = 256 * 1024;

/// So many contents are asked for at once, and no peer is told of more: each question costs the time to the other side and back,
/// and nothing of a content that was asked for stays in memory.
pub const WANTS: usize = 16_384;

/// A content that is needed and not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The hash of the whole content.
    pub hash: Hash,
    /// Its size in bytes.
    pub size: u64,
    /// What of it is asked for now.
    pub ask: Ask,
}

impl Want {
    /// Whether a piece of this content is of what is asked for now.
    pub fn fits(&self, piece: &Piece) -> bool {
        match (&piece.body, &self.ask) {
            (Body::Data { offset, .. }, Ask::Ranges(ranges)) => ranges.iter().any(|chunk| chunk.offset == *offset),
            (Body::Chunks(chunks), Ask::List { from, to }) => {
                chunks.first().is_some_and(|chunk| chunk.offset == *from)
                    && chunks.last().is_some_and(|chunk| chunk.offset.saturating_add(chunk.size.into()) <= *to)
            }
            (Body::Data { offset: 0, bytes }, Ask::Whole) => bytes.len() as u64 == self.size,
            _ => false,
        }
    }
}

/// What of a content is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// All of it.
    Whole,
    /// The list of its chunks, from this offset on: so that those which are here already are not sent.
    Chunks {
        /// The offset of the first chunk that is not known yet.
        from: u64,
    },
    /// These chunks.
    Ranges(#[serde(deserialize_with = "travel::read_list::<_, _, CHUNKS>")] Vec<Chunk>),
    /// The groups that its chunks make, from this offset on: of those which are here already, no list is needed.
    Groups {
        /// The offset of the first chunk that is not known yet.
        from: u64,
    },
    /// The list of its chunks between two offsets.
    List {
        /// The offset of the first.
        from: u64,
        /// All begin before this.
        to: u64,
    },
}

/// A chunk of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub size: u32,
    /// Its hash.
    pub hash: Hash,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The hash of the whole content.
    pub content: Hash,
    /// What comes.
    pub body: Body,
    /// Whether it comes before it was asked for, because it is likely to be: it is taken if it is what would be asked for next,
    /// and left aside otherwise.
    pub ahead: bool,
}

/// What a piece brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Bytes of the content.
    Data {
        /// Where they belong.
        offset: u64,
        /// At most [`PIECE`] of them.
        #[serde(serialize_with = "travel::content", deserialize_with = "travel::read_content::<_, PIECE>")]
        bytes: Vec<u8>,
    },
    /// Chunks of the content in order, without a gap; at most [`CHUNKS`] of them.
    Chunks(#[serde(deserialize_with = "travel::read_list::<_, _, CHUNKS>")] Vec<Chunk>),
    /// It is not here any more, or not readable.
    Absent,
    /// Groups of chunks in order, without a gap; at most [`CHUNKS`] of them.
    Groups(#[serde(deserialize_with = "travel::read_list::<_, _, CHUNKS>")] Vec<Chunk>),
}

/// A small content as a whole, of at most [`PIECE`] bytes. Its hash does not go with it: whoever gets it has to find that out in any
/// case, as it is believed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole(
    #[serde(serialize_with = "travel::content", deserialize_with = "travel::read_content::<_, PIECE>")] pub Vec<u8>,
);

impl Whole {
    /// As [`Piece::weight`].
    pub fn weight(&self) -> usize {
        48 + self.0.len()
    }
}

/// The most chunks that one piece lists.
pub const CHUNKS: usize = 4096;

impl Piece {
    /// One that was asked for.
    pub fn asked(content: Hash, body: Body) -> Self {
        Piece { content, body, ahead: false }
    }

    /// One that is likely to be asked for next.
    pub fn ahead(content: Hash, body: Body) -> Self {
        Piece { content, body, ahead: true }
    }

    /// Bytes of memory and of the line, roughly.
    pub fn weight(&self) -> usize {
        48 + match &self.body {
            Body::Data { bytes, .. } => bytes.len(),
            Body::Chunks(chunks) | Body::Groups(chunks) => chunks.len() * 44,
            Body::Absent => 0,
        }
    }
}

/// Receives pieces as they are read. An error stops the supply and is passed on.
pub type PieceSink<'a> = dyn FnMut(Piece) -> Result<()> + 'a;

/// How a round is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manner {
    /// A directory that was emptied was emptied on purpose.
    pub force: bool,
    /// Every file is read again, whatever the system says of it.
    pub doubt: bool,
    /// Nothing is set up that was not there.
    pub preview: bool,
    /// If somebody else works on it, nobody waits for that: it is refused.
    pub at_once: bool,
}

/// A store whose rows stand for files.
pub trait Contents: Store {
    /// Before the first verb of a round: has it for itself, once whoever else works on it is done.
    fn begin(&mut self, manner: Manner) -> Result<()>;

    /// The same, but where there is a long line to the store it may return before: what goes wrong is told with the next verb.
    fn begin_ahead(&mut self, manner: Manner) -> Result<()> {
        self.begin(manner)
    }

    /// Whether there is nothing to settle, to fetch and to realise as long as no row comes, as of the last
    /// [`Store::open_round`]; not, if that is not known. What a round leaves behind may be cleared away.
    fn rests(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// The round is over: others may have it. Where there is a long line nobody waits for that.
    fn rest(&mut self) -> Result<()> {
        Ok(())
    }

    /// Resolves what merging rows cannot: concurrent edits, edits that lost against deletes, directories that are gone
    /// while something in them lives. Ordinary writes to rows, alike at every site. Says how many.
    fn settle(&mut self) -> Result<u64>;

    /// The contents that are needed and not here, a few at a time: an empty answer means that nothing more is to be had
    /// from this peer now.
    fn wanted(&mut self, limit: usize) -> Result<Vec<Want>>;

    /// How much of contents is needed and not here, roughly: for people who wait.
    fn lacking(&mut self) -> Result<Lacking>;

    /// Begins with a peer: what another did not have, this one may have.
    fn meet(&mut self);

    /// Begins with a peer and settles, as [`Contents::meet`] and [`Contents::settle`] do; where nothing was to be settled, says
    /// what is wanted first; and where that is nothing and the peer wants nothing either (`alone`), makes the directory like the
    /// rows. Over a long line that is one answer to wait for, also if batches that went ahead were not waited for; if one of them
    /// could not be applied, this is not done, and that error told.
    fn settle_and_want(&mut self, limit: usize, alone: bool) -> Result<Settled> {
        self.meet();
        let rows = self.settle()?;
        let wants = if rows == 0 { self.wanted(limit)? } else { Vec::new() };
        let is_done = alone && rows == 0 && wants.is_empty();
        let realised = if is_done { Some(self.realise()?) } else { None };
        Ok(Settled { rows, wants, realised })
    }

    /// What is wanted next; where that is nothing, makes the directory like the rows at once.
    fn want_or_realise(&mut self, limit: usize) -> Result<Next> {
        let wants = self.wanted(limit)?;
        Ok(if wants.is_empty() { Next::Realised(self.realise()?) } else { Next::Wants(wants) })
    }

    /// Streams what is asked for.
    fn supply(&mut self, wants: &[Want], sink: &mut PieceSink) -> Result<()>;

    /// Keeps a piece for [`Contents::realise`]. What was not asked for, or is not what its hash says, is refused.
    fn receive(&mut self, piece: &Piece) -> Result<()>;

    /// Makes the directory like the rows, as far as contents are here. Nothing that somebody wrote meanwhile is overwritten.
    fn realise(&mut self) -> Result<Realised>;

    /// How many paths the directory is not like the rows at: what [`Contents::realise`] could not do yet.
    fn unrealised(&mut self) -> Result<u64>;

    /// The paths that the last [`Store::drain`] could not take in.
    fn unread(&self) -> &[Skipped];
}

/// What [`Contents::settle_and_want`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// How many rows were written.
    pub rows: u64,
    /// What is wanted first, if none was.
    pub wants: Vec<Want>,
    /// What was done in the directory, if nothing was wanted.
    pub realised: Option<Realised>,
}

/// How it goes on with contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// By more of them.
    Wants(Vec<Want>),
    /// Nothing more is wanted, and this was done in the directory.
    Realised(Realised),
}

/// How much is needed and not here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What [`Contents::realise`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Realised {
    /// Files, links and directories that were made.
    pub created: u64,
    /// Those whose content was replaced.
    pub replaced: u64,
    /// Those that went away.
    pub deleted: u64,
    /// Of those that were made, files that came from another path here without being copied.
    pub moved: u64,
    /// Those of which only mode, owner or attributes changed.
    pub touched: u64,
    /// What could not be done now; it is tried again in the next round.
    #[serde(deserialize_with = "travel::read_list::<_, _, NAMED>")]
    pub skipped: Vec<Skipped>,
    /// How many more there were.
    pub more_skipped: u64,
}

/// No path is longer, in bytes.
pub const LONGEST_PATH: usize = 1 << 20;

/// The most skipped paths that are named.
pub const NAMED: usize = 1000;

impl Realised {
    /// Notes a path that could not be dealt with.
    pub fn skip(&mut self, path: &[u8], reason: Reason) {
        if self.skipped.len() < NAMED {
            self.skipped.push(Skipped { path: path.to_vec(), reason });
        } else {
            self.more_skipped += 1;
        }
    }

    /// Takes in what was done later; what was left out then is what is left out.
    pub fn add(&mut self, later: Realised) {
        *self = Realised {
            created: self.created + later.created,
            replaced: self.replaced + later.replaced,
            deleted: self.deleted + later.deleted,
            moved: self.moved + later.moved,
            touched: self.touched + later.touched,
            ..later
        };
    }

    /// Whether nothing changed in the directory.
    pub fn is_quiet(&self) -> bool {
        self.created + self.replaced + self.deleted + self.touched == 0
    }
}

/// A path that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The path below the root; any bytes.
    #[serde(serialize_with = "travel::bytes", deserialize_with = "travel::read_bytes::<_, LONGEST_PATH>")]
    pub path: Vec<u8>,
    /// Why.
    pub reason: Reason,
}

/// Why a path was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// A socket, a device or a pipe.
    Special,
    /// It belongs to another file system that is mounted there, or was.
    OtherFileSystem,
    /// It changed while it was looked at, or since: the next round takes it in.
    Changed,
    /// Its content has not come yet.
    NoContent,
    /// A directory that holds something which is not known yet.
    NotEmpty,
    /// What the system says.
    System(String),
    /// The disk is full.
    NoRoom {
        /// How many bytes it takes.
        size: u64,
        /// How many there are, without those that are kept for the index.
        free: u64,
    },
    /// Nobody who was asked has its content.
    Nowhere {
        /// Since when it is asked for, in milliseconds since the Unix epoch.
        since: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Special => f.write_str("not a file, a directory or a link"),
            Reason::OtherFileSystem => f.write_str("on another file system"),
            Reason::Changed => f.write_str("changed meanwhile"),
            Reason::NoContent => f.write_str("its content has not come yet"),
            Reason::NotEmpty => f.write_str("the directory holds something new"),
            Reason::System(message) => f.write_str(message),
            Reason::Nowhere { since } => write!(f, "nobody who was asked since {} has its content", date(*since)),
            Reason::NoRoom { size, free } => write!(f, "no room on the disk: it takes {size} bytes, {free} are free"),
        }
    }
}

fn date(millis: u64) -> String {
    let time = i64::try_from(millis).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.unwrap_or_default().strftime("%Y-%m-%d %H:%M UTC").to_string()
}
