//! What becomes of a change that the scan found: a pure function of what is there now, what was there when we last
//! looked or wrote, and what the rows want.
//!
//! Where the rows want what was there, the change is simply new. Where they want something else (it was merged and not
//! yet made), two changes met that did not see each other, and neither may be lost.

use crate::cells::{Cells, Content};

/// What to do with the row; what was seen becomes what is there in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The row.
    pub row: Change,
    /// A copy of what is there, under a conflict name.
    pub copy: Option<Cells>,
}

/// What happens to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Keep,
    /// It becomes this, whether or not it is there.
    Write(Cells),
    /// It goes.
    Remove,
}

/// Judges one path, of which `seen` is there now, `known` was, and `wanted` is the row.
pub fn judge(seen: Option<&Cells>, known: Option<&Cells>, wanted: Option<&Cells>) -> Verdict {
    let only = |row| Verdict { row, copy: None };
    if wanted == known {
        return only(match seen {
            Some(seen) if Some(seen) == wanted => Change::Keep,
            Some(seen) => Change::Write(seen.clone()),
            None if wanted.is_some() => Change::Remove,
            None => Change::Keep,
        });
    }
    match (seen, known, wanted) {
        (None, Some(known), Some(wanted)) if known.content.is_same(&wanted.content) => only(Change::Remove),
        (None, _, _) => only(Change::Keep),
        (Some(seen), Some(known), None) if !seen.content.is_same(&known.content) => only(Change::Write(seen.clone())),
        (Some(_), _, None) => only(Change::Keep),
        (Some(seen), None, Some(wanted)) => Verdict { row: Change::Keep, copy: lost(&seen.content, wanted, seen) },
        (Some(seen), Some(known), Some(wanted)) => both(seen, known, wanted),
    }
}

/// A copy of what is there, if somebody could miss it.
fn lost(content: &Content, wanted: &Cells, seen: &Cells) -> Option<Cells> {
    let is_lost = !content.is_directory() && !content.is_same(&wanted.content);
    is_lost.then(|| seen.clone().alone())
}

fn both(seen: &Cells, known: &Cells, wanted: &Cells) -> Verdict {
    let edited_here = !seen.content.is_same(&known.content);
    let edited_there = !wanted.content.is_same(&known.content);
    let collide = edited_here && edited_there && !seen.content.is_same(&wanted.content);
    let takes_ours = seen.content != known.content && !edited_there;
    // We may have made it a moment before we died; whose twin it is was to be written down then.
    let is_made = seen.is_like(wanted) || (edited_here && seen.content.is_same(&wanted.content));
    let merged = Cells {
        content: if takes_ours { seen.content.clone() } else { wanted.content.clone() },
        mode: newer(seen.mode, known.mode, wanted.mode),
        owner: newer(&seen.owner, &known.owner, &wanted.owner).clone(),
        group: newer(&seen.group, &known.group, &wanted.group).clone(),
        attributes: newer(&seen.attributes, &known.attributes, &wanted.attributes).clone(),
        twin: if is_made { &wanted.twin } else { newer(&seen.twin, &known.twin, &wanted.twin) }.clone(),
    };
    Verdict {
        row: if merged == *wanted { Change::Keep } else { Change::Write(merged) },
        copy: if collide { lost(&seen.content, wanted, seen) } else { None },
    }
}

