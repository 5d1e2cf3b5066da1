//! The store itself: its connections, its identity and its catalog, and the [`Store`] interface over them.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use sync_core::{Incarnation, Knowledge, Position, Purgeable, Registry, SiteId, Source, Stamp, StoreId, Value};
use sync_store::steady::since;
use sync_store::{
    Answers, Applied, Batch, Burial, Completed, ConflictEntry, Description, Drained, Greeting, Mode, Opening, Outline,
    ParkedEntry, Question, Restamp, Result, Since, Sink, Store, StoreError, Streamed, TableStatus, Trouble,
};

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::connections::Connections;
use crate::identity::{self, Card, Identity};
use crate::layout::Tracked;
use crate::leaves::Packed;
use crate::sql::Fields;
use crate::vigil::Vigil;
use crate::{
    apply, backlog, bury, changes, conflicts, declare, digest, drain, parked, registry, restored, scan, tables, vector,
};

/// The version of the exchange.
pub const PROTOCOL: u32 = 5;

/// The server's counts of statements that change schemas, if it tells, and when they were asked for.
pub(crate) struct Counted {
    counts: Option<String>,
    at: Instant,
}

/// A store over an SQL database.
pub struct Database {
    pub(crate) connections: Connections,
    pub(crate) catalog: Catalog,
    pub(crate) identity: Identity,
    clock: Option<Clock>,
    vigil: Vigil,
    /// Whether the catalog was taken on trust by the last drain, so that it must be confirmed before rows move.
    trusting: bool,
    /// Of tables that must be compared, by number: the ids of the marks that say so.
    pub(crate) suspects: BTreeMap<u16, Vec<u64>>,
    /// The numbers of the tables whose marks the last drain left for the stream.
    pub(crate) backlog: Vec<u16>,
    /// With more marks than this a table is left for the stream.
    pub(crate) backlog_from: usize,
    /// What a full compare read last.
    pub(crate) leaves: HashMap<String, Packed>,
    /// Whether rows may be open that nobody has decided about, as the application was in the way; at first nobody knows.
    pub(crate) unsettled: bool,
    /// Of a batch that came in part, who sends it, and the seqs of what was written of it ([`crate::apply`]).
    pub(crate) unsure: Option<(Source, Vec<u64>)>,
    /// The oldest grave that may be purged is as old as this, in milliseconds since the Unix epoch.
    pub(crate) oldest_grave: u64,
}

impl Database {
    fn new(connections: Connections, catalog: Catalog, identity: Identity) -> Self {
        let (vigil, suspects, backlog) = (Vigil::default(), BTreeMap::new(), Vec::new());
        let backlog_from = backlog::MANY;
        Database {
            connections,
            catalog,
            identity,
            clock: None,
            vigil,
            trusting: false,
            suspects,
            backlog,
            backlog_from,
            leaves: HashMap::new(),
            unsettled: true,
            unsure: None,
            oldest_grave: 0,
        }
    }

    /// Opens a database that was prepared.
    pub fn open(mut connections: Connections) -> Result<Self> {
        let identity = identity::read(connections.writer.as_mut())?.ok_or_else(identity::not_prepared)?;
        Ok(Self::new(connections, Catalog::default(), identity))
    }

    /// The same store, which drains a table while it streams from more marks on than this; 10,000 if nothing is said.
    pub fn with_backlog_from(self, marks: usize) -> Self {
        Database { backlog_from: marks, ..self }
    }

    /// Prepares a database for synchronisation, or publishes changed settings in one that is prepared: our tables,
    /// the triggers, the identity. Harmless to repeat after a crash at any point.
    pub fn prepare(mut connections: Connections, card: &Card) -> Result<(Self, Vec<String>)> {
        connections.require_privileges()?;
        for statement in connections.dialect.own_tables() {
            connections.writer.run(&statement)?;
        }
        identity::upgrade(connections.writer.as_mut())?;
        let known = identity::read(connections.writer.as_mut())?;
        if known.as_ref().is_none_or(|known| known.card.rules != card.rules) {
            connections.require_rules(&card.rules)?;
        }
        let mut catalog = Catalog::default();
        let Connections { writer, dialect, .. } = &mut connections;
        let notes = catalog.refresh(writer.as_mut(), dialect.as_ref(), &card.rules, known.is_some())?;
        let identity = match known {
            Some(identity) if identity.card == *card => identity,
            Some(identity) => republish(&mut connections, identity, card)?,
            None => first_identity(&mut connections, card)?,
        };
        Ok((Self::new(connections, catalog, identity), notes))
    }

