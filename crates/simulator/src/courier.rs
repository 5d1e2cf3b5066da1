//! A store as a round meets it over a bad line: verbs and answers are lost, batches come in pieces or twice. And, where a
//! test asks for it, a store with a planted bug.
//!
//! What a stream or a digest reads is read to its end before any of it is passed on: the two databases of a round have nothing
//! to do with each other, so it makes no difference but that a history is the same each time. (Where one side dies, how far the
//! other has come with its part is a matter of threads otherwise.)

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sync_core::{Knowledge, Position, Purgeable, Registry, SiteId, Source};
use sync_store::{
    Answers, Applied, Batch, Description, Drained, Mode, Question, Result, Since, Sink, Store, StoreError, Streamed,
    Trouble,
};

use crate::application::Application;
use crate::bugs::{self, Bug};

/// What is done to a store's verbs.
#[derive(Default)]
pub struct Conduct {
    /// The verb that is lost, before or after it was carried out.
    pub cut: Option<(u32, bool)>,
    /// So many rows in a batch at most.
    pub pieces: Option<usize>,
    /// Each batch comes twice.
    pub twice: bool,
    /// The planted bug.
    pub bug: Option<Bug>,
    /// Whom it talks to.
    pub peer: Option<Source>,
}

/// What a planted bug needs to know.
pub struct Secrets {
    /// The real number of the site.
    pub site: SiteId,
    /// The application, for what a store does not let through.
    pub application: Arc<Mutex<Application>>,
    /// How high the ids of marks were, by table.
    pub highest: Arc<Mutex<BTreeMap<String, i64>>>,
    /// What the sites of this round said of themselves: head and knowledge by source.
    pub said: Arc<Mutex<Vec<Said>>>,
}

/// What a site said of itself: head and knowledge.
pub type Said = (Source, Position, Knowledge);

/// A store over a bad line.
pub struct Courier<'a> {
    inner: &'a mut dyn Store,
    conduct: Conduct,
    secrets: Secrets,
    verbs: u32,
}

impl<'a> Courier<'a> {
    /// With this conduct.
    pub fn new(inner: &'a mut dyn Store, conduct: Conduct, secrets: Secrets) -> Self {
        Courier { inner, conduct, secrets, verbs: 0 }
    }

    fn call<T>(&mut self, work: impl FnOnce(&mut dyn Store) -> Result<T>) -> Result<T> {
        let number = self.verbs;
        self.verbs += 1;
        match self.conduct.cut {
            Some((at, after)) if at == number => {
                if after {
                    work(self.inner)?;
                }
                Err(lost())
            }
            _ => work(self.inner),
        }
    }

    fn pass_on(&mut self, batches: Vec<Batch>, sink: &mut Sink) -> Result<()> {
        for batch in batches {
            for piece in pieces(batch, self.conduct.pieces) {
                if self.conduct.twice {
                    sink(piece.clone())?;
                }
                sink(piece)?;
            }
        }
        Ok(())
    }
}

fn lost() -> StoreError {
    StoreError::new(Trouble::Unreachable, "the line was cut on purpose")
}

/// A batch in pieces, of which the last moves the knowledge.
fn pieces(batch: Batch, size: Option<usize>) -> Vec<Batch> {
    let Some(size) = size.filter(|size| batch.changes.len() > *size) else { return vec![batch] };
    let chunks: Vec<_> = batch.changes.chunks(size).map(<[_]>::to_vec).collect();
    let last = chunks.len() - 1;
    let piece = |(i, changes)| {
        let upto = batch.upto.filter(|_| i == last);
        let contents = if i == last { batch.contents.clone() } else { Vec::new() };
        Batch { upto, more: batch.upto.is_some() && i < last, changes, contents, ..batch.clone() }
    };
    chunks.into_iter().enumerate().map(piece).collect()
}

impl Store for Courier<'_> {
    sync_store::pass_on! {
        forgot last_heard leave_history is_empty recognises greet reincarnate outline complete enter rows restamp bury
        register compared conflicts parked restore
    }

    fn describe(&mut self) -> Result<Description> {
        let mut description = self.call(|inner| inner.describe())?;
        description.site = self.secrets.site;
        if self.conduct.bug == Some(Bug::EarlyKnowledge) {
            bugs::tell(&self.secrets, self.inner, &description)?;
        }
        Ok(description)
    }

    fn knowledge(&mut self) -> Result<Knowledge> {
        let knowledge = self.call(|inner| inner.knowledge())?;
        let peer = self.conduct.peer.filter(|_| self.conduct.bug == Some(Bug::BlindToTwins));
        Ok(peer.map_or(knowledge.clone(), |peer| bugs::hide_twins(&knowledge, peer)))
    }

    fn registry(&mut self) -> Result<Registry> {
        let registry = self.call(|inner| inner.registry())?;
        let is_hidden = self.conduct.bug.is_some_and(Bug::hides_graves);
        Ok(if is_hidden { bugs::hide_graves(&registry) } else { registry })
    }

    fn purge(&mut self, graves: &Purgeable, before: u64) -> Result<u64> {
        match self.conduct.bug {
            Some(Bug::HastyPurge) => self.call(|inner| bugs::purge_all(inner, graves, before)),
            _ => self.call(|inner| inner.purge(graves, before)),
        }
    }

    fn drain(&mut self) -> Result<Drained> {
        if self.conduct.bug == Some(Bug::HighWaterMark) {
            bugs::pass_over_low_marks(&self.secrets)?;
        }
        self.call(|inner| inner.drain())
    }

    fn apply(&mut self, batch: &Batch, mode: Mode) -> Result<Applied> {
        if mode == Mode::Write {
            match self.conduct.bug {
                Some(Bug::EarlyKnowledge) => bugs::know_early(&self.secrets, self.inner, batch)?,
                Some(Bug::NewestUnique) => bugs::make_room(&self.secrets, batch)?,
                _ => {}
            }
        }
        self.call(|inner| inner.apply(batch, mode))
    }

    fn changes(&mut self, since: &Since, sink: &mut Sink) -> Result<Streamed> {
        let mut batches = Vec::new();
        let end = self.call(|inner| inner.changes(since, &mut |batch| collect(&mut batches, batch)));
        self.pass_on(batches, sink)?;
        end
    }

    fn scan(&mut self, table: &str, along: bool, sink: &mut Sink) -> Result<()> {
        let mut batches = Vec::new();
        let end = self.call(|inner| inner.scan(table, along, &mut |batch| collect(&mut batches, batch)));
        self.pass_on(batches, sink)?;
        end
    }

    fn digest(&mut self, question: &Question, answers: &mut Answers) -> Result<()> {
        let mut all = Vec::new();
        let end = self.call(|inner| inner.digest(question, &mut |answer| collect(&mut all, answer)));
        all.into_iter().try_for_each(answers)?;
        end
    }
}

fn collect<T>(all: &mut Vec<T>, one: T) -> Result<()> {
    all.push(one);
    Ok(())
}
