//! The application's tables. Two are always there; those with constraints only where a scenario asks for them.

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text that was never written before, so that it can be told where it came from. Sometimes NULL.
    Fresh,
    /// A small number that several sites write alike.
    Flag,
    /// A text out of few.
    Name,
    /// The same with letters of either case, or NULL.
    Mail,
    /// The key of a row of this table.
    Parent(usize),
    /// The same, or NULL.
    MaybeParent(usize),
    /// The lower of two numbers.
    Low,
    /// The higher of them.
    High,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its definition, without the name.
    pub definition: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// How rows are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `id INTEGER PRIMARY KEY`.
    Id,
    /// `PRIMARY KEY (code, num)`.
    CodeAndNumber,
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its key.
    pub key: Key,
    /// Its columns beside the key.
    pub columns: &'static [Column],
    /// Columns that an upgrade of the application adds, one after the other.
    pub later: &'static [Column],
    /// Its constraints.
    pub constraints: &'static str,
}

const fn column(name: &'static str, definition: &'static str, kind: Kind) -> Column {
    Column { name, definition, kind }
}

const MEMO: Column = column("memo", "TEXT", Kind::Fresh);

/// The tables that are always there.
pub const PLAIN: usize = 2;

/// All tables; parents before children.
pub const TABLES: [Table; 6] = [
    Table {
        name: "item",
        key: Key::Id,
        columns: &[
            column("a", "TEXT", Kind::Fresh),
            column("b", "TEXT", Kind::Fresh),
            column("c", "TEXT", Kind::Fresh),
            column("flag", "INTEGER", Kind::Flag),
        ],
        later: &[column("x", "TEXT", Kind::Fresh), column("y", "TEXT NOT NULL DEFAULT 'none'", Kind::Fresh)],
        constraints: "",
    },
    Table {
        name: "note",
        key: Key::CodeAndNumber,
        columns: &[column("body", "TEXT", Kind::Fresh)],
        later: &[],
        constraints: "",
    },
    Table {
        name: "owner",
        key: Key::Id,
        columns: &[
            column("name", "TEXT NOT NULL", Kind::Name),
            column("mail", "TEXT COLLATE NOCASE", Kind::Mail),
            MEMO,
        ],
        later: &[],
        constraints: ", UNIQUE (name), UNIQUE (mail)",
    },
    Table {
        name: "contact",
        key: Key::Id,
        columns: &[
            column("owner", "INTEGER NOT NULL REFERENCES owner ON DELETE CASCADE", Kind::Parent(2)),
            column("slot", "INTEGER", Kind::Flag),
            MEMO,
        ],
        later: &[],
        constraints: ", UNIQUE (owner, slot)",
    },
    Table {
        name: "task",
        key: Key::Id,
        columns: &[
            column("owner", "INTEGER REFERENCES owner ON DELETE SET NULL", Kind::MaybeParent(2)),
            column("above", "INTEGER REFERENCES task", Kind::MaybeParent(4)),
            MEMO,
        ],
        later: &[],
        constraints: "",
    },
    Table {
        name: "payment",
        key: Key::Id,
        columns: &[
            column("contact", "INTEGER NOT NULL REFERENCES contact ON DELETE RESTRICT", Kind::Parent(3)),
            column("low", "INTEGER", Kind::Low),
            column("high", "INTEGER", Kind::High),
            MEMO,
        ],
        later: &[],
        constraints: ", CHECK (low <= high)",
    },
];

/// A table beside the others, whose rows are there from the beginning and only ever added to.
pub const TALLY: &str = "CREATE TABLE tally (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); \
     INSERT INTO tally VALUES (1, 1000), (2, 1000)";
/// Its counter.
pub const COUNTER: &str = "tally: n";

/// The tables of a scenario.
pub fn tables(constraints: bool) -> &'static [Table] {
    if constraints { &TABLES } else { &TABLES[..PLAIN] }
}

impl Table {
    /// The statement that creates it.
    pub fn create(&self) -> String {
        let (key, end) = match self.key {
            Key::Id => ("id INTEGER PRIMARY KEY", ""),
            Key::CodeAndNumber => ("code TEXT NOT NULL, num INTEGER NOT NULL", ", PRIMARY KEY (code, num)"),
        };
        let columns: Vec<String> = self.columns.iter().map(|c| format!(", {} {}", c.name, c.definition)).collect();
        format!("CREATE TABLE {} ({key}{}{end}{})", self.name, columns.concat(), self.constraints)
    }

    /// The statement that adds its `n`-th later column.
    pub fn add(&self, n: usize) -> Option<String> {
        let column = self.later.get(n)?;
        Some(format!("ALTER TABLE {} ADD COLUMN {} {}", self.name, column.name, column.definition))
    }

    /// Its columns beside the key, once `later` of the later ones are there.
    pub fn columns(&self, later: usize) -> impl Iterator<Item = &'static Column> + use<> {
        self.columns.iter().chain(self.later.iter().take(later))
    }

    /// The names of the key's columns.
    pub fn key_names(&self) -> &'static [&'static str] {
        match self.key {
            Key::Id => &["id"],
            Key::CodeAndNumber => &["code", "num"],
        }
    }

    /// The key with this number, as SQL literals.
    pub fn key_literals(&self, number: u32) -> Vec<String> {
        match self.key {
            Key::Id => vec![number.to_string()],
            Key::CodeAndNumber => vec![format!("'{}'", ["a", "A", "é"][number as usize % 3]), (number / 3).to_string()],
        }
    }
}

/// The unique keys of a table with constraints, beside its primary key.
pub fn uniques(table: &str) -> &'static [&'static [&'static str]] {
    match table {
        "owner" => &[&["name"], &["mail"]],
        "contact" => &[&["owner", "slot"]],
        _ => &[],
    }
}
