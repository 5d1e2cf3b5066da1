//! Lists of chunks that need not be sent: the chunks of a content are taken together in groups that begin and end where the
//! chunks say so, and a group that an older content here has as well stands for the chunks in it. So the list of a large file
//! of which little changed is as short as what changed.
//!
//! What a group is, is part of the exchange: both sides must make them alike. Nothing is believed: the content that is put
//! together by such a list is verified as a whole like any other.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use rusqlite::params;
use sync_store::contents::{Ask, Chunk};
use sync_store::{Hash, Result, Want};

use crate::contents::unasked;
use crate::index::Look;
use crate::parts;
use crate::tree::Tree;

/// A group ends behind a chunk whose hash begins with a number below this: one of 32.
const LAST: u8 = 8;
/// Or when it has so many chunks.
const MOST: usize = 128;
/// Groups of contents here that are compared with those of a new one; with them, some hundred gigabytes.
const OWN: usize = 200_000;
/// With more gaps than this in what is known, the list is taken as a whole from the first to the last of them: each costs the
/// time to the other side and back.
const GAPS: usize = 4;

/// Takes chunks together.
#[derive(Default)]
struct Groups {
    hasher: blake3::Hasher,
    group: Option<Chunk>,
    chunks: usize,
}

impl Groups {
    /// The next chunk; a group that ends with it.
    fn add(&mut self, chunk: &Chunk) -> Option<Chunk> {
        self.hasher.update(&chunk.size.to_le_bytes()).update(&chunk.hash.0);
        let group = self.group.get_or_insert(Chunk { size: 0, ..*chunk });
        group.size += chunk.size;
        self.chunks += 1;
        let is_last = chunk.hash.0[0] < LAST || self.chunks == MOST;
        if is_last { self.end() } else { None }
    }

    /// No more follow.
    fn end(&mut self) -> Option<Chunk> {
        let hash = Hash(*self.hasher.finalize().as_bytes());
        self.hasher.reset();
        self.chunks = 0;
        self.group.take().map(|group| Chunk { hash, ..group })
    }
}

/// The groups of a content with these chunks.
fn grouped(chunks: &[Chunk]) -> Vec<Chunk> {
    let mut groups = Groups::default();
    let mut found: Vec<Chunk> = chunks.iter().filter_map(|chunk| groups.add(chunk)).collect();
    found.extend(groups.end());
    found
}

/// At most so many groups of a content whose chunks are listed here, from an offset on.
pub fn listed(look: Look, content: Hash, mut from: u64, most: usize) -> Result<Vec<Chunk>> {
    let (mut groups, mut found) = (Groups::default(), Vec::new());
    loop {
        let page = parts::listed(look, content, from..u64::MAX, parts::PAGE)?;
        let Some(last) = page.last() else {
            found.extend(groups.end());
            return Ok(found);
        };
        from = last.offset + 1;
        for chunk in &page {
            found.extend(groups.add(chunk));
            if found.len() >= most {
                return Ok(found);
            }
        }
    }
}

/// What is known of a content whose list is being put together.
#[derive(Default)]
pub struct Known {
    /// Groups of contents that are here: whose, and where.
    own: HashMap<Hash, (Hash, Chunk)>,
    /// Those of the new content, as far as they were told.
    told: VecDeque<Chunk>,
}

/// The parts of the list of a content with these chunks that whoever has just the other content will ask for.
pub fn gaps(look: Look, other: Hash, chunks: &[Chunk]) -> Result<Vec<Range<u64>>> {
    let own = listed(look, other, 0, OWN)?.into_iter().map(|group| (group.hash, (other, group))).collect();
    let told: VecDeque<Chunk> = grouped(chunks).into();
    let size = told.back().map_or(0, end);
    let (mut known, mut from, mut gaps) = (Known { own, told }, 0, Vec::new());
    while let (_, Some(Ask::List { from: start, to })) = known.go_on(from, size) {
        gaps.push(start..to);
        from = to;
    }
    Ok(gaps)
}

impl Known {
    /// The groups that are known to follow a list which is here up to an offset, and what to ask for then; nothing if it is whole.
    fn go_on(&mut self, mut from: u64, size: u64) -> (Vec<Adopted>, Option<Ask>) {
        let mut adopted = Vec::new();
        let ask = loop {
            if from >= size {
                break None;
            }
            if self.own.is_empty() {
                break Some(Ask::Chunks { from });
            }
            while self.told.front().is_some_and(|group| end(group) <= from) {
                self.told.pop_front();
            }
            let Some(group) = self.told.front() else { break Some(Ask::Groups { from }) };
            match self.own.get(&group.hash).filter(|(_, own)| own.size == group.size && group.offset == from) {
                Some((content, own)) => {
                    from = end(group);
                    adopted.push(Adopted { group: *group, content: *content, own: *own });
                }
                None => break Some(Ask::List { from, to: gap(self) }),
            }
        };
        (adopted, ask)
    }
}

