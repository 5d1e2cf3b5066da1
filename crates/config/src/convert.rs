//! From a TOML value to a typed one: each function checks kind and range and says what was expected.
//!
//! A refusal begins with "must" and is read after the name of the setting. None repeats a value of the
//! wrong kind, so that a password in a wrong place is not printed.

use crate::{Name, Pattern, Period, TableColumns, Version, parse_duration};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml_edit::Value;

/// A typed value, or what the value must be.
pub(crate) type Converted<T> = Result<T, String>;

pub(crate) fn flag(value: &Value) -> Converted<bool> {
    value.as_bool().ok_or_else(|| expected("true or false", value))
}

/// Text that is not empty and has no control characters.
pub(crate) fn text(value: &Value) -> Converted<String> {
    let text = any_text(value)?;
    match text {
        "" => Err("must not be empty".to_owned()),
        _ if text.chars().any(char::is_control) => Err("must not contain control characters".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

fn any_text(value: &Value) -> Converted<&str> {
    value.as_str().ok_or_else(|| expected("text in quotes", value))
}

pub(crate) fn name(value: &Value) -> Converted<Name> {
    let text = any_text(value)?;
    text.parse().map_err(|e| format!("must be a name, not {text:?}: {e}"))
}

/// An internet name or address; what it resolves to is not looked at.
pub(crate) fn host(value: &Value) -> Converted<String> {
    let text = text(value)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    match text.chars().all(allowed) && text.len() <= 255 && !text.starts_with('-') {
        true => Ok(text),
        false => Err(format!("must be a host name or address, not {text:?}")),
    }
}

/// A mail domain, checked only as a plain name.
pub(crate) fn domain(value: &Value) -> Converted<String> {
    let text = text(value)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match text.chars().all(allowed) && text.len() <= 253 && !text.starts_with(['-', '.']) {
        true => Ok(text),
        false => Err(format!("must be a domain like example.org, not {text:?}")),
    }
}

/// An absolute path; the daemon's working directory is nobody's idea of a place.
pub(crate) fn absolute(value: &Value) -> Converted<PathBuf> {
    let path = PathBuf::from(text(value)?);
    match path.is_absolute() {
        true => Ok(path),
        false => Err(format!("must be an absolute path, not {:?}", path.display().to_string())),
    }
}

pub(crate) fn path(value: &Value) -> Converted<PathBuf> {
    text(value).map(PathBuf::from)
}

pub(crate) fn select(value: &Value) -> Converted<String> {
    let query = any_text(value)?.trim();
    let first = query.split(char::is_whitespace).next().unwrap_or_default();
    match first.eq_ignore_ascii_case("select") {
        true => Ok(query.to_owned()),
        false => Err("must be a query that begins with SELECT".to_owned()),
    }
}

pub(crate) fn version(value: &Value) -> Converted<Version> {
    let text = match value {
        Value::Float(_) | Value::Integer(_) => {
            return Err("must be text in quotes, as \"6.2\"".to_owned());
        }
        _ => any_text(value)?,
    };
    text.parse().map_err(|e| format!("must be a version: {e}"))
}

pub(crate) fn whole(range: RangeInclusive<u64>) -> impl Fn(&Value) -> Converted<u64> {
    move |value| {
        let what = format!("a whole number from {} to {}", range.start(), range.end());
        let number = value.as_integer().ok_or_else(|| expected(&what, value))?;
        let fits = u64::try_from(number).ok().filter(|n| range.contains(n));
        fits.ok_or_else(|| format!("must be {what}, not {number}"))
    }
}

pub(crate) fn share(value: &Value) -> Converted<f64> {
    let what = "a number from 0 to 1";
    let number = match value {
        Value::Integer(n) => *n.value() as f64,
        _ => value.as_float().ok_or_else(|| expected(what, value))?,
    };
    match (0.0..=1.0).contains(&number) {
        true => Ok(number),
        false => Err(format!("must be {what}, not {number}")),
    }
}

/// A length of time from `shortest` to `longest` seconds.
pub(crate) fn duration(shortest: u64, longest: u64) -> impl Fn(&Value) -> Converted<Duration> {
    move |value| {
        let duration = match (value.as_str(), value.as_integer()) {
            (Some(text), _) => parse_duration(text).map_err(|e| format!("must be a length of time: {e}"))?,
            (_, Some(seconds)) => Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)),
            _ => return Err(expected("a length of time like \"5m\"", value)),
        };
        match (shortest..=longest).contains(&duration.as_secs()) {
            true => Ok(duration),
            false => Err(out_of_range(shortest, longest)),
        }
    }
}

fn out_of_range(shortest: u64, longest: u64) -> String {
    let [shortest, longest] = [shortest, longest].map(|s| crate::duration_text(Duration::from_secs(s)));
    format!("must be from {shortest} to {longest}")
}

/// 0, or up to 30 days.
pub(crate) fn period(value: &Value) -> Converted<Period> {
    duration(0, 30 * 86_400)(value).map(Period::from)
}

/// One of a few words.
pub(crate) fn choice<T: Copy>(choices: &'static [(&'static str, T)]) -> impl Fn(&Value) -> Converted<T> {
    move |value| {
        let what = alternatives(choices.iter().map(|(word, _)| *word));
        let text = value.as_str().ok_or_else(|| expected(&what, value))?;
        let found = choices.iter().find(|(word, _)| *word == text);
        found.map(|(_, choice)| *choice).ok_or_else(|| format!("must be {what}, not {text:?}"))
    }
}

