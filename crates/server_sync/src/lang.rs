//! The two languages people are spoken to in, and which one. Never reads the environment itself.

use clap::ValueEnum;
use sync_store::ParkedKind;

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// French.
    Fr,
}

impl Lang {
    /// The language of the option, else that of the environment: the first of LC_ALL, LC_MESSAGES and LANG that is set.
    pub fn choose(option: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &&str| variable(name).filter(|v| !v.is_empty());
        let found = option.map(str::to_owned).or_else(|| ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set));
        match found {
            Some(text) if text == "fr" || text.starts_with("fr_") || text.starts_with("fr.") => Lang::Fr,
            _ => Lang::En,
        }
    }

    /// "1 row", "3 rows". Nothing is plural in English and singular in French.
    fn count(self, n: u64, one: &str, many: &str) -> String {
        let singular = n == 1 || (n == 0 && self == Lang::Fr);
        format!("{n} {}", if singular { one } else { many })
    }

    /// So many rows.
    pub fn rows(self, n: u64) -> String {
        match self {
            Lang::En => self.count(n, "row", "rows"),
            Lang::Fr => self.count(n, "ligne", "lignes"),
        }
    }

    /// Why a row is not shown as the state says, and what to do about it.
    pub fn parked(self, kind: ParkedKind, detail: &str) -> String {
        match kind {
            ParkedKind::Parent => self.parked_parent(detail),
            ParkedKind::Unique => self.parked_unique(detail),
            ParkedKind::Value => self.parked_value(detail),
            ParkedKind::Reference => self.parked_reference(detail),
            ParkedKind::Stays => self.parked_stays(),
            ParkedKind::Counter => self.parked_counter(detail),
            ParkedKind::Blocked => self.parked_blocked(detail),
            ParkedKind::Undecided => self.parked_undecided(),
        }
    }

    /// So many files.
    pub fn files(self, n: u64) -> String {
        match self {
            Lang::En => self.count(n, "file", "files"),
            Lang::Fr => self.count(n, "fichier", "fichiers"),
        }
    }

    /// So many copies of concurrent edits.
    pub fn copies(self, n: u64) -> String {
        match self {
            Lang::En => self.count(n, "copy of a concurrent edit", "copies of concurrent edits"),
            Lang::Fr => self.count(n, "copie d'une modification simultanée", "copies de modifications simultanées"),
        }
    }

    /// So many tables.
    pub fn tables(self, n: u64) -> String {
        self.count(n, "table", "tables")
    }

    /// So many conflicts.
    pub fn conflicts(self, n: u64) -> String {
        match self {
            Lang::En => self.count(n, "conflict", "conflicts"),
            Lang::Fr => self.count(n, "conflit", "conflits"),
        }
    }

    /// So many links.
    pub fn links(self, n: u64) -> String {
        match self {
            Lang::En => self.count(n, "link", "links"),
            Lang::Fr => self.count(n, "liaison", "liaisons"),
        }
    }

    /// So many errors.
    pub fn errors(self, n: u64) -> String {
        match self {
            Lang::En => self.count(n, "error", "errors"),
            Lang::Fr => self.count(n, "erreur", "erreurs"),
        }
    }

    /// So many warnings.
    pub fn warnings(self, n: u64) -> String {
        match self {
            Lang::En => self.count(n, "warning", "warnings"),
            Lang::Fr => self.count(n, "avertissement", "avertissements"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_then_the_first_variable_that_is_set() {
        let environment = |set: &'static [(&str, &str)]| {
            move |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        };
        for (option, set, expected) in [
            (None, &[("LANG", "fr_CH.UTF-8")][..], Lang::Fr),
            (None, &[("LC_ALL", "C"), ("LANG", "fr_FR.UTF-8")], Lang::En),
            (None, &[("LC_ALL", ""), ("LC_MESSAGES", "fr"), ("LANG", "en_GB.UTF-8")], Lang::Fr),
            (None, &[("LANG", "fro_XX")], Lang::En),
            (None, &[], Lang::En),
            (Some("en"), &[("LANG", "fr_FR.UTF-8")], Lang::En),
            (Some("fr"), &[], Lang::Fr),
        ] {
            assert_eq!(Lang::choose(option, environment(set)), expected, "{option:?} {set:?}");
        }
    }

    #[test]
    fn plurals() {
        assert_eq!([0, 1, 2].map(|n| Lang::En.rows(n)), ["0 rows", "1 row", "2 rows"]);
        assert_eq!([0, 1, 2].map(|n| Lang::Fr.conflicts(n)), ["0 conflit", "1 conflit", "2 conflits"]);
    }
}
