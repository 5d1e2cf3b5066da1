//! Names: which paths may occur, and how the copy of a concurrent edit is called. Pure; a path is bytes below the root,
//! components separated by `/`, never normalised.

use sync_store::{Result, StoreError, Trouble};

/// The directory of ours in every root: marker, staging, trash. Never synchronised.
pub const OWN: &[u8] = b".server_sync";

/// The longest name of a file.
pub const NAME_MAX: usize = 255;

/// The longest path that is taken from a peer. No system makes one in a single call, but step by step it can be made.
pub const LONGEST: usize = 1 << 20;

/// Why a peer's path is refused; `None` if it may be used.
pub fn fault(path: &[u8]) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > LONGEST {
        return Some("it is too long");
    }
    if path.contains(&0) {
        return Some("it contains a NUL");
    }
    if path.split(|b| *b == b'/').next() == Some(OWN) {
        return Some("the name is server_sync's own");
    }
    path.split(|b| *b == b'/').find_map(component_fault)
}

fn component_fault(name: &[u8]) -> Option<&'static str> {
    match name {
        b"" => Some("a name in it is empty, or it is absolute"),
        b"." | b".." => Some("it leads elsewhere"),
        _ if name.len() > NAME_MAX => Some("a name in it is too long"),
        _ => None,
    }
}

/// Refuses a path of a peer that must not be used.
pub fn check(path: &[u8]) -> Result<()> {
    match fault(path) {
        None => Ok(()),
        Some(why) => Err(StoreError::new(
            Trouble::Corrupt,
            format!("the other site sent a path that is refused, {why}: {}", shown(path)),
        )
        .hint("the other site is damaged or hostile: nothing was written")),
    }
}

/// A path as text, shortened.
pub fn shown(path: &[u8]) -> String {
    let text = path[..path.len().min(200)].escape_ascii().to_string();
    if path.len() > 200 { format!("{text}…") } else { text }
}

/// The directory of a path, nothing for one at the top; and its name.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// The directories that a path lies in, from the top.
pub fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &path[..at])
}

/// The range of paths below a directory: all that are at least the first and less than the second.
pub fn below(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    ([path, b"/"].concat(), [path, b"0"].concat())
}

/// Who lost what and when: all that a copy's name is made from, alike at every site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loser<'a> {
    /// The number of the site that wrote it.
    pub site: u16,
    /// When, in milliseconds since the Unix epoch.
    pub millis: u64,
    /// A hash of the content.
    pub content: &'a [u8],
}

/// `name (conflict SITE DATE HASH).ext`, never longer than a name may be.
pub fn conflict(path: &[u8], loser: &Loser) -> Vec<u8> {
    let (directory, name) = split(path);
    let (stem, extension) = extension(name);
    let hash: String = loser.content.iter().take(3).map(|b| format!("{b:02x}")).collect();
    let mark = format!(" (conflict {} {} {hash})", loser.site, date(loser.millis));
    let stem = shortened(stem, NAME_MAX - mark.len() - extension.len());
    let mut copy = directory.to_vec();
    if !copy.is_empty() {
        copy.push(b'/');
    }
    [&copy, stem, mark.as_bytes(), extension].concat()
}

/// Whether a path has the name of such a copy.
pub fn is_conflict(path: &[u8]) -> bool {
    loser(path).is_some()
}

/// The number of the site that wrote what a copy holds, by the copy's name; nothing for a path that is none.
pub fn loser(path: &[u8]) -> Option<u16> {
    const BEGIN: &[u8] = b" (conflict ";
    let name = split(path).1;
    let at = name.windows(BEGIN.len()).rposition(|w| w == BEGIN)?;
    let end = name[at..].iter().position(|b| *b == b')')?;
    let words: Vec<&[u8]> = name[at + BEGIN.len()..at + end].split(|b| *b == b' ').collect();
    let is_number = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    let is_hash = |word: &[u8]| word.len() == 6 && word.iter().all(u8::is_ascii_hexdigit);
    match words[..] {
        [site, _, time, hash] if is_number(time) && is_hash(hash) => {
            std::str::from_utf8(site).ok().filter(|site| is_number(site.as_bytes()))?.parse().ok()
        }
        _ => None,
    }
}