fn alternatives(words: impl Iterator<Item = &'static str>) -> String {
    let words: Vec<_> = words.map(|word| format!("\"{word}\"")).collect();
    words.join(" or ")
}

pub(crate) fn names(value: &Value) -> Converted<Vec<Name>> {
    list(value, "a list of names", name)
}

pub(crate) fn patterns(value: &Value) -> Converted<Vec<Pattern>> {
    list(value, "a list of patterns", |item| text(item).map(Pattern::new))
}

/// Columns of tables, each like `table: column, column`.
pub(crate) fn columns(value: &Value) -> Converted<Vec<TableColumns>> {
    list(value, "a list of columns", |item| {
        let text = text(item)?;
        let written = || format!("must be like \"table: column, column\", not {text:?}");
        let (table, columns) = text.split_once(':').ok_or_else(written)?;
        let columns: Vec<String> = columns.split(',').map(|c| c.trim().to_owned()).collect();
        let table = table.trim().to_owned();
        if table.is_empty() || columns.iter().any(String::is_empty) {
            return Err(written());
        }
        Ok(TableColumns { table, columns })
    })
}

/// Columns written `table.column`, each by itself.
pub(crate) fn single_columns(value: &Value) -> Converted<Vec<TableColumns>> {
    list(value, "a list of columns", |item| {
        let text = text(item)?;
        let (table, column) = text.split_once('.').unwrap_or_default();
        if table.is_empty() || column.is_empty() {
            return Err(format!("must be like \"table.column\", not {text:?}"));
        }
        Ok(TableColumns { table: table.to_owned(), columns: vec![column.to_owned()] })
    })
}

/// Patterns of files; whether each is one is seen when the folder is opened.
pub(crate) fn file_patterns(value: &Value) -> Converted<Vec<String>> {
    list(value, "a list of patterns", text)
}

/// Names of tables.
pub(crate) fn tables(value: &Value) -> Converted<Vec<String>> {
    list(value, "a list of tables", text)
}

/// A list with every entry converted; the refusal is that of the first bad entry.
fn list<T>(value: &Value, what: &str, convert: impl Fn(&Value) -> Converted<T>) -> Converted<Vec<T>> {
    let entries = value.as_array().ok_or_else(|| expected(&format!("{what} like [\"a\", \"b\"]"), value))?;
    let number = |(i, entry)| convert(entry).map_err(|e| format!("must be {what}; number {} {e}", i + 1));
    entries.iter().enumerate().map(number).collect()
}

fn expected(what: &str, value: &Value) -> String {
    format!("must be {what}, not {}", kind(value))
}

/// What a value is, for people.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::InlineTable(_) => "a section",
    }
}
