//! Rounds between the sites of a world, with what goes wrong in them. Judges only whether a round may fail; what the sites must
//! have after it is for [`crate::invariants`].

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_core::Source;
use sync_engine::handshake::Expectation;
use sync_engine::{EngineError, Kind, Memory, Options, RoundReport, round};

use super::World;
use crate::clock::still;
use crate::courier::Conduct;
use crate::failure::{Failure, Result};
use crate::invariants;
use crate::scenario::{Fault, Manner, Side, Transaction};
use crate::site::{Events, Site, VD};
use crate::tap::lock;
use crate::words::moved;

/// One round as it is to be done.
pub(crate) struct Plan<'a> {
    pub link: (usize, usize),
    pub manner: Manner,
    pub fault: Option<Fault>,
    /// With `-force`.
    pub force: bool,
    pub meanwhile: &'a [(Side, u32, Transaction)],
    pub pieces: Option<usize>,
    pub twice: bool,
}

impl Plan<'_> {
    pub fn plain(link: (usize, usize), manner: Manner) -> Self {
        Plan { link, manner, fault: None, force: false, meanwhile: &[], pieces: None, twice: false }
    }
}

impl World {
    pub(crate) fn can_meet(&self, site: usize) -> bool {
        self.is_active(site) && !self.away.contains(&site)
    }

    /// A round that may fail if something went wrong on purpose, or if a person has to decide.
    pub(crate) fn try_round(&mut self, plan: &Plan) -> Result<()> {
        if !self.can_meet(plan.link.0) || !self.can_meet(plan.link.1) {
            return Ok(());
        }
        let before = self.twins_of(plan)?;
        let outcome = self.round(plan);
        self.judge_twins(plan, &before, &outcome)?;
        let is_excused = |e: &EngineError| plan.fault.is_some() || e.retryable || e.kind == Kind::Halt;
        let told = match &outcome {
            Ok(report) => format!("  {} -> {}: {}", plan.link.0, plan.link.1, moved(&report.by_table())),
            Err(e) => format!("  {} -> {} failed: {e}", plan.link.0, plan.link.1),
        };
        self.tell(|| told);
        match outcome {
            Err(e) if !is_excused(&e) => return Err(e.into()),
            _ => {}
        }
        // A store that was put back is not always found out by the first that it meets.
        if plan.fault.is_some() && !self.restored {
            invariants::knowledge(self, plan.link.0, plan.link.1)?;
            invariants::knowledge(self, plan.link.1, plan.link.0)?;
        }
        Ok(())
    }

    pub(crate) fn round(&mut self, plan: &Plan) -> std::result::Result<RoundReport, EngineError> {
        let (m, s) = plan.link;
        let fail = |f: Failure| EngineError::new(Kind::Failure, f.0);
        self.sites.iter_mut().for_each(Site::look);
        let before: Vec<(Events, usize)> =
            [m, s].map(|i| (self.sites[i].here.clone(), lock(&self.sites[i].application).log.len())).into();
        for (side, i) in [(Side::Master, m), (Side::Slave, s)] {
            let meanwhile = plan.meanwhile.iter().filter(|(at, ..)| *at == side);
            let crash = match plan.fault {
                Some(Fault::Crash { side: at, statement, after }) if at == side => Some((statement, after)),
                _ => None,
            };
            lock(&self.sites[i].tap).reset(crash, meanwhile.map(|(_, n, t)| (*n, t.clone())).collect());
        }
        let result = self.meet(plan);
        for i in [m, s] {
            let told = std::mem::take(&mut lock(&self.sites[i].tap).told);
            told.into_iter().for_each(|t| self.tell(|| format!("  meanwhile at {i} {t}")));
            if lock(&self.sites[i].tap).dead {
                self.sites[i].reopen().map_err(fail)?;
            } else {
                lock(&self.sites[i].tap).reset(None, Vec::new());
            }
        }
        if let (Ok(report), true) = (&result, plan.manner != Manner::Dry) {
            self.share(m, s, &before, report);
        }
        result
    }