/// The cell that changed here, or else what the row wants.
fn newer<T: PartialEq>(seen: T, known: T, wanted: T) -> T {
    if seen == known { wanted } else { seen }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sync_store::Hash;

    use super::*;
    use crate::cells::Account;

    fn account() -> Account {
        Account::Number(1)
    }

    fn file(n: u8) -> Cells {
        let content = Content::File { hash: Hash([n; 32]), size: n.into(), mtime: n.into() };
        Cells { content, mode: 0o644, owner: account(), group: account(), attributes: Vec::new(), twin: Vec::new() }
    }

    fn directory() -> Cells {
        Cells { content: Content::Directory, mode: 0o755, ..file(0) }
    }

    fn touched(n: u8) -> Cells {
        let content = Content::File { hash: Hash([n; 32]), size: n.into(), mtime: 99 };
        Cells { content, ..file(n) }
    }

    fn mode(cells: Cells, mode: u32) -> Cells {
        Cells { mode, ..cells }
    }

    #[test]
    fn changes_that_met_nothing() {
        let (a, b) = (file(1), file(2));
        for (seen, known, row) in [
            (Some(&a), None, Change::Write(a.clone())),
            (Some(&b), Some(&a), Change::Write(b.clone())),
            (None, Some(&a), Change::Remove),
            (None, None, Change::Keep),
            (Some(&a), Some(&a), Change::Keep),
        ] {
            assert_eq!(judge(seen, known, known), Verdict { row, copy: None });
        }
    }

    #[test]
    fn changes_that_met_another() {
        let (a, b, c, d) = (file(1), file(2), file(3), directory());
        let cases = [
            ("both deleted", None, Some(a.clone()), None, Change::Keep, None),
            ("deleted here, edited there", None, Some(a.clone()), Some(b.clone()), Change::Keep, None),
            ("deleted here, mode there", None, Some(a.clone()), Some(mode(a.clone(), 0o600)), Change::Remove, None),
            ("edited here, deleted there", Some(b.clone()), Some(a.clone()), None, Change::Write(b.clone()), None),
            ("touched here, deleted there", Some(touched(1)), Some(a.clone()), None, Change::Keep, None),
            ("both edited", Some(b.clone()), Some(a.clone()), Some(c.clone()), Change::Keep, Some(b.clone())),
            ("both edited alike", Some(b.clone()), Some(a.clone()), Some(b.clone()), Change::Keep, None),
            ("both created", Some(b.clone()), None, Some(c.clone()), Change::Keep, Some(b.clone())),
            ("both created alike", Some(b.clone()), None, Some(b.clone()), Change::Keep, None),
            ("file here, directory there", Some(a.clone()), None, Some(d.clone()), Change::Keep, Some(a.clone())),
            ("directory here, file there", Some(d.clone()), None, Some(a.clone()), Change::Keep, None),
            ("touched here, edited there", Some(touched(1)), Some(a.clone()), Some(b.clone()), Change::Keep, None),
            (
                "mode here, edited there",
                Some(mode(a.clone(), 0o600)),
                Some(a.clone()),
                Some(b.clone()),
                Change::Write(mode(b.clone(), 0o600)),
                None,
            ),
            (
                "edited here, mode there",
                Some(b.clone()),
                Some(a.clone()),
                Some(mode(a, 0o600)),
                Change::Write(mode(b, 0o600)),
                None,
            ),
        ];
        for (what, seen, known, wanted, row, copy) in cases {
            assert_eq!(judge(seen.as_ref(), known.as_ref(), wanted.as_ref()), Verdict { row, copy }, "{what}");
        }
    }

    #[test]
    fn whose_twin_it_is() {
        let twin = |cells: &Cells, n: u8| Cells { twin: vec![n; 16], ..cells.clone() };
        let (a, b) = (file(1), file(2));
        let row = |seen: &Cells, known: &Cells, wanted: &Cells| judge(Some(seen), Some(known), Some(wanted)).row;
        let cases = [
            // Somebody put another file in its place, while its permissions changed elsewhere.
            (b.clone(), twin(&a, 1), twin(&mode(a.clone(), 0o600), 1), Some(mode(b.clone(), 0o600))),
            // It was joined elsewhere, and written here.
            (b.clone(), a.clone(), twin(&a, 1), Some(twin(&b, 1))),
            // We made it, and died before that was written down.
            (b.clone(), twin(&a, 1), twin(&b, 1), None),
            (a.clone(), twin(&a, 1), twin(&a, 2), None),
            // And parted it.
            (mode(a.clone(), 0o600), twin(&a, 1), twin(&mode(a.clone(), 0o600), 1), None),
        ];
        for (seen, known, wanted, written) in cases {
            assert_eq!(row(&seen, &known, &wanted), written.map_or(Change::Keep, Change::Write));
        }
        let copy = judge(Some(&twin(&b, 1)), Some(&twin(&a, 1)), Some(&twin(&file(3), 1))).copy;
        assert_eq!(copy, Some(b), "a copy is a file of its own");
    }

    fn any() -> impl Strategy<Value = Option<Cells>> {
        let some = (0_u8..4, prop_oneof![Just(0o644_u32), Just(0o600)]);
        proptest::option::of(some.prop_map(|(n, m)| mode(if n == 0 { directory() } else { file(n) }, m)))
    }

    proptest! {
        /// What is there after a person's change stays somewhere, unless it is what was there before.
        #[test]
        fn nothing_new_is_lost(seen in any(), known in any(), wanted in any()) {
            let verdict = judge(seen.as_ref(), known.as_ref(), wanted.as_ref());
            let after = match &verdict.row {
                Change::Keep => wanted.clone(),
                Change::Write(cells) => Some(cells.clone()),
                Change::Remove => None,
            };
            let has = |cells: &Option<Cells>, c: &Content| cells.as_ref().is_some_and(|x| x.content.is_same(c));
            if let Some(s) = &seen && !s.content.is_directory() && !has(&known, &s.content) {
                prop_assert!(has(&after, &s.content) || has(&verdict.copy, &s.content));
            }
            // And what others wrote stays as well.
            if let Some(w) = &wanted && !has(&known, &w.content) {
                prop_assert!(has(&after, &w.content));
            }
            // A path that nobody touched here is left alone.
            if seen == known {
                prop_assert_eq!(verdict, Verdict { row: Change::Keep, copy: None });
            }
        }
    }
}
