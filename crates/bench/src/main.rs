//! Benches on real servers, side by side with their peers; development only.
#![allow(clippy::unwrap_used)]

mod catchup;
mod site;
mod timed;

fn main() {
    catchup::run();
}
