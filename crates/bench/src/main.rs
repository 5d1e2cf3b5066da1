//! Benches on real servers, side by side with their peers; development only.
#![allow(clippy::unwrap_used)]

mod catchup;
mod site;

fn main() {
    catchup::run();
}