    fn meet(&mut self, plan: &Plan) -> std::result::Result<RoundReport, EngineError> {
        let (m, s) = plan.link;
        let fail = |f: Failure| EngineError::new(Kind::Failure, f.0);
        let said = Arc::new(Mutex::new(Vec::new()));
        let bug = self.bug;
        let conduct = |side: Side, peer: Option<Source>| Conduct {
            cut: match plan.fault {
                Some(Fault::Cut { side: at, verb, after }) if at == side => Some((verb, after)),
                _ => None,
            },
            pieces: plan.pieces,
            twice: plan.twice,
            bug,
            peer,
        };
        // Who meets a site where a declaration is in force for the first time is asked about first.
        let force = plan.force || self.declared > 0 || self.ended_clone(plan.link);
        let slave = self.sites[s].name().to_owned();
        let options = Options { force, ..options(slave, plan.manner, self.memory().map_err(fail)?) };
        let peers = (self.sites[s].source(), self.sites[m].source());
        let conducts = (conduct(Side::Master, peers.0), conduct(Side::Slave, peers.1));
        let [a, b] = self.sites.get_disjoint_mut([m, s]).map_err(|e| fail(Failure::new(e.to_string())))?;
        let (mut a, mut b) = (a.courier(conducts.0, &said).map_err(fail)?, b.courier(conducts.1, &said).map_err(fail)?);
        round(&mut a, &mut b, &options, &mut ())
    }

    /// After a round both sites certainly have what either had when it began, except rows that were written meanwhile, which
    /// are sent next time, and tables that wait.
    fn share(&mut self, m: usize, s: usize, before: &[(Events, usize)], report: &RoundReport) {
        let mut waits: BTreeSet<(usize, Option<String>)> = BTreeSet::new();
        for (i, (_, count)) in [m, s].into_iter().zip(before) {
            waits.extend(lock(&self.sites[i].application).log[*count..].iter().map(|e| (e.table, Some(e.key.clone()))));
        }
        let table = |name: &str| crate::schema::TABLES.iter().position(|t| t.name == name);
        let paused = report.paused.iter().chain(&report.refused);
        waits.extend(paused.filter_map(|p| Some((table(&p.name)?, None))));
        let union: Vec<(usize, usize)> = before.iter().flat_map(|(events, _)| events.iter().copied()).collect();
        let arrived = |(site, i): &(usize, usize)| {
            let application = lock(&self.sites[*site].application);
            let event = &application.log[*i];
            !waits.contains(&(event.table, None)) && !waits.contains(&(event.table, Some(event.key.clone())))
        };
        let shared: Vec<(usize, usize)> = union.into_iter().filter(arrived).collect();
        for i in [m, s] {
            self.sites[i].here.extend(shared.iter().copied());
            self.sites[i].look();
            self.sites[i].meets();
        }
    }

    /// A round over each link; none may fail. Says whether all were quiet.
    pub fn pass(&mut self, manner: Manner) -> Result<bool> {
        let mut quiet = true;
        for link in self.links.clone() {
            let report = self.round(&Plan::plain(link, manner))?;
            self.tell(|| format!("  {} -> {}: {}", link.0, link.1, moved(&report.by_table())));
            if !report.paused.is_empty() {
                return Err(Failure::new(format!("a table waits: {:?}", report.paused)));
            }
            quiet &= report.is_quiet();
        }
        Ok(quiet)
    }
}

fn options(slave: String, manner: Manner, graves: Memory) -> Options {
    Options {
        init: manner == Manner::Init,
        dry_run: manner == Manner::Dry,
        graves,
        steady: still,
        ..Options::expecting(Expectation {
            slave,
            remote_vd: VD.to_owned(),
            minimum: None,
            max_clock_difference: Duration::from_secs(300),
        })
    }
}
