//! Walks the sections of a TOML document, knows where everything stands, and collects what is wrong.
//!
//! Serde would be shorter but stops at the first problem; a person wants all of them at once. Reading goes
//! on after a problem: what could not be read is `None`, and whoever gets a `None` from here knows that the
//! problem has been noted. Nothing here knows what a setting means.

use crate::convert::{Converted, kind};
use crate::{Problem, schema};
use std::cell::RefCell;
use std::ops::Range;
use toml_edit::{Item, TableLike, Value};

/// The text of a file and all that was found to be wrong with it.
pub(crate) struct Findings<'a> {
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, problems: RefCell::default() }
    }

    /// Notes a problem with `setting` at a byte offset of the text.
    pub(crate) fn add(&self, offset: usize, setting: impl Into<String>, message: impl Into<String>) {
        self.push(offset, setting.into(), message.into(), false);
    }

    fn push(&self, offset: usize, setting: String, message: String, exposes_secret: bool) {
        let (line, column) = position(self.text, offset);
        self.problems.borrow_mut().push(Problem { line, column, setting, message, exposes_secret });
    }

    /// Everything noted, in the order of the file.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems
    }
}

/// Line and column (in characters) of a byte offset, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

/// One section of the file: the top, `[name]`, one of `[[name]]`, or `name = { … }`.
pub(crate) struct Section<'a> {
    table: &'a dyn TableLike,
    /// As people write it: `master[0].database`; empty for the top.
    path: String,
    /// As in [`schema::SETTINGS`]: `master[].database`.
    general: String,
    /// Where the section begins, for what is missing in it.
    start: usize,
    findings: &'a Findings<'a>,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub(crate) fn top(table: &'a dyn TableLike, findings: &'a Findings<'a>) -> Self {
        Self { table, path: String::new(), general: String::new(), start: 0, findings }.checked()
    }

    /// Notes every name that the schema does not know here.
    fn checked(self) -> Self {
        let unknown = |name: &&str| !schema::names_in(&self.general).any(|known| known == *name);
        for name in self.table.iter().map(|(name, _)| name).filter(unknown) {
            let message = format!("is not a known setting{}", schema::hint(&self.general, name));
            self.refuse(name, message);
        }
        self
    }

    /// The path of a setting in this section, as people write it; a quoted name in TOML may hold anything.
    fn path_of(&self, name: &str) -> String {
        join(&self.path, &name.escape_debug().to_string())
    }

    /// Where a name stands, or where the section begins if it is not there.
    fn offset_of(&self, name: &str) -> usize {
        let key = self.table.key(name).and_then(|key| key.span());
        key.map_or(self.start, |span| span.start)
    }

    /// Notes a problem at a name that is in the section, or at the section if it is not.
    pub(crate) fn refuse(&self, name: &str, message: impl Into<String>) {
        self.findings.add(self.offset_of(name), self.path_of(name), message);
    }

    /// Like [`Section::refuse`], for a password that others can read.
    pub(crate) fn expose(&self, name: &str, message: impl Into<String>) {
        self.findings.push(self.offset_of(name), self.path_of(name), message.into(), true);
    }

    /// Whether the name is there, good or bad.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// The value of a setting; `None` if it is absent, or bad and noted.
    pub(crate) fn get<T>(&self, name: &str, convert: impl Fn(&Value) -> Converted<T>) -> Option<T> {
        let value = match self.table.get(name)? {
            Item::Value(value) => value,
            _ => return self.none(name, "must be a value, not a section"),
        };
        match convert(value) {
            Ok(converted) => Some(converted),
            Err(message) => {
                let offset = value.span().map_or_else(|| self.offset_of(name), |span| span.start);
                self.findings.add(offset, self.path_of(name), message);
                None
            }
        }
    }

    /// The value of a setting that must be there; `None` has been noted.
    pub(crate) fn need<T>(&self, name: &str, convert: impl Fn(&Value) -> Converted<T>) -> Option<T> {
        if !self.has(name) {
            let setting = schema::find(&join(&self.general, name));
            let help = setting.map(|setting| format!(": {}", setting.help)).unwrap_or_default();
            return self.none(name, format!("is missing{help}"));
        }
        self.get(name, convert)
    }

    /// The value of a setting, or its default if it is absent; `None` has been noted.
    pub(crate) fn or<T>(&self, name: &str, convert: impl Fn(&Value) -> Converted<T>, default: T) -> Option<T> {
        if self.has(name) { self.get(name, convert) } else { Some(default) }
    }

    fn none<T>(&self, name: &str, message: impl Into<String>) -> Option<T> {
        self.refuse(name, message);
        None
    }

    /// A section in this one; `None` if it is absent, or not a section and noted.
    pub(crate) fn section(&self, name: &str) -> Option<Section<'a>> {
        let item = self.table.get(name)?;
        match item.as_table_like() {
            Some(table) => Some(self.child(table, name, "", item.span())),
            None => self.none(name, format!("must be a section [{}], not {}", self.path_of(name), item_kind(item))),
        }
    }

    /// Each of a list of sections, `[[name]]`; empty if there is none, or it is not one and noted.
    pub(crate) fn sections(&self, name: &str) -> Vec<Section<'a>> {
        let child = |(i, (table, span))| self.child(table, name, &format!("[{i}]"), span);
        match self.table.get(name).map(tables) {
            Some(Some(tables)) => tables.into_iter().enumerate().map(child).collect(),
            Some(None) => {
                let header = format!("[[{}]]", self.path_of(name));
                self.refuse(name, format!("must be a list of sections; write {header} with two brackets"));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn child(&self, table: &'a dyn TableLike, name: &str, index: &str, span: Option<Range<usize>>) -> Section<'a> {
        let general = join(&self.general, name) + if index.is_empty() { "" } else { "[]" };
        let start = span.map_or_else(|| self.offset_of(name), |span| span.start);
        Section { table, path: self.path_of(name) + index, general, start, findings: self.findings }.checked()
    }
}

/// A section as the parser gives it, and where it stands.
type Spanned<'a> = (&'a dyn TableLike, Option<Range<usize>>);

/// A list of sections in either of its spellings.
fn tables(item: &Item) -> Option<Vec<Spanned<'_>>> {
    match item {
        Item::ArrayOfTables(tables) => Some(tables.iter().map(|t| (t as &dyn TableLike, t.span())).collect()),
        Item::Value(Value::Array(array)) => array.iter().map(inline).collect(),
        _ => None,
    }
}

fn inline(value: &Value) -> Option<Spanned<'_>> {
    value.as_inline_table().map(|table| (table as &dyn TableLike, table.span()))
}

fn item_kind(item: &Item) -> &'static str {
    match item {
        Item::Value(value) => kind(value),
        _ => "a list of sections",
    }
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    }
}
