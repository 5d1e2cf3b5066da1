//! The schema of the stories: small, and with everything that stories need. Text only.

/// Patterns of the tables that the settings leave out.
pub const EXCLUDED: [&str; 1] = ["local_*"];
/// Columns that merge as one.
pub const TOGETHER: [&str; 1] = ["price: amount, currency"];
/// Columns that merge by adding.
pub const COUNTERS: [&str; 2] = ["stock: quantity", "stock: total"];
/// Tables in which a row that loses against another one of its key gets a new key.
pub const REKEY: [&str; 1] = ["ticket"];
/// Columns that refer to the parent in a tree.
pub const TREES: [&str; 1] = ["folder: parent"];

/// The words that differ between kinds of database.
#[derive(Clone, Copy, Debug)]
pub struct Speech {
    /// Long text.
    pub text: &'static str,
    /// Long bytes.
    pub blob: &'static str,
    /// Sixteen bytes.
    pub binary: &'static str,
    /// A key that the database gives by itself.
    pub numbered: &'static str,
    /// Put after the type of a text that is compared without regard to case.
    pub no_case: &'static str,
    /// An expression for a text of so many characters, all `x`; the number is put for `{n}`.
    pub repeat: &'static str,
}

impl Speech {
    /// MySQL and MariaDB.
    pub const MYSQL: Speech = Speech {
        text: "MEDIUMTEXT",
        blob: "LONGBLOB",
        binary: "BINARY(16)",
        numbered: "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY",
        no_case: "COLLATE utf8mb4_unicode_ci",
        repeat: "REPEAT('x', {n})",
    };
    /// SQLite.
    pub const SQLITE: Speech = Speech {
        text: "TEXT",
        blob: "BLOB",
        binary: "BLOB",
        numbered: "INTEGER PRIMARY KEY",
        no_case: "COLLATE NOCASE",
        repeat: "printf('%.*c', {n}, 'x')",
    };

    /// An expression for a text of `n` characters, all `x`.
    pub fn repeat(&self, n: usize) -> String {
        self.repeat.replace("{n}", &n.to_string())
    }
}

/// The statements that make the schema, one by one.
pub fn schema(speech: &Speech) -> Vec<String> {
    let Speech { text, blob, binary, numbered, no_case, .. } = speech;
    vec![
        format!(
            "CREATE TABLE person (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(100), email VARCHAR(100) UNIQUE, age INT, note {text})"
        ),
        "CREATE TABLE membership (person BIGINT NOT NULL, team BIGINT NOT NULL, role VARCHAR(30), \
         PRIMARY KEY (person, team))"
            .to_owned(),
        format!("CREATE TABLE word (word VARCHAR(100) {no_case} NOT NULL PRIMARY KEY, meaning VARCHAR(200))"),
        format!("CREATE TABLE token (id {binary} NOT NULL PRIMARY KEY, label VARCHAR(50))"),
        "CREATE TABLE team (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(50))".to_owned(),
        "CREATE TABLE task (id BIGINT NOT NULL PRIMARY KEY, team BIGINT, title VARCHAR(100), \
         FOREIGN KEY (team) REFERENCES team (id) ON DELETE CASCADE)"
            .to_owned(),
        "CREATE TABLE badge (id BIGINT NOT NULL PRIMARY KEY, team BIGINT NOT NULL, \
         FOREIGN KEY (team) REFERENCES team (id))"
            .to_owned(),
        "CREATE TABLE desk (id BIGINT NOT NULL PRIMARY KEY, team BIGINT, place VARCHAR(50), \
         FOREIGN KEY (team) REFERENCES team (id) ON DELETE SET NULL)"
            .to_owned(),
        "CREATE TABLE seat (id BIGINT NOT NULL PRIMARY KEY, team BIGINT NOT NULL, number INT NOT NULL, \
         UNIQUE (team, number), FOREIGN KEY (team) REFERENCES team (id) ON DELETE CASCADE)"
            .to_owned(),
        "CREATE TABLE node (id BIGINT NOT NULL PRIMARY KEY, parent BIGINT, \
         FOREIGN KEY (parent) REFERENCES node (id) ON DELETE CASCADE)"
            .to_owned(),
        format!("CREATE TABLE label (id BIGINT NOT NULL PRIMARY KEY, code VARCHAR(20) {no_case} NOT NULL UNIQUE)"),
        "CREATE TABLE price (id BIGINT NOT NULL PRIMARY KEY, amount INT, currency VARCHAR(3), note VARCHAR(50))"
            .to_owned(),
        "CREATE TABLE stock (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(50), quantity INT NOT NULL, \
         total BIGINT NOT NULL)"
            .to_owned(),
        format!(
            "CREATE TABLE ticket (id {numbered}, title VARCHAR(50), above BIGINT, FOREIGN KEY (above) REFERENCES ticket (id))"
        ),
        "CREATE TABLE reply (id VARCHAR(20) NOT NULL PRIMARY KEY, ticket BIGINT NOT NULL, \
         FOREIGN KEY (ticket) REFERENCES ticket (id))"
            .to_owned(),
        "CREATE TABLE folder (id BIGINT NOT NULL PRIMARY KEY, parent BIGINT, name VARCHAR(50), \
         FOREIGN KEY (parent) REFERENCES folder (id))"
            .to_owned(),
        "CREATE TABLE span (id BIGINT NOT NULL PRIMARY KEY, low INT, high INT, CHECK (low <= high))".to_owned(),
        format!("CREATE TABLE doc (id BIGINT NOT NULL PRIMARY KEY, body {blob}, words {text})"),
        "CREATE TABLE invoice (id BIGINT NOT NULL PRIMARY KEY, total INT)".to_owned(),
        "CREATE TABLE audit (invoice BIGINT NOT NULL, place VARCHAR(30) NOT NULL, PRIMARY KEY (invoice, place))"
            .to_owned(),
        "CREATE TABLE local_place (name VARCHAR(30) NOT NULL PRIMARY KEY)".to_owned(),
        "CREATE TRIGGER invoice_inserted AFTER INSERT ON invoice FOR EACH ROW BEGIN \
         INSERT INTO audit (invoice, place) SELECT NEW.id, name FROM local_place; END"
            .to_owned(),
    ]
}
