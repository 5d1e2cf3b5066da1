//! What of the tree is left out: patterns as in `.gitignore`, for this site only. What is ignored here is neither told to
//! others nor taken from them, and neither a deletion here nor one there reaches the other side. Pure.
//!
//! What lies in an ignored directory is ignored, whatever a later pattern says of it: nobody looks into it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use sync_store::{Result, StoreError, Trouble};

use crate::name;

/// Beginnings of names that systems give to files that were deleted while somebody had them open. Always ignored.
const GHOSTS: [&[u8]; 2] = [b".nfs0", b".fuse_hidden"];

/// Lock files and temporary files of editors, office programs and desktops. Ignored if that is wanted.
pub const TEMPORARY: [&str; 14] = [
    ".~lock.*#",
    "~$*",
    ".*.sw[a-p]",
    "*~",
    "\\#*#",
    ".#*",
    "*.tmp",
    "*.part",
    "*.crdownload",
    ".goutputstream-*",
    ".DS_Store",
    "._*",
    "Thumbs.db",
    "desktop.ini",
];

/// The patterns of a tree, ready to be used.
#[derive(Debug)]
pub struct Ignore {
    /// `None` if there are none.
    matcher: Option<Gitignore>,
}

impl Ignore {
    /// Reads patterns, in the order in which they hold: the last one that fits decides.
    ///
    /// # Errors
    /// [`Trouble::Configuration`] with the pattern that is none.
    pub fn new(patterns: &[String], temporary: bool) -> Result<Self> {
        let mut builder = GitignoreBuilder::new("");
        let own = TEMPORARY.iter().copied().filter(|_| temporary);
        for pattern in own.chain(patterns.iter().map(String::as_str)) {
            builder.add_line(None, pattern).map_err(|e| refused(pattern, &e))?;
        }
        let matcher = builder.build().map_err(|e| refused(&patterns.join(" "), &e))?;
        Ok(Ignore { matcher: Some(matcher).filter(|matcher| !matcher.is_empty()) })
    }

    /// All that decides what is ignored, in words: another text means that it may decide otherwise.
    pub fn wording(patterns: &[String], temporary: bool) -> String {
        let own = if temporary { &TEMPORARY[..] } else { &[] };
        format!("{} {own:?} {patterns:?}", env!("CARGO_PKG_VERSION"))
    }

    /// Whether a path is ignored; no directory that it lies in is.
    pub fn fits(&self, path: &[u8], is_directory: bool) -> bool {
        let (_, file) = name::split(path);
        let is_ghost = !is_directory && GHOSTS.iter().any(|ghost| file.starts_with(ghost));
        let path = Path::new(OsStr::from_bytes(path));
        is_ghost || self.matcher.as_ref().is_some_and(|m| m.matched(path, is_directory).is_ignore())
    }

    /// Whether a path is ignored, by itself or with a directory that it lies in.
    pub fn covers(&self, path: &[u8], is_directory: bool) -> bool {
        let is_above = || self.matcher.is_some() && name::ancestors(path).any(|above| self.fits(above, true));
        is_above() || self.fits(path, is_directory)
    }
}

fn refused(pattern: &str, e: &ignore::Error) -> StoreError {
    StoreError::new(Trouble::Configuration, format!("the pattern {pattern} cannot be ignored: {e}"))
        .hint("patterns are written as in .gitignore")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(patterns: &[&str]) -> Ignore {
        Ignore::new(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>(), false).unwrap()
    }

    #[test]
    fn patterns_are_those_of_git() {
        let ignore = of(&["*.log", "!keep.log", "/build", "cache/", "docs/*.pdf", "**/deep/x", "# a comment", ""]);
        for (path, directory, expected) in [
            (&b"a.log"[..], false, true),
            (b"a/b.log", false, true),
            (b"a/keep.log", false, false),
            (b"build", true, true),
            (b"a/build", true, false),
            (b"build/x/y", false, true),
            (b"cache", false, false),
            (b"a/cache", true, true),
            (b"a/cache/keep.log", false, true),
            (b"docs/a.pdf", false, true),
            (b"docs/a/b.pdf", false, false),
            (b"a/b/deep/x", false, true),
            (b"\xff\xfe.log", false, true),
            (b"a\nb.log", false, true),
            (b"log", false, false),
        ] {
            assert_eq!(ignore.covers(path, directory), expected, "{}", path.escape_ascii());
        }
    }

    #[test]
    fn what_is_in_an_ignored_directory_never_returns() {
        let ignore = of(&["a/", "!a/b"]);
        assert!(ignore.covers(b"a/b", false) && ignore.covers(b"x/a/b", false));
    }

    #[test]
    fn temporary_files_are_ignored_if_that_is_wanted() {
        let files = [&b".~lock.a.odt#"[..], b"d/~$a.docx", b".a.txt.swp", b"a~", b"#a#", b".#a", b"x/.DS_Store"];
        let wanted = Ignore::new(&[], true).unwrap();
        assert!(files.iter().all(|file| wanted.covers(file, false) && !of(&[]).covers(file, false)));
        let kept = Ignore::new(&["!*.tmp".to_owned()], true).unwrap();
        assert!(!kept.covers(b"a.tmp", false) && !wanted.covers(b"a.odt", false));
        assert!(of(&[]).covers(b"a/.nfs000000000004a1", false) && of(&[]).covers(b".fuse_hidden00", false));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let refused = Ignore::new(&["{a".to_owned()], false).unwrap_err();
        assert!(refused.trouble == Trouble::Configuration && refused.message.contains("{a"), "{refused:?}");
    }
}
