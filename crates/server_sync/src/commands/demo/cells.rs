//! What two people wrote while the link was down, cell by cell, and what became of it. The edits are statements of an
//! application; everything shown is read before and after them.

use rusqlite::params;
use serde_json::json;
use sync_core::Value;

use super::site::{Cells, Site};
use crate::failure::Result;
use crate::json;
use crate::output::{Line, Output, Style};

/// A row that somebody touches.
struct Touched {
    table: &'static str,
    id: i64,
    base: Cells,
    /// At Geneva and at Lyon before the round, and then after it.
    before: [Cells; 2],
    after: [Cells; 2],
}

/// The rows that are followed through the round.
pub struct Watched {
    contact: i64,
    deal: i64,
    contested: i64,
    activity: i64,
    rows: Vec<Touched>,
}

/// Keys of what is new, as the site numbers them.
const NEW_AT_GENEVA: i64 = 1_000_001;
const NEW_AT_LYON: i64 = 1_000_002;

impl Watched {
    /// Chooses rows among those both sites have.
    pub fn begin(site: &Site) -> Result<Self> {
        let contact = site.id("SELECT min(id) FROM contacts")?;
        let deal = site.id("SELECT min(id) FROM deals")?;
        let contested = site.id("SELECT max(id) FROM deals")?;
        let activity = site.id("SELECT max(id) FROM activities")?;
        let mut rows = Vec::new();
        for (table, id) in [
            ("contacts", contact),
            ("deals", deal),
            ("deals", contested),
            ("activities", activity),
            ("tags", NEW_AT_GENEVA),
            ("tags", NEW_AT_LYON),
        ] {
            let base = site.row(table, id)?;
            rows.push(Touched { table, id, base, before: Default::default(), after: Default::default() });
        }
        Ok(Watched { contact, deal, contested, activity, rows })
    }

    /// People at both sites work on the same customers.
    pub fn people_work(&self, geneva: &mut Site, lyon: &mut Site) -> Result<()> {
        geneva.run("UPDATE contacts SET phone = '+41 22 555 01 77' WHERE id = ?", [self.contact])?;
        lyon.run("UPDATE contacts SET job_title = 'Head of purchasing' WHERE id = ?", [self.contact])?;
        geneva.run("UPDATE deals SET probability = 90 WHERE id = ?", [self.deal])?;
        lyon.run("UPDATE deals SET expected_close = '2027-03-31' WHERE id = ?", [self.deal])?;
        geneva.run("UPDATE deals SET amount = 12500 WHERE id = ?", [self.contested])?;
        lyon.run("UPDATE deals SET amount = 11900 WHERE id = ?", [self.contested])?;
        lyon.run("DELETE FROM activities WHERE id = ?", [self.activity])?;
        let tag = "INSERT INTO tags (id, label, colour) VALUES (?, ?, ?)";
        geneva.run(tag, params![NEW_AT_GENEVA, "Geneva motor show", "red"])?;
        lyon.run(tag, params![NEW_AT_LYON, "Foire de Lyon", "blue"])
    }

    /// Reads what was written.
    pub fn before(&mut self, geneva: &Site, lyon: &Site) -> Result<()> {
        for row in &mut self.rows {
            row.before = [geneva.row(row.table, row.id)?, lyon.row(row.table, row.id)?];
        }
        Ok(())
    }

    /// Reads what came of it.
    pub fn after(&mut self, geneva: &Site, lyon: &Site) -> Result<()> {
        for row in &mut self.rows {
            row.after = [geneva.row(row.table, row.id)?, lyon.row(row.table, row.id)?];
        }
        Ok(())
    }

    /// A table: cell, what each wrote, what is there now.
    pub fn show(&self, output: &Output) {
        let lang = output.lang;
        let heads = [lang.demo_cell(), lang.demo_geneva_wrote(), lang.demo_lyon_wrote(), lang.demo_both()];
        output.say(heads.iter().zip(WIDTHS).fold(Line::new().plain("   "), |line, (h, w)| line.cell(Style::Dim, h, w)));
        self.rows.iter().flat_map(Touched::changes).for_each(|change| change.show(output));
    }
}

const WIDTHS: [usize; 4] = [28, 22, 22, 22];

impl Touched {
    /// The cells that differ from what they were; a row that came or went is one line.
    fn changes(&self) -> Vec<Change> {
        let name = format!("{} {}", self.table, self.id);
        if [&self.base, &self.before[0], &self.before[1]].iter().any(|cells| cells.is_empty()) {
            return vec![self.whole(name)];
        }
        let one = |(i, (column, base)): (usize, &(String, Value))| {
            let at = |cells: &Cells| cells.get(i).map(|(_, v)| v.clone());
            let wrote = self.before.each_ref().map(|cells| at(cells).filter(|v| v != base).map(|v| v.to_string()));
            let now = self.after.each_ref().map(|cells| at(cells).map(|v| v.to_string()));
            wrote.iter().any(Option::is_some).then(|| Change { name: format!("{name} {column}"), wrote, now })
        };
        self.base.iter().enumerate().filter_map(one).collect()
    }

    fn whole(&self, name: String) -> Change {
        // The second column is what people call the row.
        let title = |cells: &Cells| {
            cells.iter().rev().find(|(n, _)| n == "label" || n == "subject").map(|(_, v)| v.to_string())
        };
        let gone = "–".to_owned();
        let wrote = self.before.each_ref().map(|cells| match (self.base.is_empty(), cells.is_empty()) {
            (true, false) => title(cells).map(|t| format!("+ {t}")),
            (false, true) => Some(gone.clone()),
            _ => None,
        });
        let now = self.after.each_ref().map(|cells| Some(title(cells).unwrap_or_else(|| gone.clone())));
        Change { name, wrote, now }
    }
}

/// One line of the table.
struct Change {
    name: String,
    wrote: [Option<String>; 2],
    now: [Option<String>; 2],
}

impl Change {
    fn show(&self, output: &Output) {
        let [geneva, lyon] = self.wrote.each_ref().map(|w| short(w.as_deref().unwrap_or_default()));
        let [now, there] = self.now.each_ref().map(|n| n.as_deref().unwrap_or_default());
        output.object(&json!({
            "message_type": "demo_cell", "time": json::now(), "cell": self.name, "geneva_wrote": self.wrote[0],
            "lyon_wrote": self.wrote[1], "geneva_now": self.now[0], "lyon_now": self.now[1],
        }));
        let line = Line::new().plain("   ").cell(Style::Plain, &self.name, WIDTHS[0]);
        let line = line.cell(Style::Cyan, &geneva, WIDTHS[1]).cell(Style::Magenta, &lyon, WIDTHS[2]);
        let line = match now == there {
            true => line.cell(Style::Green, now, WIDTHS[3]),
            false => line.add(Style::Red, format!("{now} ≠ {there} ")),
        };
        let conflict = self.wrote.iter().all(Option::is_some) && self.wrote[0] != self.wrote[1];
        output.say(if conflict { line.add(Style::Yellow, output.lang.demo_both_wrote()) } else { line });
    }
}

fn short(text: &str) -> String {
    let width = WIDTHS[1] - 2;
    if text.chars().count() <= width { text.to_owned() } else { text.chars().take(width - 1).chain(['…']).collect() }
}
