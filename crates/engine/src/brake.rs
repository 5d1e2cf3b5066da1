//! The brake on mass deletion: a round that would empty a table stops before anything is touched, and a person
//! decides. A pure judgement of an outline.

use sync_store::Outline;

use crate::error::{EngineError, Kind, Result};

/// How much one round may delete.
#[derive(Clone, Copy, Debug)]
pub struct Brake {
    /// The share of a table's rows, 0 to 1.
    pub share: f64,
    /// The number of a table's rows.
    pub rows: u64,
    /// Below this many rows nobody is asked, whatever the share.
    pub always: u64,
    /// Whether the rows stand for the files of a folder.
    pub files: bool,
}

impl Default for Brake {
    fn default() -> Self {
        Brake { share: 0.2, rows: 10_000, always: 100, files: false }
    }
}

/// Halts if a stream would delete more of any table than the brake lets through.
pub fn check(outline: &Outline, brake: &Brake, from: &str) -> Result<()> {
    let excessive: Vec<String> = outline
        .tables
        .iter()
        .filter(|(_, t)| is_excessive(t.graves, t.rows.saturating_add(t.graves), brake))
        .map(|(name, t)| format!("{} of {}", t.graves, brake.named(name, t.rows.saturating_add(t.graves))))
        .collect();
    if excessive.is_empty() {
        return Ok(());
    }
    Err(EngineError::new(
        Kind::Halt,
        format!("{from} deleted {}: that is more than a round may delete", excessive.join(", ")),
    )
    .hint(format!("if it was meant, run once with -force; if not, restore them there first ({})", brake.settings())))
}

impl Brake {
    /// So many rows of a table, for people.
    pub fn named(&self, table: &str, rows: u64) -> String {
        if self.files { format!("{rows} files and directories") } else { format!("{rows} rows of {table}") }
    }

    /// Where it is set.
    pub fn settings(&self) -> &'static str {
        match self.files {
            true => "max_deleted_share and max_deleted_files in [[documents]]",
            false => "limits: max_deleted_share, max_deleted_rows",
        }
    }
}

/// Whether so many of a table's rows are more than may go without somebody's being asked.
pub fn is_excessive(gone: u64, before: u64, brake: &Brake) -> bool {
    gone > brake.always && (gone > brake.rows || gone as f64 / before.max(1) as f64 > brake.share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_store::TableOutline;

    fn outline(graves: u64, rows: u64) -> Outline {
        let mut outline = Outline::default();
        outline.tables.insert("deals".into(), TableOutline { live: 0, graves, rows });
        outline
    }

    #[test]
    fn only_much_and_a_large_share_halts() {
        let brake = Brake { share: 0.2, rows: 1000, ..Brake::default() };
        for (graves, rows, halts) in [
            (0, 0, false),
            (100, 0, false),
            (101, 0, true),
            (150, 1000, false),
            (300, 1000, true),
            (1001, 1_000_000, true),
        ] {
            assert_eq!(check(&outline(graves, rows), &brake, "lyon").is_err(), halts, "{graves} of {rows}");
        }
    }
}
