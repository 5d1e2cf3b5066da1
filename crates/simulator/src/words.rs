//! How a step reads in a trace.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};

use sync_core::Summary;

use crate::scenario::{Fault, Manner, Side, Step, Transaction};

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Step::Write { site, transaction } => write!(f, "site {site} writes{}", manner(transaction)),
            Step::Begin { site, transaction } => {
                write!(f, "site {site} writes and does not commit yet{}", manner(transaction))
            }
            Step::Round { link, manner, fault, meanwhile, pieces, twice } => {
                let kind = match manner {
                    Manner::Plain => "a round",
                    Manner::Dry => "a dry run",
                    Manner::Init => "a round with -init",
                };
                write!(f, "{kind} over link {link}")?;
                if let Some(fault) = fault {
                    write!(f, ", {fault}")?;
                }
                if !meanwhile.is_empty() {
                    write!(f, ", {} transactions meanwhile", meanwhile.len())?;
                }
                if let Some(size) = pieces {
                    write!(f, ", in pieces of {size}")?;
                }
                f.write_str(if *twice { ", each batch twice" } else { "" })
            }
            Step::Wait(millis) => write!(f, "{millis} ms pass"),
            Step::Clock { site, by } => write!(f, "the clock of site {site} is set by {by} ms"),
            Step::Reopen { site } => write!(f, "site {site} is started anew"),
            Step::Backup { site } => write!(f, "site {site} makes a copy"),
            Step::Restore { site } => write!(f, "site {site} puts its copy back"),
            Step::Upgrade { site } => write!(f, "site {site} adds a column"),
            Step::Truncate { site, table } => write!(f, "site {site} empties table {table} with triggers off"),
            Step::Join => f.write_str("the next site joins"),
            Step::Retire { site } => write!(f, "site {site} leaves"),
            Step::Away { site } => write!(f, "site {site} is not met for a while, and said to have left"),
            Step::Return { site } => write!(f, "site {site} is met again"),
            Step::Declare { site, dies } => {
                write!(f, "what site {site} shows is declared the truth")?;
                dies.map_or(Ok(()), |n| write!(f, "; it dies at its statement {n}"))
            }
            Step::Clone { site } => write!(f, "a copy of site {site} begins to run beside it"),
            Step::AtCopy { transaction } => write!(f, "the copy writes{}", manner(transaction)),
            Step::CopyMeets { fault, .. } => {
                f.write_str("a round of the copy")?;
                fault.map_or(Ok(()), |fault| write!(f, ", {fault}"))
            }
            Step::ForceCopy { .. } => f.write_str("a round of the copy with -force"),
            Step::EndClone { keeps: true } => f.write_str("the copy becomes a site of its own"),
            Step::EndClone { keeps: false } => f.write_str("the copy is stopped"),
            Step::PutBack { site, .. } => write!(f, "site {site} puts a losing value back"),
        }
    }
}

fn manner(transaction: &Transaction) -> &'static str {
    match (transaction.rollback, transaction.late) {
        (true, _) => ", and rolls back",
        (false, true) => " (late)",
        (false, false) => "",
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let when = |after: &bool| if *after { "after" } else { "before" };
        let who = |side: &Side| if *side == Side::Master { "master" } else { "slave" };
        match self {
            Fault::Crash { side, statement, after } => {
                write!(f, "the {} dies {} its statement {statement}", who(side), when(after))
            }
            Fault::Cut { side, verb, after } => {
                write!(f, "the line to the {} is cut {} verb {verb}", who(side), when(after))
            }
        }
    }
}

/// What a round moved, short.
pub fn moved(tables: &BTreeMap<&str, (Summary, Summary)>) -> String {
    let one = |s: &Summary| {
        let counts = [("+", s.inserted), ("~", s.updated), ("-", s.deleted), ("!", s.conflicts), ("parked ", s.parked)];
        let counts = counts.iter().filter(|(_, n)| *n > 0).map(|(sign, n)| format!(" {sign}{n}")).collect::<String>();
        format!("{}{counts}", s.received)
    };
    let tables =
        tables.iter().map(|(name, (pulled, pushed))| format!("{name} pulled {}, pushed {}", one(pulled), one(pushed)));
    let all = tables.collect::<Vec<_>>().join("; ");
    if all.is_empty() { "nothing".to_owned() } else { all }
}
