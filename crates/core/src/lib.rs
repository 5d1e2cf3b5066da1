//! The algebra of synchronisation: stamps, rows, merging, conflicts, knowledge and plans.
//!
//! Everything here is a pure function of its arguments. This crate does no I/O, reads no clock, draws no random
//! number and knows no SQL; whoever needs the time passes it in. The laws that the other crates rely on (merging is
//! commutative, associative and idempotent; a conflict is noticed exactly once) are property-tested in `tests/`.

pub mod capture;
pub mod codec;
pub mod conflict;
pub mod digest;
pub mod key;
pub mod knowledge;
pub mod merge;
pub mod number;
pub mod plan;
pub mod registry;
pub mod resolve;
pub mod row;
pub mod stamp;
mod travel;
pub mod value;

pub use conflict::{Conflict, ConflictKind};
pub use key::RowId;
pub use knowledge::{Incarnation, Knowledge, Position, Source, StoreId};
pub use merge::{Merged, Relation, merge, merge_whole};
pub use number::Number;
pub use plan::{Effect, Planned, Summary};
pub use registry::{Forgotten, Purgeable, Registry, Told};
pub use row::{Author, ColumnId, Row, RowState, Seen, Sum};
pub use stamp::{SiteId, Stamp};
pub use value::Value;
