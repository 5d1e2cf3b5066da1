//! People whom every site knows under another number, and some whom none knows by name.

use sync_tree::{Book, Kind};

/// Between the numbers of two sites.
const APART: u32 = 100_000;

/// Numbers below this one have no name anywhere.
const NAMELESS: u32 = 100;

/// The accounts of a site.
#[derive(Clone, Copy, Debug)]
pub struct Accounts {
    /// Which.
    pub place: usize,
}

impl Accounts {
    fn first(self) -> u32 {
        APART.saturating_mul(u32::try_from(self.place).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// The number that a person has here.
    pub fn number_of(self, person: u32) -> u32 {
        if person < NAMELESS { person } else { self.first() + person }
    }

    /// Who a number is here; one of another site is itself.
    pub fn person_of(self, number: u32) -> u32 {
        number.checked_sub(self.first()).filter(|person| *person < APART).unwrap_or(number)
    }
}

impl Book for Accounts {
    fn name(&self, _: Kind, number: u32) -> Result<Option<String>, String> {
        let person = self.person_of(number);
        Ok((person != number).then(|| format!("p{person}")))
    }

    fn number(&self, _: Kind, name: &str) -> Result<Option<u32>, String> {
        let person = name.strip_prefix('p').and_then(|person| person.parse().ok());
        Ok(person.map(|person| self.number_of(person)))
    }
}
