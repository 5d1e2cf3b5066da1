//! The settings of a virtual desktop: one TOML file each, `<directory>/<vd>.toml`.
//!
//! This crate never reads environment variables or arguments, never connects to anything and never prints.

mod duration;
mod name;
mod pattern;
mod version;

pub use duration::{DurationError, Period, duration_text, parse_duration};
pub use name::{Name, NameError};
pub use pattern::Pattern;
pub use version::{Version, VersionError};