    /// Removes everything of ours: triggers first, so that no write ever fails, then tables. Harmless to repeat after
    /// a crash at any point. Says how many tables were removed.
    pub fn uninstall(mut connections: Connections) -> Result<usize> {
        let Connections { writer, dialect, .. } = &mut connections;
        let schema = dialect.read_schema(writer.as_mut())?;
        dialect.uninstall(writer.as_mut(), &schema)?;
        let tables = writer.all(dialect.list_own_tables(), &[])?;
        for row in &tables {
            let name = Fields::of(row.clone()).text()?;
            writer.run(&format!("DROP TABLE IF EXISTS {}", dialect.quote(&name)))?;
        }
        Ok(tables.len())
    }

    /// What this site published of itself.
    pub fn card(&self) -> &Card {
        &self.identity.card
    }

    /// Whose history this is.
    pub fn source(&self) -> Source {
        self.identity.source
    }

    /// Looks at the schema, and renews capture if it changed.
    pub(crate) fn refresh(&mut self) -> Result<Vec<String>> {
        let counted = self.counted()?;
        self.refresh_since(&counted)
    }

    /// The same, if the server's counts were read already: before this look, so that what they miss it does not.
    pub(crate) fn refresh_since(&mut self, counted: &Counted) -> Result<Vec<String>> {
        let Connections { writer, dialect, .. } = &mut self.connections;
        let notes = self.catalog.refresh(writer.as_mut(), dialect.as_ref(), &self.identity.card.rules, true)?;
        self.vigil.looked(counted.counts.clone(), counted.at);
        self.trusting = false;
        Ok(notes)
    }

    /// Reads how many statements that change schemas the server counts.
    pub(crate) fn counted(&mut self) -> Result<Counted> {
        let at = self.connections.steady()();
        let Connections { writer, dialect, .. } = &mut self.connections;
        Ok(Counted { counts: dialect.schema_statements(writer.as_mut())?, at })
    }

    /// Whether the catalog may be taken on trust by a store that has no marks: what changed unnoticed can then at worst
    /// be noticed later. Rows are neither read nor written before it is confirmed.
    pub(crate) fn trusts_catalog(&mut self, counted: &Counted) -> bool {
        let is_known = self.catalog.is_known(&self.identity.card.rules);
        self.trusting = is_known && !self.vigil.is_due(counted.counts.as_deref(), self.connections.steady()());
        self.trusting
    }

    /// Looks whether the schema is what the last drain took on trust. If not, the round has to begin again: its
    /// handshake was about other tables, and a new trigger of the application is not guarded yet.
    pub(crate) fn confirm(&mut self) -> Result<()> {
        if !self.trusting {
            return Ok(());
        }
        let Connections { writer, dialect, .. } = &mut self.connections;
        if !self.catalog.is_current(writer.as_mut(), dialect.as_ref(), &self.identity.card.rules)? {
            self.catalog.forget();
            let site = &self.identity.card.site_name;
            return Err(StoreError::new(
                Trouble::SchemaChanged,
                format!("the tables of {site} have just been changed"),
            ));
        }
        self.trusting = false;
        Ok(())
    }

    /// The server's clock, which is asked only if it was never read.
    pub(crate) fn clock(&mut self) -> Result<Clock> {
        match self.clock {
            Some(clock) => Ok(clock),
            None => self.read_clock().map(|(micros, ..)| Clock::says(micros, self.connections.steady())),
        }
    }