/// What to ask for so that the list of chunks, which is here up to an offset, goes on; nothing if it is whole.
pub fn next(tree: &mut Tree, path: &[u8], hash: Hash, size: u64, from: u64) -> Result<Option<Ask>> {
    let mut known = match tree.asked.groups.remove(&hash) {
        Some(known) => known,
        None => Known { own: own(tree, path, size)?, told: VecDeque::new() },
    };
    let (adopted, ask) = known.go_on(from, size);
    adopt(tree, hash, &adopted)?;
    if ask.is_some() {
        tree.asked.groups.insert(hash, known);
    }
    Ok(ask)
}

/// A group that a content here has as well.
struct Adopted {
    group: Chunk,
    content: Hash,
    /// Where it is there.
    own: Chunk,
}

fn end(group: &Chunk) -> u64 {
    group.offset.saturating_add(group.size.into())
}

/// Where the first gap in what is known ends, or with many of them the last one.
fn gap(known: &Known) -> u64 {
    let is_own = |group: &Chunk| known.own.contains_key(&group.hash);
    let mut ends: Vec<u64> = Vec::new();
    let mut is_open = false;
    for group in &known.told {
        match (is_own(group), is_open) {
            (false, true) => ends.last_mut().into_iter().for_each(|last| *last = end(group)),
            (false, false) => ends.push(end(group)),
            (true, _) => {}
        }
        is_open = !is_own(group);
    }
    // Of what is known, the first group may be in the wrong place.
    let first = known.told.front().map_or(0, end);
    let chosen = if ends.len() > GAPS { ends.last() } else { ends.first() };
    chosen.copied().unwrap_or_default().max(first)
}

/// The groups of contents here that a new one may have much in common with.
fn own(tree: &mut Tree, path: &[u8], size: u64) -> Result<HashMap<Hash, (Hash, Chunk)>> {
    let mut own = HashMap::new();
    for content in parts::relatives(tree, path, size)? {
        if parts::cut(tree, content)? && own.len() < OWN {
            let groups = listed(tree.index.look(), content, 0, OWN - own.len())?;
            own.extend(groups.into_iter().map(|group| (group.hash, (content, group))));
        }
    }
    Ok(own)
}

/// Takes the chunks of groups over from contents that have them as well, all at once: each transaction waits for the disk.
fn adopt(tree: &mut Tree, hash: Hash, adopted: &[Adopted]) -> Result<()> {
    if adopted.is_empty() {
        return Ok(());
    }
    let statement = "INSERT OR IGNORE INTO chunk (content, offset, size, hash, here) \
         SELECT ?1, offset-?2+?3, size, hash, 0 FROM chunk WHERE content=?4 AND offset>=?2 AND offset<?5";
    let writing = tree.index.begin()?;
    for Adopted { group, content, own } in adopted {
        let [old, new, until] = [own.offset, group.offset, end(own)].map(u64::cast_signed);
        writing.run(statement, params![hash.0, old, new, content.0, until])?;
    }
    writing.commit()
}

/// Takes what the groups of a content are: they must go on where the list ended, and not beyond the content.
pub fn take(tree: &mut Tree, want: &Want, from: u64, groups: &[Chunk]) -> Result<()> {
    let mut at = from;
    for group in groups {
        if group.offset != at || group.size == 0 || end(group) > want.size {
            return Err(unasked());
        }
        at = end(group);
    }
    if let Some(known) = tree.asked.groups.get_mut(&want.hash) {
        known.told = groups.to_vec().into();
    }
    tree.asked.done(want.hash);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(numbers: impl Iterator<Item = u32>) -> Vec<Chunk> {
        let mut offset = 0;
        let mut next = |number: u32| {
            let hash = Hash(*blake3::hash(&number.to_le_bytes()).as_bytes());
            let chunk = Chunk { offset, size: 16_384 + number, hash };
            offset += u64::from(chunk.size);
            chunk
        };
        numbers.map(&mut next).collect()
    }

    #[test]
    fn groups_are_the_content_without_a_gap() {
        let chunks = chunks(0..5000);
        let groups = grouped(&chunks);
        assert!((80..320).contains(&groups.len()), "{}", groups.len());
        assert!(groups.windows(2).all(|pair| end(&pair[0]) == pair[1].offset));
        assert_eq!(groups.last().map(end), chunks.last().map(end));
    }

    #[test]
    fn a_new_chunk_changes_a_group_or_two() {
        let (old, new) = (grouped(&chunks(0..5000)), grouped(&chunks((0..2500).chain([9999]).chain(2500..5000))));
        let fresh = new.iter().filter(|group| !old.iter().any(|o| o.hash == group.hash)).count();
        assert!((1..=2).contains(&fresh), "{fresh}");
    }

    #[test]
    fn few_gaps_are_asked_for_one_by_one_and_many_at_once() {
        let group = |n: u64| Chunk { offset: n * 10, size: 10, hash: Hash([u8::try_from(n).unwrap_or(0); 32]) };
        let own = |known: &[u64]| known.iter().map(|n| (group(*n).hash, (Hash([0; 32]), group(*n)))).collect();
        let known = |mine: &[u64]| Known { own: own(mine), told: (0..20).map(group).collect() };
        assert_eq!(gap(&known(&[3, 4, 5])), 30);
        assert_eq!(gap(&known(&[1, 3, 5, 7, 9, 19])), 190);
        assert_eq!(gap(&known(&[])), 200);
    }
}
