//! MySQL and MariaDB.

mod driver;
mod errors;

pub use driver::{Address, Driver, Tls};