    /// The server's clock, its uncertainty, and whether somebody holds the upgrade lock.
    fn read_clock(&mut self) -> Result<(i64, i64, bool)> {
        let dialect = self.connections.dialect.as_ref();
        let held = dialect.upgrade_lock().map_or("NULL", |[_, held, _]| held);
        let query = format!("SELECT {}, {held}", dialect.now_micros());
        let steady = self.connections.steady();
        let before = steady();
        let row = self.connections.writer.first(&query, &[])?.unwrap_or_default();
        let uncertainty = i64::try_from(since(before, steady).as_micros() / 2).unwrap_or(i64::MAX);
        let mut fields = Fields::of(row);
        let (micros, upgrading) = (fields.int()?, !fields.value().is_null());
        self.clock = Some(Clock::says(micros, steady));
        Ok((micros, uncertainty, upgrading))
    }
}

fn first_identity(connections: &mut Connections, card: &Card) -> Result<Identity> {
    let source = new_source(connections)?;
    identity::create(connections.writer.as_mut(), source, card)?;
    identity::read(connections.writer.as_mut())?.ok_or_else(identity::not_prepared)
}

/// A store that begins now.
pub(crate) fn new_source(c: &mut Connections) -> Result<Source> {
    let query = format!("SELECT {}", c.dialect.now_micros());
    let micros = Fields::of(c.writer.first(&query, &[])?.unwrap_or_default()).int()?;
    let millis = u64::try_from(micros / 1000).unwrap_or_default();
    Ok(Source { store: StoreId(random_u128()?), incarnation: Incarnation::at(millis, random()?) })
}

/// A database that belongs to another site is that site's, or a copy of it: never silently taken over.
fn republish(connections: &mut Connections, known: Identity, card: &Card) -> Result<Identity> {
    if known.card.site != card.site || known.card.vd != card.vd {
        return Err(StoreError::new(
            Trouble::Configuration,
            format!(
                "the database belongs to site {} (number {}, vd {}), the settings are those of site {} (number {}, vd {})",
                known.card.site_name, known.card.site, known.card.vd, card.site_name, card.site, card.vd
            ),
        )
        .hint("check site_number and the database's name"));
    }
    identity::publish(connections.writer.as_mut(), card)?;
    Ok(Identity { card: card.clone(), product_version: env!("CARGO_PKG_VERSION").to_owned(), ..known })
}

/// A random number that nobody can guess or repeat.
pub(crate) fn random() -> Result<u64> {
    getrandom::u64().map_err(|e| StoreError::new(Trouble::Failure, format!("the system gives no random numbers: {e}")))
}

fn random_u128() -> Result<u128> {
    Ok(u128::from(random()?) << 64 | u128::from(random()?))
}

/// What a round of a prepared store is opened with, whoever works on it; nothing if it was not prepared.
///
/// # Errors
/// If it cannot be read.
pub fn opening_of(connections: &mut Connections) -> Result<Option<Opening>> {
    let Some(identity) = identity::read(connections.writer.as_mut())? else { return Ok(None) };
    Ok(Some(Opening { master: identity.source, knowledge: vector::read(connections.writer.as_mut())? }))
}

impl Store for Database {
    fn own_source(&mut self) -> Result<Source> {
        Ok(self.identity.source)
    }

    fn describe(&mut self) -> Result<Description> {
        let (clock_micros, clock_uncertainty_micros, upgrading) = self.read_clock()?;
        let identity = identity::read(self.connections.writer.as_mut())?.ok_or_else(identity::not_prepared)?;
        self.identity = identity.clone();
        let met = |tracked: &Tracked| {
            let met = identity.epochs.of(tracked.number()).met;
            (met > Stamp::NEVER).then(|| (tracked.table.name.clone(), met))
        };
        Ok(Description {
            site: identity.card.site,
            site_name: identity.card.site_name,
            vd: identity.card.vd,
            vd_version: identity.card.vd_version,
            product_version: identity.product_version,
            protocol: PROTOCOL,
            source: identity.source,
            head: identity.head,
            role: identity.card.role,
            clock_micros,
            clock_uncertainty_micros,
            upgrading,
            far: self.connections.is_far(),
            tables: self.catalog.infos.clone(),
            suspect: drain::suspect(self),
            restoring: identity.epochs.is_begun(),
            epochs: self.catalog.tracked.iter().filter_map(met).collect(),
            warnings: self.catalog.warnings.clone(),
        })
    }

    fn knowledge(&mut self) -> Result<Knowledge> {
        vector::read(self.connections.writer.as_mut())
    }

