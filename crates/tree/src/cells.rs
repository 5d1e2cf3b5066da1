//! What is synchronised of a file, a directory or a link: its cells, and how they are written in a row. Pure.
//!
//! Kind, hash, size and time are one cell: they belong together, and a conflict about them carries the whole losing
//! content. A directory has no time of its own; that of a link is left to the system.
//!
//! Paths that are one file (hard links) are *twins*: their rows have the same twin, and are rows of their own otherwise.

use sync_core::Value;
use sync_store::{Hash, Result, StoreError, Trouble};

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Of its bytes.
        hash: Hash,
        /// How many.
        size: u64,
        /// When it was modified, in nanoseconds since the Unix epoch.
        mtime: i64,
    },
    /// A symbolic link.
    Link(Vec<u8>),
}

/// The letters by which rows tell kinds apart.
pub const DIRECTORY: u8 = b'd';
/// A file's.
pub const FILE: u8 = b'f';
/// A link's.
pub const LINK: u8 = b'l';

const FILE_LENGTH: usize = 1 + 32 + 8 + 8;

impl Content {
    /// As it is stored.
    pub fn pack(&self) -> Vec<u8> {
        match self {
            Content::Directory => vec![DIRECTORY],
            Content::Link(target) => [&[LINK], target.as_slice()].concat(),
            Content::File { hash, size, mtime } => {
                [&[FILE][..], &hash.0, &size.to_be_bytes(), &mtime.to_be_bytes()].concat()
            }
        }
    }

    /// The reverse of [`Content::pack`]; refuses what no site writes.
    pub fn unpack(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((&DIRECTORY, [])) => Ok(Content::Directory),
            Some((&LINK, target)) if is_target(target) => Ok(Content::Link(target.to_vec())),
            Some((&FILE, rest)) if bytes.len() == FILE_LENGTH => Ok(file(rest)),
            _ => Err(corrupt("a content that is not one")),
        }
    }

    /// Whether a person would call it the same: whatever the time.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Content::File { hash: a, .. }, Content::File { hash: b, .. }) => a == b,
            _ => self == other,
        }
    }

    /// Of what kind it is.
    pub fn kind(&self) -> u8 {
        match self {
            Content::Directory => DIRECTORY,
            Content::File { .. } => FILE,
            Content::Link(_) => LINK,
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        *self == Content::Directory
    }

    /// A hash of what it is, for naming a copy.
    pub fn digest(&self) -> Vec<u8> {
        match self {
            Content::File { hash, .. } => hash.0.to_vec(),
            Content::Link(target) => blake3::hash(target).as_bytes().to_vec(),
            Content::Directory => Vec::new(),
        }
    }
}

/// The size of a file by its packed content; 0 if it is none.
pub fn size(packed: &[u8]) -> u64 {
    match packed.first() {
        Some(&FILE) => packed.get(33..41).map_or(0, |bytes| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))),
        _ => 0,
    }
}

fn file(rest: &[u8]) -> Content {
    let number = |at: usize| rest[at..at + 8].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    let mut hash = [0; 32];
    hash.copy_from_slice(&rest[..32]);
    Content::File { hash: Hash(hash), size: number(32), mtime: number(40).cast_signed() }
}

/// No system makes or follows any other.
fn is_target(target: &[u8]) -> bool {
    !target.is_empty() && target.len() < 4096 && !target.contains(&0)
}

/// An owner or a group: a name means the same people at all sites, a number only where it comes from.
///
/// In a row a number is an integer and a name bytes, so that one is never taken for the other: a name may be all digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

impl Account {
    /// No number, and nobody's: the system leaves an owner as it is for this.
    pub const NOBODY: Account = Account::Number(u32::MAX);

    /// As a row has it; refuses what no site writes.
    pub fn of(value: &Value) -> Result<Self> {
        let account = match value {
            Value::Int(number) => u32::try_from(*number).ok().filter(|n| *n != u32::MAX).map(Account::Number),
            Value::Bytes(name) => str::from_utf8(name).ok().filter(|n| is_name(n)).map(|n| Account::Name(n.to_owned())),
            _ => None,
        };
        account.ok_or_else(|| corrupt("an owner that is not one"))
    }
}

/// How long the name of an account may be.
const NAME: usize = 255;

/// Whether an account may have this name: nothing that a list of accounts, a terminal or a system call could misread.
pub fn is_name(name: &str) -> bool {
    let is_good = |c: char| !c.is_control() && !matches!(c, ':' | '/' | ',' | char::REPLACEMENT_CHARACTER);
    (1..=NAME).contains(&name.len()) && name.chars().all(is_good)
}

/// All cells of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cells {
    /// What it is.
    pub content: Content,
    /// Its permissions; 0 for a link, which has none.
    pub mode: u32,
    /// Its owner.
    pub owner: Account,
    /// Its group.
    pub group: Account,
    /// Its extended attributes, packed by [`pack_attributes`].
    pub attributes: Vec<u8>,
    /// What it has in common with the other paths that are the same file; empty if there are none.
    pub twin: Vec<u8>,
}

impl Cells {
    /// The same, as a file of its own.
    pub fn alone(self) -> Self {
        Cells { twin: Vec::new(), ..self }
    }

    /// Whether it differs in nothing but what it is a twin of.
    pub fn is_like(&self, other: &Self) -> bool {
        let Cells { content, mode, owner, group, attributes, .. } = self;
        (content, mode, owner, group, attributes)
            == (&other.content, &other.mode, &other.owner, &other.group, &other.attributes)
    }

