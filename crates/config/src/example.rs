//! A complete commented file of settings, to begin from.
//!
//! It loads as it is (once its password files exist), and shows every setting, the less usual ones as
//! comments. It is never written anywhere by itself.

use crate::Name;

const TEMPLATE: &str = include_str!("example/example.toml");

/// The example for a virtual desktop.
pub fn example(vd: &Name) -> String {
    TEMPLATE.replace("VD", vd.as_str())
}

#[cfg(test)]
mod tests;