/// The longest ending that counts as an extension.
const EXTENSION: usize = 16;

fn extension(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|b| *b == b'.') {
        Some(at) if at > 0 && name.len() - at <= EXTENSION => name.split_at(at),
        _ => (name, &[]),
    }
}

/// At most so many bytes; a character of UTF-8 is not cut.
fn shortened(stem: &[u8], most: usize) -> &[u8] {
    if stem.len() <= most {
        return stem;
    }
    let is_inside = |at: &usize| stem[*at] & 0xc0 == 0x80;
    let end = (most.saturating_sub(3)..=most).rev().find(|at| !is_inside(at)).unwrap_or(most);
    &stem[..end]
}

fn date(millis: u64) -> String {
    let time = i64::try_from(millis).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.unwrap_or_default().strftime("%Y-%m-%d %H%M%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_refused() {
        for bad in [
            &b""[..],
            b"/",
            b"/etc/passwd",
            b"..",
            b"a/../b",
            b"a/..",
            b".",
            b"a/./b",
            b"a//b",
            b"a/",
            b"a\0b",
            b".server_sync",
            b".server_sync/marker",
            &[b'x'; 256],
            &vec![b'a'; LONGEST + 1],
        ] {
            assert!(fault(bad).is_some(), "{}", shown(bad));
            assert!(check(bad).is_err_and(|e| e.trouble == Trouble::Corrupt));
        }
    }

    #[test]
    fn any_bytes_are_names() {
        for good in [
            &b"a"[..],
            b"...",
            b"..a",
            b"a b\n\r\t",
            b"\xff\xfe",
            b"a/.server_sync",
            b".server_sync2",
            b"-rf",
            &[b'x'; 255],
        ] {
            assert_eq!(fault(good), None, "{}", shown(good));
        }
    }

    #[test]
    fn copies_are_called() {
        let loser = Loser { site: 2, millis: 1_795_680_902_123, content: &[0xab, 0xcd, 0xef, 1] };
        for (path, copy) in [
            (&b"report.odt"[..], &b"report (conflict 2 2026-11-26 081502 abcdef).odt"[..]),
            (b"a/b/report", b"a/b/report (conflict 2 2026-11-26 081502 abcdef)"),
            (b".profile", b".profile (conflict 2 2026-11-26 081502 abcdef)"),
            (b"x.tar.gz", b"x.tar (conflict 2 2026-11-26 081502 abcdef).gz"),
            (b"a.b/c", b"a.b/c (conflict 2 2026-11-26 081502 abcdef)"),
            (b"v1. An ending that is long", b"v1. An ending that is long (conflict 2 2026-11-26 081502 abcdef)"),
        ] {
            assert_eq!(shown(&conflict(path, &loser)), shown(copy));
            assert!(super::loser(copy) == Some(2) && !is_conflict(path), "{}", shown(copy));
        }
    }

    #[test]
    fn long_names_are_shortened() {
        let loser = Loser { site: 4095, millis: u64::MAX, content: &[1] };
        for name in [vec![b'x'; 255], "é".repeat(127).into_bytes(), [vec![b'x'; 251], b".odt".to_vec()].concat()] {
            let copy = conflict(&name, &loser);
            assert!(copy.len() <= NAME_MAX);
            assert_eq!(fault(&copy), None);
            assert_eq!(std::str::from_utf8(&copy).is_ok(), std::str::from_utf8(&name).is_ok());
            assert_eq!(copy.ends_with(b".odt"), name.ends_with(b".odt"));
        }
    }

    #[test]
    fn paths_are_taken_apart() {
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(ancestors(b"a/b/c").collect::<Vec<_>>(), [&b"a"[..], b"a/b"]);
        let (from, to) = below(b"a");
        assert!(b"a/".to_vec() >= from && b"a/\xff\xff".to_vec() < to && b"a!".to_vec() < from && b"a0".to_vec() >= to);
    }
}
