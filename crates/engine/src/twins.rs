//! A store that goes on in a history which it left behind: it was restored once more, or it runs twice. Two that run at once
//! would make the same stamps for different writes, so the second is refused and named. A pure function of what a store
//! says of itself and what the other knows of it; acting on it is [`crate::round`]'s.

use std::time::Duration;

use sync_core::{Incarnation, Knowledge};
use sync_store::Description;

use crate::error::{EngineError, Kind};

/// For how long after a store began a new history, one that goes on in an older is taken for its twin. Later it is taken for
/// the same store, restored from an older backup.
const TWIN: Duration = Duration::from_secs(3600);

/// The later history of a store that the other side knows of, if there is one.
pub(crate) fn later(about: &Description, other_knows: &Knowledge) -> Option<Incarnation> {
    other_knows.latest(about.source.store).filter(|latest| *latest > about.source.incarnation)
}

/// Refuses a store that probably runs twice. `now` in milliseconds since the Unix epoch.
pub(crate) fn refuse(about: &Description, later: Incarnation, now: u64) -> Result<(), EngineError> {
    let age = Duration::from_millis(now.saturating_sub(later.millis()));
    if age > TWIN {
        return Ok(());
    }
    let (site, minutes) = (&about.site_name, age.as_secs() / 60);
    Err(EngineError::new(
        Kind::Halt,
        format!("site {site} seems to run twice: another copy of its database has taken its place {minutes} min ago"),
    )
    .hint(format!(
        "find and stop the copy of {site} that should not run; if this is the right one, or it was only restored a second \
         time, go on with -force; to keep the copy, run it once more with -force, so that it sends what was written there, \
         then stop the application at it, give it another site and site_number, move its state directory away and run \
         `server_sync init-site`"
    )))
}

#[cfg(test)]
mod tests {
    use sync_core::{Position, Source, StoreId};

    use super::*;
    use crate::handshake::tests::site;

    const NOW: u64 = 1_800_000_000_000;

    fn known(incarnations: &[u64]) -> Knowledge {
        let mut knowledge = Knowledge::default();
        for millis in incarnations {
            let source = Source { store: StoreId(1), incarnation: Incarnation::at(*millis, 0) };
            knowledge.advance(source, Position { seq: 1, token: 1 });
        }
        knowledge
    }

    fn store(millis: u64) -> Description {
        let source = Source { store: StoreId(1), incarnation: Incarnation::at(millis, 0) };
        Description { source, ..site(1, "geneva") }
    }

    #[test]
    fn only_a_later_history_of_the_same_store_counts() {
        assert_eq!(later(&store(20), &known(&[10, 20])), None);
        assert_eq!(later(&store(20), &Knowledge::default()), None);
        assert_eq!(later(&store(20), &known(&[10, 30, 40])), Some(Incarnation::at(40, 0)));
        let other = Description { source: Source { store: StoreId(9), ..store(20).source }, ..store(20) };
        assert_eq!(later(&other, &known(&[30])), None);
    }

    #[test]
    fn a_twin_is_refused_and_named_and_an_old_backup_is_not() {
        let error = refuse(&store(20), Incarnation::at(NOW - 120_000, 0), NOW).unwrap_err();
        assert_eq!(error.kind, Kind::Halt);
        assert!(error.message.contains("seems to run twice") && error.message.contains("2 min ago"), "{error:?}");
        assert!(refuse(&store(20), Incarnation::at(NOW - 7_200_000, 0), NOW).is_ok());
    }
}
