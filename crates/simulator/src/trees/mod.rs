//! The second world: sites with directories instead of databases. Applications work on real files, and the very scan,
//! merge, transfer and realising that ship run between them, while sites die, disks fail, files change at the worst moment,
//! directories vanish and backups come back.
//!
//! One seed is one history. Clocks that stamp are simulated; what the system says of files (inodes, times of change) is real,
//! and nothing that happens follows from it.

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
