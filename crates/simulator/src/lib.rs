//! Many sites in one process: seeded histories of writes, rounds and faults on SQLite databases, run by the very drain,
//! merge, apply and round that ship, and judged by an oracle. Development only.
//!
//! One seed is one history, and gives the same each time. What is simulated is time and trouble: clocks
//! ([`clock`]), the connection of a store ([`tap`]), the line between two ([`courier`]).

pub mod application;
pub mod bugs;
pub mod clock;
pub mod clones;
pub mod courier;
pub mod failure;
pub mod invariants;
pub mod oracle;
#[expect(missing_docs, reason = "the fields of a step are told with the step")]
pub mod scenario;
pub mod schema;
pub mod shrink;
pub mod site;
pub mod statements;
pub mod tap;
#[expect(missing_docs, reason = "the fields of steps and actions are told with them")]
pub mod trees;
pub mod words;
pub mod world;

pub use bugs::Bug;
pub use failure::Failure;
pub use scenario::{Scenario, Wishes};
pub use shrink::shrink;
pub use world::{Counts, run};