    fn forgot(&mut self, peer: &Knowledge) -> Result<Option<SiteId>> {
        let own = self.identity.source;
        let heard = peer.position(own);
        for position in heard.into_iter().chain(peer.met(own).filter(|met| heard != Some(*met))) {
            if !changes::recognises(self, position)? {
                return Ok(Some(self.identity.card.site));
            }
        }
        Ok(None)
    }

    fn last_heard(&mut self, site: SiteId) -> Result<u64> {
        restored::last_heard(self, site)
    }

    fn leave_history(&mut self, latest: u64) -> Result<Source> {
        restored::leave_history(self, latest)
    }

    fn drain(&mut self) -> Result<Drained> {
        drain::drain(self)
    }

    fn is_empty(&mut self) -> Result<bool> {
        let Connections { writer, dialect, .. } = &mut self.connections;
        for info in self.catalog.infos.iter().filter(|i| i.status == TableStatus::Synchronised) {
            if !tables::is_empty(writer.as_mut(), dialect.as_ref(), &info.name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn recognises(&mut self, own: Position) -> Result<bool> {
        changes::recognises(self, own)
    }

    fn greet(&mut self, peer: Source, claimed: Option<Position>) -> Result<Greeting> {
        changes::greet(self, peer, claimed)
    }

    fn reincarnate(&mut self) -> Result<Source> {
        let millis = self.clock()?.now();
        let incarnation = self.identity.source.incarnation.next(millis, random()?);
        vector::leave(self.connections.writer.as_mut(), self.identity.source)?;
        identity::set_incarnation(self.connections.writer.as_mut(), incarnation)?;
        self.identity.source.incarnation = incarnation;
        Ok(self.identity.source)
    }

    fn outline(&mut self, since: &Since) -> Result<Outline> {
        changes::outline(self, since)
    }

    fn changes(&mut self, since: &Since, sink: &mut Sink) -> Result<Streamed> {
        self.confirm()?;
        changes::stream(self, since, sink)
    }

    fn apply(&mut self, batch: &Batch, mode: Mode) -> Result<Applied> {
        self.confirm()?;
        apply::apply(self, batch, mode)
    }

    fn complete(&mut self, stream: &Completed) -> Result<()> {
        apply::complete(self, stream)
    }

    fn enter(&mut self, tables: &[(String, Stamp)]) -> Result<Applied> {
        self.confirm()?;
        declare::enter(self, tables)
    }

    fn scan(&mut self, table: &str, _: bool, sink: &mut Sink) -> Result<()> {
        self.confirm()?;
        scan::scan(self, table, sink)
    }

    fn digest(&mut self, question: &Question, answers: &mut Answers) -> Result<()> {
        self.confirm()?;
        digest::answer(self, question, answers)
    }

    fn rows(&mut self, table: &str, keys: &[Vec<Value>]) -> Result<(Batch, usize)> {
        self.confirm()?;
        changes::rows(self, table, keys)
    }

    fn restamp(&mut self, table: &str, rows: &[Restamp], millis: u64) -> Result<()> {
        self.confirm()?;
        drain::restamp(self, table, rows, millis)
    }

    fn bury(&mut self, table: &str, rows: &[Burial], millis: u64, mode: Mode) -> Result<Applied> {
        self.confirm()?;
        bury::bury(self, table, rows, millis, mode)
    }

    fn registry(&mut self) -> Result<Registry> {
        registry::read(self.connections.writer.as_mut())
    }

    fn register(&mut self, registry: &Registry) -> Result<()> {
        registry::register(self, registry)
    }

    fn purge(&mut self, graves: &Purgeable, before: u64) -> Result<u64> {
        registry::purge(self, graves, before)
    }

    fn oldest_line(&mut self, registry: &Registry) -> Result<u64> {
        registry::oldest_line(self, registry)
    }

    fn compared(&mut self, tables: &[String]) -> Result<()> {
        drain::compared(self, tables)
    }

    fn conflicts(&mut self) -> Result<Vec<ConflictEntry>> {
        conflicts::list(self)
    }

    fn parked(&mut self) -> Result<Vec<ParkedEntry>> {
        parked::list(self)
    }

    fn restore(&mut self, conflict: &str) -> Result<()> {
        conflicts::restore(self, conflict)
    }
}