    /// Whether it is to be one file with others.
    pub fn has_twins(&self) -> bool {
        !self.twin.is_empty() && matches!(self.content, Content::File { .. })
    }
}

/// How long a twin is.
pub const TWIN: usize = 16;

/// Refuses a twin of a peer that no site writes.
pub fn check_twin(twin: &[u8]) -> Result<()> {
    if matches!(twin.len(), 0 | TWIN) { Ok(()) } else { Err(corrupt("a twin that is not one")) }
}

/// The permissions that are synchronised.
pub const MODE: u32 = 0o7777;

/// Extended attributes by name, sorted, as one cell. Access lists are such attributes.
pub fn pack_attributes(attributes: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (name, value) in attributes {
        for part in [name, value] {
            packed.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            packed.extend(part);
        }
    }
    packed
}

/// The reverse of [`pack_attributes`]; refuses what no site writes.
pub fn unpack_attributes(mut bytes: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut attributes: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    while !bytes.is_empty() {
        let name = part(&mut bytes)?;
        let value = part(&mut bytes)?;
        if !is_carried(&name) || attributes.last().is_some_and(|(last, _)| *last >= name) {
            return Err(corrupt("an extended attribute that is not carried"));
        }
        attributes.push((name, value));
    }
    Ok(attributes)
}

fn part(bytes: &mut &[u8]) -> Result<Vec<u8>> {
    let cut = |bytes: &mut &[u8], n: usize| -> Option<Vec<u8>> {
        let (head, rest) = bytes.split_at_checked(n)?;
        *bytes = rest;
        Some(head.to_vec())
    };
    let length = cut(bytes, 4).map(|l| l.iter().fold(0_usize, |n, b| n << 8 | usize::from(*b)));
    length.and_then(|n| cut(bytes, n)).ok_or_else(|| corrupt("extended attributes that end too early"))
}

/// Whether an attribute is synchronised: those of users, and access lists. What the system keeps there for itself
/// (`security.*`, `trusted.*`) is each machine's own.
pub fn is_carried(name: &[u8]) -> bool {
    let is_user = name.starts_with(b"user.") && name.len() > 5;
    (is_user || name == b"system.posix_acl_access" || name == b"system.posix_acl_default")
        && name.len() <= 255
        && !name.contains(&0)
}

/// Refuses cells of a peer that no site writes.
pub fn check_mode(mode: i64) -> Result<()> {
    if (0..=i64::from(MODE)).contains(&mode) { Ok(()) } else { Err(corrupt("a mode that is not one")) }
}

fn corrupt(what: &str) -> StoreError {
    StoreError::new(Trouble::Corrupt, format!("a row of the tree holds {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> [Content; 4] {
        let file = |mtime| Content::File { hash: Hash([7; 32]), size: 1 << 40, mtime };
        [Content::Directory, Content::Link(b"../x".to_vec()), file(-5), file(i64::MAX)]
    }

    #[test]
    fn contents_are_stored() {
        for content in contents() {
            assert_eq!(Content::unpack(&content.pack()).ok(), Some(content));
        }
    }

    #[test]
    fn other_contents_are_refused() {
        let short = &contents()[2].pack()[..48];
        for bad in [&b""[..], b"x", b"dd", b"l", b"l\0", &[b'l'; 5000], b"f", short, &[short, &[0; 2]].concat()] {
            assert!(Content::unpack(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn accounts_are_stored() {
        let number = |n| Account::of(&Value::Int(n)).ok();
        assert_eq!((number(0), number(4_294_967_294)), (Some(Account::Number(0)), Some(Account::Number(u32::MAX - 1))));
        for name in ["a", "1000", "#7", "OFFICE\\anna", "anna@office.example", "domain users", "zoé", &"x".repeat(255)]
        {
            assert_eq!(Account::of(&Value::Bytes(name.into())).ok(), Some(Account::Name(name.to_owned())));
        }
    }

    #[test]
    fn other_accounts_are_refused() {
        let long = "x".repeat(256);
        let names = ["", "a\0b", "a\nroot", "\x1b[2J", "a:b", "../a", "a,b", "a\u{85}", "\u{fffd}", &long];
        let names = names.iter().map(|name| Value::Bytes((*name).into()));
        let others = [Value::Int(-1), Value::Int(u32::MAX.into()), Value::Int(1 << 32), Value::text("a"), Value::Null];
        for bad in names.chain(others).chain([Value::Bytes(vec![0xff])]) {
            assert!(Account::of(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_do_not_make_a_difference_to_people() {
        let [directory, link, old, new] = contents();
        assert!(old.is_same(&new) && old != new);
        assert!(!directory.is_same(&link) && !link.is_same(&old));
    }

    #[test]
    fn attributes_are_stored() {
        let all = [(b"user.a".to_vec(), b"1".to_vec()), (b"user.b".to_vec(), Vec::new())];
        assert_eq!(unpack_attributes(&pack_attributes(&all)).ok(), Some(all.to_vec()));
        assert_eq!(unpack_attributes(b"").ok(), Some(Vec::new()));
    }

    #[test]
    fn other_attributes_are_refused() {
        let one = |name: &[u8]| pack_attributes(&[(name.to_vec(), b"1".to_vec())]);
        let twice = [one(b"user.a"), one(b"user.a")].concat();
        for bad in
            [one(b"security.capability"), one(b"trusted.x"), one(b"user."), one(b"user.a\0b"), twice, vec![255; 8]]
        {
            assert!(unpack_attributes(&bad).is_err());
        }
        let whole = one(b"user.a");
        assert!((1..whole.len()).all(|n| unpack_attributes(&whole[..n]).is_err()));
    }
}
