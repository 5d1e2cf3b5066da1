//! Forgetting graves: every store tells now and then how far it contains the others; what all contain can be purged. And
//! noticing that a side lacks what the other has forgotten, because it was restored from a backup, or was away although it
//! was declared to have left. Then a stream of changes cannot bring everything, and all rows are compared first.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sync_core::{Forgotten, Knowledge, Position, Registry, Source, Told};
use sync_store::Mode;

use crate::compare::Reaches;
use crate::error::Result;
use crate::gone::{Known, Lost};
use crate::parties::{Parties, Sides};
use crate::report::{Direction, Event, RoundReport, Watch};
use crate::round::Options;

/// When graves are forgotten.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// How often a store tells what it contains, if that changed.
    pub tell: Duration,
    /// How long a grave is kept though nobody needs it. Much longer than clocks can be off: what is written after a grave is
    /// forgotten must have a later stamp. The longer, the fewer backups cost a full compare when they are put back.
    pub keep: Duration,
}

impl Default for Memory {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Memory { tell: day, keep: 30 * day }
    }
}

/// Which tables must be compared because graves were forgotten, and how what is found is judged: of what the master has, and
/// of what the slave has.
pub(crate) struct Behind {
    lost: Sides<Lost>,
    /// The names of those that lack graves.
    names: Vec<String>,
}

const BOTH: [Direction; 2] = [Direction::Pull, Direction::Push];

/// Who lacks what the other has forgotten, given where the streams to each side begin.
pub(crate) fn behind(
    parties: &Parties,
    registries: &Sides<Registry>,
    knowledge: &Sides<Knowledge>,
    starts: &Sides<Option<Position>>,
) -> Behind {
    let [pull, push] = BOTH.map(|d| lost(parties, registries, knowledge, starts, d));
    let who = [(&pull, &parties.about.master), (&push, &parties.about.slave)];
    let names =
        who.iter().filter(|(lost, _)| lost.met && !lost.tables.is_empty()).map(|(_, side)| side.site_name.clone());
    Behind { names: names.collect(), lost: Sides { master: pull, slave: push } }
}

/// What the receiver of a direction may have that the sender deleted and forgot.
fn lost(
    parties: &Parties,
    registries: &Sides<Registry>,
    knowledge: &Sides<Knowledge>,
    starts: &Sides<Option<Position>>,
    direction: Direction,
) -> Lost {
    let (sender, receiver) = (parties.sender(direction).source, parties.receiver(direction).source);
    let (knows, other_knows) = (knowledge.receiver(direction), knowledge.sender(direction));
    let forgetful = registries.sender(direction);
    let start = starts.receiver(direction).unwrap_or_default().seq;
    let reaches = |of: Source, table: &str| match of == sender {
        true => knows.held(of).find(|(held, _)| *held == table).map_or(start, |(_, seq)| seq.min(start)),
        false => knows.table_seq(of, table),
    };
    // What the sender contains no more of than the receiver, a compare with it does not bring.
    let offers = |of: Source, table: &str| if of == sender { u64::MAX } else { other_knows.table_seq(of, table) };
    let lacks = |table: &&String| {
        let lacks_of = |(of, graves): (Source, Forgotten)| {
            of != receiver && reaches(of, table) < graves.seq.min(offers(of, table))
        };
        forgetful.forgotten().any(lacks_of)
    };
    let is_known = other_knows.latest(receiver.store).is_some();
    let met = is_known || (starts.master.is_some() && starts.slave.is_some());
    let unmet = |table: &String| {
        let never = |k: &Knowledge, of: Source| k.held(of).any(|(t, seq)| t == table && seq == 0);
        never(knows, sender) || never(other_knows, receiver)
    };
    let tables: BTreeSet<String> =
        parties.agreement.tables.iter().filter(lacks).filter(|t| !met || !unmet(t)).cloned().collect();
    if tables.is_empty() {
        return Lost::default();
    }
    let latest = forgetful.forgotten().map(|(_, graves)| graves.latest).max().unwrap_or_default();
    let back = starts.sender(direction).unwrap_or_default().seq;
    let was_longer = |(of, at): (Source, Position)| {
        of.store == receiver.store && of.incarnation < receiver.incarnation && at.seq > back
    };
    let restored = other_knows.positions().any(was_longer);
    let known = Arc::new(Known { knows: knows.clone(), other_knows: other_knows.clone() });
    Lost { tables, met, latest, restored, known }
}

impl Behind {
    /// The tables to compare.
    pub fn tables(&self) -> impl Iterator<Item = &String> {
        let all: BTreeSet<&String> = self.lost.master.tables.iter().chain(&self.lost.slave.tables).collect();
        all.into_iter()
    }

    /// With how rows that only one side has are judged.
    pub fn judged(&self, mut reaches: Reaches) -> Reaches {
        reaches.master.lost = self.lost.master.clone();
        reaches.slave.lost = self.lost.slave.clone();
        reaches
    }

    /// Says why everything is compared.
    pub fn tell(&self, report: &mut RoundReport, watch: &mut dyn Watch) {
        for name in &self.names {
            let note = format!(
                "{name} was away, or restored from a backup, while deletes were forgotten: all rows are compared first"
            );
            watch.event(Event::Note(&note));
            report.notes.push(note);
        }
    }
}

/// Both sides tell, and learn what the other was told. Writes nothing where there is nothing new.
pub(crate) fn gossip(
    parties: &mut Parties,
    registries: &Sides<Registry>,
    knowledge: &Sides<Knowledge>,
    options: &Options,
) -> Result<Registry> {
    let mut all = registries.master.clone();
    all.join(&registries.slave);
    for direction in BOTH {
        let (about, left) = (parties.receiver(direction), *parties.left.receiver(direction));
        let mut contains = knowledge.receiver(direction).clone().heard();
        contains.advance(about.source, about.head);
        let at = u64::try_from(about.clock_micros / 1000).unwrap_or_default();
        let (incarnation, name) = (about.source.incarnation, about.site_name.clone());
        let told = Told { incarnation, at, site: about.site, name, contains };
        let interval = u64::try_from(options.graves.tell.as_millis()).unwrap_or(u64::MAX);
        // With marks left nobody knows yet what it contains.
        if !left {
            all.tell(about.source.store, told, interval);
        }
    }
    if parties.mode == Mode::Write {
        for direction in BOTH.into_iter().filter(|d| *registries.receiver(*d) != all) {
            parties.stores(direction).1.register(&all)?;
        }
    }
    Ok(all)
}

/// Purges what nobody needs any more, at both sides.
pub(crate) fn purge(
    parties: &mut Parties,
    registry: &Registry,
    knowledge: &Sides<Knowledge>,
    options: &Options,
) -> Result<()> {
    if parties.mode == Mode::Preview {
        return Ok(());
    }
    for direction in BOTH {
        let about = parties.receiver(direction);
        let Some(graves) = registry.purgeable(about.source, knowledge.receiver(direction)) else { continue };
        if graves.upto > registry.forgotten_of(about.source).seq {
            let before = Duration::from_micros(u64::try_from(about.clock_micros).unwrap_or_default());
            let before = u64::try_from(before.saturating_sub(options.graves.keep).as_millis()).unwrap_or_default();
            if direction == Direction::Pull || parties.early.may_have_graves(before) {
                parties.stores(direction).1.purge(&graves, before)?;
            }
        }
    }
    Ok(())
}
