//! Finds, makes and removes places in a document, named like `master[0].database.host`.
//!
//! Only places that the schema knows; it never looks at what the values mean.

use crate::{ConfigError, Setting, schema};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

/// A way through a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// As it was given, for messages.
    text: String,
    steps: Vec<Step>,
}

/// A name, and for an entry of a list its number from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    name: String,
    index: Option<usize>,
}

/// A setting or a section.
pub(super) fn parse(text: &str) -> Result<Place, ConfigError> {
    let steps = text.split('.').map(step).collect::<Option<Vec<_>>>();
    let steps = steps.ok_or_else(|| no_such(text, String::new()))?;
    let mut general = String::new();
    for step in &steps {
        check(text, &general, step)?;
        general = step.after(&general, "[]");
    }
    Ok(Place { text: text.to_owned(), steps })
}

/// A setting, with what the schema knows of it.
pub(super) fn parse_setting(text: &str) -> Result<(Place, &'static Setting), ConfigError> {
    let place = parse(text)?;
    let general = place.steps.iter().fold(String::new(), |path, step| step.after(&path, "[]"));
    let setting = schema::find(&general).ok_or_else(|| no_such(text, "; that is a section".to_owned()))?;
    Ok((place, setting))
}

fn step(text: &str) -> Option<Step> {
    let Some((name, rest)) = text.split_once('[') else {
        return Some(Step { name: text.to_owned(), index: None });
    };
    let index = rest.strip_suffix(']')?.parse().ok()?;
    Some(Step { name: name.to_owned(), index: Some(index) })
}

/// Whether the schema knows the step in this section, and as what it is written.
fn check(text: &str, section: &str, step: &Step) -> Result<(), ConfigError> {
    if !schema::names_in(section).any(|known| known == step.name) {
        return Err(no_such(text, schema::hint(section, &step.name)));
    }
    let list = step.as_list(section);
    match (schema::names_in(&list).next().is_some(), step.index) {
        (true, None) => Err(no_such(text, format!("; `{0}` is a list, write `{0}[0]` for its first entry", step.name))),
        (false, Some(_)) => Err(no_such(text, format!("; `{}` is not a list of sections", step.name))),
        _ => Ok(()),
    }
}

impl Step {
    fn as_list(&self, section: &str) -> String {
        Self { name: self.name.clone(), index: Some(0) }.after(section, "[]")
    }

    /// The path after this step, with `list` in the place of an index.
    fn after(&self, path: &str, list: &str) -> String {
        let dot = if path.is_empty() { "" } else { "." };
        let list = if self.index.is_some() { list } else { "" };
        format!("{path}{dot}{}{list}", self.name)
    }
}

fn no_such(setting: &str, hint: String) -> ConfigError {
    ConfigError::NoSuchSetting { setting: setting.to_owned(), hint }
}

impl Place {
    /// What is there.
    pub(super) fn find<'a>(&self, top: &'a Item) -> Option<&'a Item> {
        self.steps.iter().try_fold(top, |item, step| {
            let item = item.get(&step.name)?;
            step.index.map_or(Some(item), |index| item.get(index))
        })
    }

    /// Puts a value there. Written in the place of another it takes over the comment behind it.
    pub(super) fn set(&self, document: &mut DocumentMut, mut value: Value) -> Result<(), ConfigError> {
        let Some((last, sections)) = self.steps.split_last() else {
            return Ok(());
        };
        let mut item = document.as_item_mut();
        for step in sections {
            item = enter(item, step).ok_or_else(|| self.blocked())?;
        }
        let table = item.as_table_like_mut().ok_or_else(|| self.blocked())?;
        match table.get_mut(&last.name) {
            Some(old) => {
                if let Some(old) = old.as_value() {
                    *value.decor_mut() = old.decor().clone();
                }
                *old = Item::Value(value);
            }
            None => {
                table.insert(&last.name, Item::Value(value));
            }
        }
        Ok(())
    }

    fn blocked(&self) -> ConfigError {
        no_such(&self.text, "; the list has fewer entries, or a value stands in the place of a section".to_owned())
    }

    /// Removes what is there, if anything is.
    pub(super) fn remove(&self, document: &mut DocumentMut) {
        let Some((last, sections)) = self.steps.split_last() else {
            return;
        };
        let parent = sections.iter().try_fold(document.as_item_mut(), |item, step| {
            let item = item.get_mut(&step.name)?;
            match step.index {
                Some(index) => item.get_mut(index),
                None => Some(item),
            }
        });
        let Some(table) = parent.and_then(Item::as_table_like_mut) else {
            return;
        };
        match last.index {
            None => drop(table.remove(&last.name)),
            Some(index) => remove_entry(table, &last.name, index),
        }
    }
}

/// The section that a step leads to, made if it is not there.
fn enter<'a>(item: &'a mut Item, step: &Step) -> Option<&'a mut Item> {
    let table = item.as_table_like_mut()?;
    if !table.contains_key(&step.name) {
        let empty = match step.index {
            Some(_) => Item::ArrayOfTables(ArrayOfTables::new()),
            None => Item::Table(Table::new()),
        };
        table.insert(&step.name, empty);
    }
    let item = table.get_mut(&step.name)?;
    let Some(index) = step.index else {
        return Some(item);
    };
    append_if_next(item, index);
    item.get_mut(index)
}

/// Makes the entry after the last, if that is the one asked for.
fn append_if_next(item: &mut Item, index: usize) {
    match item {
        Item::ArrayOfTables(tables) if tables.len() == index => tables.push(Table::new()),
        Item::Value(Value::Array(array)) if array.len() == index => array.push(toml_edit::InlineTable::new()),
        _ => {}
    }
}

/// Removes an entry of a list, and the list with its last one: `master = []` would be a leftover.
fn remove_entry(table: &mut dyn TableLike, name: &str, index: usize) {
    let left = match table.get_mut(name) {
        Some(Item::ArrayOfTables(tables)) if index < tables.len() => {
            tables.remove(index);
            tables.len()
        }
        Some(Item::Value(Value::Array(array))) if index < array.len() => {
            array.remove(index);
            array.len()
        }
        _ => return,
    };
    if left == 0 {
        table.remove(name);
    }
}
