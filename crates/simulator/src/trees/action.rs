//! What an application does to files: plain data. Picks are taken relative to what is there when it is done.

/// One thing that an application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new file, or a file written over in place.
    Write { pick: u32, name: u32, large: bool },
    /// A file written beside another and renamed over it.
    Save { pick: u32, large: bool },
    /// A few bytes more.
    Append { pick: u32 },
    /// Bytes within it, the size and the time stay.
    Patch { pick: u32 },
    /// A copy under another name.
    Copy { pick: u32, name: u32 },
    /// A file or link goes.
    Delete { pick: u32 },
    /// A file or directory gets another name, in another directory perhaps.
    Rename { pick: u32, name: u32 },
    /// Two files change names.
    Swap { pick: u32, with: u32 },
    /// A name changes the case of its letters only.
    Case { pick: u32 },
    /// A directory.
    Make { pick: u32, name: u32 },
    /// A directory goes, with all that is in it.
    Clear { pick: u32 },
    /// A file becomes a directory with something in it, or a directory a file.
    Turn { pick: u32 },
    /// A symbolic link.
    Link { pick: u32, name: u32 },
    /// A file gets another name.
    Join { pick: u32, name: u32 },
    /// A name gets a file of its own, with the content that it has.
    Part { pick: u32 },
    /// Permissions.
    Chmod { pick: u32, mode: u32 },
    /// An owner, if that is allowed.
    Chown { pick: u32, owner: u32 },
    /// A time.
    Touch { pick: u32 },
    /// An extended attribute.
    Mark { pick: u32, salt: u32 },
}

impl Action {
    /// Any.
    pub fn any(rng: &mut fastrand::Rng) -> Self {
        let (pick, name) = (rng.u32(..1000), rng.u32(..1000));
        let large = rng.u32(..25) == 0;
        match rng.u32(..36) {
            0..=5 => Action::Write { pick, name, large },
            6..=8 => Action::Save { pick, large },
            9 | 10 => Action::Append { pick },
            11 => Action::Patch { pick },
            12 => Action::Copy { pick, name },
            13..=15 => Action::Delete { pick },
            16..=18 => Action::Rename { pick, name },
            19 => Action::Swap { pick, with: name },
            20 => Action::Case { pick },
            21 | 22 => Action::Make { pick, name },
            23 => Action::Clear { pick },
            24 => Action::Turn { pick },
            25 => Action::Link { pick, name },
            26 | 27 => Action::Chmod { pick, mode: name },
            28 => Action::Chown { pick, owner: name },
            29 | 30 => Action::Touch { pick },
            31..=33 => Action::Join { pick, name },
            34 => Action::Part { pick },
            _ => Action::Mark { pick, salt: name },
        }
    }
}
