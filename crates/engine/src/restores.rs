//! Authoritative restores that one side has met and the other has not: once a stream was received whole, the receiver takes them
//! over. A pure look at what both sides say of themselves; what it means is the store's ([`sync_store::Store::enter`]).

use sync_core::Stamp;
use sync_store::{Description, Mode};

use crate::error::{EngineError, Kind, Result};
use crate::parties::Parties;
use crate::report::{Direction, Event, RoundReport, Watch};
use crate::round::Options;

/// The restores that the receiver of a direction has to take over from the sender, by table.
fn owed(sender: &Description, receiver: &Description, tables: &[String]) -> Vec<(String, Stamp)> {
    let met = |about: &Description, table: &str| {
        about.epochs.iter().find(|(name, _)| name == table).map(|(_, epoch)| *epoch).unwrap_or_default()
    };
    let one = |table: &String| Some((table.clone(), met(sender, table))).filter(|(t, epoch)| *epoch > met(receiver, t));
    tables.iter().filter_map(one).collect()
}

fn owed_in(parties: &Parties, direction: Direction) -> Vec<(String, Stamp)> {
    owed(parties.sender(direction), parties.receiver(direction), &parties.agreement.tables)
}

/// Refuses two that meet for the first time if one would lose rows that it brings along: whoever declared the restore may not
/// have known of that site.
pub(crate) fn check_strangers(parties: &mut Parties, options: &Options) -> Result<()> {
    for direction in [Direction::Pull, Direction::Push] {
        let owed = owed_in(parties, direction);
        if options.force || owed.is_empty() || parties.stores(direction).1.is_empty()? {
            continue;
        }
        let (there, here) = (&parties.sender(direction).site_name, &parties.receiver(direction).site_name);
        let tables: Vec<&str> = owed.iter().map(|(table, _)| table.as_str()).collect();
        return Err(EngineError::new(
            Kind::Halt,
            format!(
                "{here} and {there} meet for the first time, and an authoritative restore is in force at {there}: rows of \
                 {here} that it does not have would be deleted in {}",
                tables.join(", ")
            ),
        )
        .hint(format!("if that is right, run once with -force; what {here} loses is listed as conflicts")));
    }
    Ok(())
}

/// The receiver of a stream that was received whole takes over what the sender has met.
pub(crate) fn take_over(
    parties: &mut Parties,
    direction: Direction,
    report: &mut RoundReport,
    watch: &mut dyn Watch,
) -> Result<()> {
    let owed = owed_in(parties, direction);
    if owed.is_empty() || parties.mode == Mode::Preview {
        return Ok(());
    }
    owed.iter().try_for_each(|(_, epoch)| parties.horizon.check_stamp(*epoch))?;
    let side = report.applied(direction);
    // What is not part of it is deleted: all that is has to be there.
    side.add(parties.stores(direction).1.applied()?);
    let applied = parties.stores(direction).1.enter(&owed)?;
    let gone = applied.total().deleted;
    side.add(applied);
    let (here, tables) = (&parties.receiver(direction).site_name, owed.len());
    let site = owed.iter().map(|(_, epoch)| *epoch).max().unwrap_or_default().site();
    let note = format!(
        "{here} took over the authoritative restore that site {site} declared: tables: {tables}, rows deleted: {gone}"
    );
    watch.event(Event::Note(&note));
    report.notes.push(note);
    match direction {
        Direction::Pull => parties.about.master.epochs = joined(&parties.about.master, owed),
        Direction::Push => parties.about.slave.epochs = joined(&parties.about.slave, owed),
    }
    Ok(())
}

/// What a store has met now.
fn joined(before: &Description, owed: Vec<(String, Stamp)>) -> Vec<(String, Stamp)> {
    let is_other = |(table, _): &&(String, Stamp)| !owed.iter().any(|(new, _)| new == table);
    before.epochs.iter().filter(is_other).cloned().chain(owed.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::tests::site;

    fn having(epochs: &[(&str, u64)]) -> Description {
        let epochs = epochs.iter().map(|(table, epoch)| ((*table).to_owned(), Stamp::from_raw(*epoch))).collect();
        Description { epochs, ..site(1, "geneva") }
    }

    #[test]
    fn what_is_later_is_owed_of_the_tables_that_take_part() {
        let (sender, receiver) = (having(&[("a", 5), ("b", 5), ("c", 5), ("d", 5)]), having(&[("b", 7), ("c", 3)]));
        let tables = ["a", "b", "c", "e"].map(str::to_owned);
        let of = |list: Vec<(String, Stamp)>| list.into_iter().map(|(t, e)| (t, e.raw())).collect::<Vec<_>>();
        assert_eq!(of(owed(&sender, &receiver, &tables)), [("a".to_owned(), 5), ("c".to_owned(), 5)]);
        assert_eq!(of(owed(&receiver, &sender, &tables)), [("b".to_owned(), 7)]);
        assert_eq!(owed(&receiver, &receiver, &tables), []);
    }
}
