//! The link between two sites: frames over a pair of byte streams, several conversations over one of them, the store of
//! the other side as if it were here, and the ways there (ssh, a child process). Decides nothing about rounds, reads no
//! settings.

pub mod contents;
pub mod error;
pub mod frame;
pub mod hello;
pub mod lanes;
mod message;
pub mod mux;
pub mod openings;
pub mod remote;
pub mod serve;
pub mod transport;

pub use contents::RemoteTree;
pub use error::{Fault, LinkError, Result};
pub use hello::Hello;
pub use lanes::Widening;
pub use mux::{Channel, Mux};
pub use openings::Openings;
pub use remote::RemoteStore;
