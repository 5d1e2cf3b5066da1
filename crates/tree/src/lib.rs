//! The store over a directory: what is in it is in step with the directories of other sites.
//!
//! A tree is a directory and an index. The index is a database of [`sync_database`]: its table `entry` has a row for each
//! path and is drained, merged and streamed like any other. What is here is about files only: taking in what changed on
//! the disk ([`Tree::drain`](sync_store::Store::drain), `scan`), settling what merging rows cannot (`settle`), getting
//! contents (`contents`, `parts`) and making the disk like the rows (`realise`, `stage`, `place`). Nothing here talks to people,
//! reads settings or knows what a round is.

mod accounts;
mod along;
mod aside;
mod assemble;
mod attributes;
pub mod beforehand;
mod cells;
mod chunk;
mod contents;
mod disk;
mod foresight;
mod fresh;
mod groups;
mod held;
mod hostile;
mod ignore;
mod index;
mod join;
mod leftovers;
mod look;
mod moves;
mod name;
mod newcomers;
mod parts;
mod pending;
mod place;
mod realise;
mod reconcile;
mod retention;
mod root;
mod rows_first;
mod scan;
#[doc(hidden)]
pub mod seams;
mod settle;
mod source;
mod stage;
mod supply;
pub mod survey;
#[cfg(test)]
mod testing;
mod trash;
mod tree;
mod twins;
mod walk;
mod watch;
mod whole;
mod withdraw;

#[doc(hidden)]
pub use accounts::{Book, Kind};
pub use disk::{Disk, Fault, Op, Slip};
pub use ignore::TEMPORARY;
pub use name::shown;
pub use retention::Keep;
#[doc(hidden)]
pub use seams::{Asked, Hook, Seams};
pub use trash::Version;
pub use tree::{Options, Owners, Tree};
pub use watch::WatchTrouble;
