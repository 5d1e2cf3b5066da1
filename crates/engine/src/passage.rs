//! Contents that pass from one side to the other: how fast they may, and how far they have come. Knows neither side.

use std::time::{Duration, Instant};

use sync_store::contents::Whole;
use sync_store::{Hash, Lacking, Piece};

use crate::rate::Bucket;
use crate::report::{Direction, Event, Watch};
use crate::round::Options;

/// Contents on their way to one side.
pub(crate) struct Passage<'a> {
    direction: Direction,
    watch: &'a mut dyn Watch,
    bucket: Bucket,
    since: Instant,
    /// Bytes that have come.
    pub bytes: u64,
    /// Files that were begun with.
    pub files: u64,
    /// How much there is in all, as far as that is known.
    pub total: Lacking,
    /// When that was last told.
    told: Duration,
    last: Option<Hash>,
}

impl<'a> Passage<'a> {
    pub fn new(direction: Direction, options: &Options, watch: &'a mut dyn Watch) -> Self {
        Passage {
            direction,
            watch,
            bucket: Bucket::new(options.bandwidth, Duration::ZERO),
            since: Instant::now(),
            bytes: 0,
            files: 0,
            total: Lacking::default(),
            told: Duration::ZERO,
            last: None,
        }
    }

    /// A piece went by.
    pub fn passed(&mut self, piece: &Piece) {
        if self.last.replace(piece.content) != Some(piece.content) {
            self.files += 1;
        }
        self.count(piece.weight() as u64);
    }

    /// A small content went by as a whole.
    pub fn passed_whole(&mut self, whole: &Whole) {
        self.files += 1;
        self.count(whole.weight() as u64);
    }

    /// Waits as long as the limit demands. Nobody holds a lock of a database meanwhile; the line and the other side's disk
    /// are held up by what is not taken from them.
    fn count(&mut self, bytes: u64) {
        self.bytes += bytes;
        let now = self.since.elapsed();
        if now - self.told >= OFTEN {
            self.told = now;
            self.tell();
        }
        let mut pause = self.bucket.take(bytes, now);
        while !pause.is_zero() {
            let part = pause.min(SIGN);
            std::thread::sleep(part);
            pause -= part;
            self.tell();
        }
    }

    /// Something else than contents is told.
    pub fn event(&mut self, event: Event) {
        self.watch.event(event);
    }

    pub fn tell(&mut self) {
        let Passage { direction, bytes, files, total, .. } = *self;
        let total = Lacking { files: total.files.max(files), bytes: total.bytes.max(bytes) };
        self.watch.event(Event::Contents { direction, bytes, files, total });
    }
}

/// How often it is told how far it has come.
const OFTEN: Duration = Duration::from_millis(250);

/// A pause is interrupted so often for a sign of life.
const SIGN: Duration = Duration::from_secs(1);
