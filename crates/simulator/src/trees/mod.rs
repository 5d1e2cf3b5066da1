//! The second world: sites with directories instead of databases. Applications work on real files, and the very scan,
//! merge, transfer and realising that ship run between them, while sites die, disks fail, files change at the worst moment,
//! directories vanish and backups come back.
//!
//! One seed is one history, but not always told alike. Clocks that stamp are simulated, and stores measure passing time by one that
//! stands still; what the system says of files (inodes, times of change) is real, and so are the threads of a transfer, which
//! nothing here stands between: a few seeds in a hundred tell other counts of rows, or meet a fault elsewhere, on a machine
//! that is slow at that moment. What must hold holds either way. One that fails may have to be run more than once.

pub mod accounts;
pub mod action;
pub mod desktop;
pub mod fault;
pub mod scenario;
pub mod shrink;
pub mod site;
pub mod world;

pub use scenario::Scenario;
pub use shrink::shrink;
pub use world::{Counts, run};

/// The mistakes that are planted.
pub use sync_tree::Slip;

/// A mistake by its name on the command line.
pub fn slip(name: &str) -> Option<Slip> {
    Some(match name {
        "no-second-look" => Slip::NoSecondLook,
        "blind-is-gone" => Slip::BlindIsGone,
        "index-first" => Slip::IndexFirst,
        "no-copy" => Slip::NoCopy,
        _ => return None,
    })
}
