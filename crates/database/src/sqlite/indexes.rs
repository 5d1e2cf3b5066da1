//! The unique indexes of a table in full: collations, expressions, conditions. Reading only.

use std::collections::BTreeSet;

use sync_core::Value;
use sync_store::Result;

use super::tokens::{self, Class, Token};
use crate::sql::{Fields, Sql};

/// What makes a row unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unique {
    /// Whether it is the primary key's. That of an INTEGER PRIMARY KEY has no index and is not among them.
    pub primary: bool,
    /// What is indexed.
    pub terms: Vec<Term>,
    /// The WHERE of a partial index.
    pub condition: Option<String>,
}

impl Unique {
    /// Whether it holds for all rows and names columns only.
    pub fn is_plain(&self) -> bool {
        self.condition.is_none() && self.terms.iter().all(|t| t.column.is_some())
    }

    /// The columns that are indexed as they are.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|t| t.column.as_deref())
    }

    /// All columns on which it depends, those in expressions and in the condition too.
    pub fn mentions<'a>(&self, columns: &[&'a str]) -> BTreeSet<&'a str> {
        let texts = self.terms.iter().map(|t| &t.text).chain(&self.condition);
        texts.flat_map(|text| mentioned(text, columns)).map(|(_, column)| column).collect()
    }
}

/// An expression over columns as one over the columns of a row: `lower(a)` becomes `lower(r."a")`.
pub(super) fn qualified(text: &str, columns: &[&str], row: &str) -> String {
    let (mut result, mut at) = (String::new(), 0);
    for (token, column) in mentioned(text, columns) {
        result += &text[at..token.start];
        result += &format!("{row}.{}", super::quote(column));
        at = token.end();
    }
    result + &text[at..]
}

/// The tokens that stand for columns. A name before `(` is a function, one after COLLATE or AS (in CAST) is not a
/// column either.
fn mentioned<'t, 'a>(text: &'t str, columns: &[&'a str]) -> Vec<(Token<'t>, &'a str)> {
    let all = tokens::tokens(text);
    let column = |(i, token): (usize, &Token<'t>)| {
        let is_name = matches!(token.class, Class::Word | Class::Quoted);
        let is_called = all.get(i + 1).is_some_and(|t| t.is("("));
        let is_other = i > 0 && (all[i - 1].is("COLLATE") || all[i - 1].is("AS"));
        let name = token.name();
        let found = columns.iter().find(|c| c.eq_ignore_ascii_case(&name))?;
        (is_name && !is_called && !is_other).then_some((*token, *found))
    };
    all.iter().enumerate().filter_map(column).collect()
}

/// One term of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    /// The column; `None` for an expression.
    pub column: Option<String>,
    /// The column, quoted, or the expression.
    pub text: String,
    /// By which it compares.
    pub collation: String,
}

/// The unique indexes of a table, by name.
pub(super) fn uniques(sql: &mut dyn Sql, table: &str) -> Result<Vec<Unique>> {
    let query = "SELECT l.name, l.origin, s.sql FROM pragma_index_list(?, 'main') l \
         LEFT JOIN main.sqlite_schema s ON s.type='index' AND s.name=l.name WHERE l.\"unique\" ORDER BY l.name";
    let rows = sql.all(query, &[Value::text(table)])?;
    rows.into_iter().map(|row| unique(sql, row)).collect()
}

fn unique(sql: &mut dyn Sql, row: Vec<Value>) -> Result<Unique> {
    let mut fields = Fields::of(row);
    let (name, origin, create) = (fields.text()?, fields.text()?, fields.text()?);
    let (texts, condition) = parts(&create);
    let query = "SELECT name, coll FROM pragma_index_xinfo(?, 'main') WHERE key ORDER BY seqno";
    let mut terms = Vec::new();
    for (i, row) in sql.all(query, &[Value::text(name)])?.into_iter().enumerate() {
        let mut fields = Fields::of(row);
        let column = Some(fields.value()).filter(|v| !v.is_null()).map(|v| Fields::of(vec![v]).text()).transpose()?;
        let text = column.as_deref().map(super::quote).or(texts.get(i).cloned()).unwrap_or_default();
        terms.push(Term { column, text, collation: fields.text()? });
    }
    Ok(Unique { primary: origin == "pk", terms, condition })
}

/// The terms and the condition of a CREATE INDEX.
fn parts(create: &str) -> (Vec<String>, Option<String>) {
    let all = tokens::tokens(create);
    let Some((open, close)) = parentheses(&all) else { return (Vec::new(), None) };
    let terms = tokens::split(&all[open + 1..close], ",");
    let terms = terms.into_iter().map(|t| tokens::source(create, undirected(t)).to_owned()).collect();
    let condition = all.get(close + 1).filter(|t| t.is("WHERE"));
    (terms, condition.map(|_| tokens::source(create, &all[close + 2..]).to_owned()))
}

fn parentheses(all: &[Token]) -> Option<(usize, usize)> {
    let on = tokens::find(all, "ON")?;
    let open = on + all.get(on..)?.iter().position(|t| t.is("("))?;
    Some((open, tokens::closing(all, open)?))
}

fn undirected<'t, 'a>(term: &'t [Token<'a>]) -> &'t [Token<'a>] {
    match term {
        [rest @ .., last] if last.is("ASC") || last.is("DESC") => rest,
        all => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_in_expressions_are_qualified() {
        let columns = ["a", "lower", "b c", "nocase", "text"];
        let cases = [
            ("lower(A)", "lower(r.\"a\")"),
            ("lower || [b c] || 'a'", "r.\"lower\" || r.\"b c\" || 'a'"),
            ("cast(a AS text) COLLATE nocase", "cast(r.\"a\" AS text) COLLATE nocase"),
            ("1", "1"),
        ];
        for (text, expected) in cases {
            assert_eq!(qualified(text, &columns, "r"), expected);
        }
    }

    #[test]
    fn terms_and_condition_are_found() {
        let sql = "CREATE UNIQUE INDEX i ON \"t (\"(lower(a, ','), b COLLATE nocase DESC) WHERE c IS NULL -- end\n";
        let (terms, condition) = parts(sql);
        assert_eq!(terms, ["lower(a, ',')", "b COLLATE nocase"]);
        assert_eq!(condition.as_deref(), Some("c IS NULL"));
        assert_eq!(parts(""), (vec![], None));
        assert_eq!(parts("CREATE UNIQUE INDEX i ON t(a)"), (vec!["a".to_owned()], None));
    }
}
