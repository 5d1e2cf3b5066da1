//! Columns that merge by adding: which can, what fits into them, and how a mark tells what was added. Decides nothing about
//! rows.
//!
//! A mark's `delta` names for each counter that changed its column id and its value before and after, like
//! `3 100 95,7 1.50 2.00`: subtracting is left to whoever reads it, as servers overflow. A counter that changed and is not
//! named there was written in a way that nobody could follow; its value is then a new base.

use std::collections::BTreeMap;

use sync_core::{ColumnId, Number, RowState, Value};

use crate::dialect::Dialect;
use crate::layout::Tracked;
use crate::rules::Rules;
use crate::schema::{Schema, Table};

/// A DECIMAL with more digits cannot be a counter: sums must have room above it.
const MOST_DIGITS: u8 = 30;

/// What a column can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    least: Number,
    most: Number,
    /// Digits behind the point; `None`: the column's values are integers, which a decimal without any is not.
    places: Option<u8>,
}

impl Range {
    /// An integer of so many bits.
    pub fn integer(bits: u32, unsigned: bool) -> Option<Self> {
        let power = |exponent: u32| 2i128.checked_pow(exponent);
        let (least, above) = if unsigned { (0, power(bits)?) } else { (-power(bits - 1)?, power(bits - 1)?) };
        Some(Range { least: Number::new(least, 0)?, most: Number::new(above - 1, 0)?, places: None })
    }

    /// A decimal of so many digits, so many of them behind the point; nothing if sums of it could be too large.
    pub fn decimal(digits: u8, places: u8, unsigned: bool) -> Option<Self> {
        let most = 10i128.checked_pow(digits.into()).filter(|_| digits <= MOST_DIGITS)? - 1;
        let least = Number::new(if unsigned { 0 } else { -most }, places)?;
        Some(Range { least, most: Number::new(most, places)?, places: Some(places) })
    }

    /// The nearest value that fits, if this one does not.
    fn instead_of(&self, value: &Value) -> Option<Value> {
        let number = Number::of(value)?;
        let nearest = number.rounded(self.places.unwrap_or(0)).clamp(self.least, self.most);
        (nearest != number).then(|| match self.places {
            Some(places) => Value::text(nearest.text(places)),
            None => nearest.to_value(&Value::Int(0)),
        })
    }
}

/// The counters of a row whose sums do not fit, with what is shown instead. Asks about columns that ever were counters.
pub(crate) fn unfit(
    dialect: &dyn Dialect,
    tracked: &Tracked,
    state: &RowState,
    values: &[Value],
) -> BTreeMap<ColumnId, Value> {
    let shown = |id: ColumnId| {
        let column = tracked.column(id)?;
        let shown = dialect.range(column)?.instead_of(values.get(usize::from(id))?)?;
        Some((id, shown))
    };
    state.sums.keys().filter_map(|(id, _)| shown(*id)).collect()
}

/// What an update added, by the `delta` of its mark, to columns that are counters now.
pub(crate) fn added(delta: &str, counters: &[ColumnId]) -> Vec<(ColumnId, Number)> {
    let one = |entry: &str| {
        let mut parts = entry.split(' ');
        let (id, before, after) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        let difference = Number::parse(after)?.minus(Number::parse(before)?);
        (parts.next().is_none() && counters.contains(&id)).then_some((id, difference))
    };
    delta.split(',').filter_map(one).collect()
}

/// Makes columns of the schema counters, as far as the rules can be followed; says what cannot, and why.
pub(crate) fn mark_counters(dialect: &dyn Dialect, schema: &mut Schema, rules: &Rules) -> Vec<String> {
    let mut refused = Vec::new();
    for rule in &rules.counters {
        for name in &rule.columns {
            match allowed(dialect, schema, rules, &rule.table, name) {
                Ok((table, column)) => schema.tables[table].counters.push(column),
                Err(why) => refused.push(format!("[tables] counters names {}.{name}, {why}", rule.table)),
            }
        }
    }
    refused
}

/// The places of a table and of its column.
fn allowed(
    dialect: &dyn Dialect,
    schema: &Schema,
    rules: &Rules,
    table: &str,
    name: &str,
) -> Result<(usize, usize), &'static str> {
    let at = schema.tables.iter().position(|t| t.name == table).ok_or("a table that is not in the database")?;
    let table = &schema.tables[at];
    let place = table.columns.iter().position(|c| c.name == name).ok_or("a column that the table does not have")?;
    let column = &table.columns[place];
    let why = match () {
        () if column.generated => "which the database computes",
        () if dialect.range(column).is_none() => "which is neither an integer nor a DECIMAL of at most 30 digits",
        () if column.nullable => "which can be NULL",
        () if table.key.contains(&place) => "which is part of the key",
        () if table.uniques.iter().flatten().any(|at| *at == place) => "which is part of a unique key",
        () if refers(schema, table, name) => "which a foreign key is about",
        () if rules.together.iter().any(|r| r.table == table.name && r.columns.iter().any(|c| c == name)) => {
            "which is also in together"
        }
        () if table.counters.contains(&place) => "twice",
        () => return Ok((at, place)),
    };
    Err(why)
}

fn refers(schema: &Schema, table: &Table, column: &str) -> bool {
    schema.foreign_keys.iter().any(|key| {
        (key.child == table.name && key.columns.iter().any(|c| c == column))
            || (key.parent == table.name && key.parent_columns.iter().any(|c| c == column))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn the_nearest_value_that_fits() {
        let unsigned = Range::integer(8, true).unwrap();
        for (value, shown) in [(-1, Some(0)), (0, None), (255, None), (256, Some(255))] {
            assert_eq!(unsigned.instead_of(&Value::Int(value)), shown.map(Value::Int), "{value}");
        }
        let big = Range::integer(64, true).unwrap();
        let beyond = Value::Bytes(b"18446744073709551616".to_vec());
        assert_eq!(big.instead_of(&beyond), Some(Value::UInt(u64::MAX)));
        assert_eq!(big.instead_of(&Value::UInt(u64::MAX)), None);
        let money = Range::decimal(5, 2, false).unwrap();
        assert_eq!(money.instead_of(&Value::text("999.99")), None);
        assert_eq!(money.instead_of(&Value::text("1000.00")), Some(Value::text("999.99")));
        assert_eq!(money.instead_of(&Value::text("-1000.00")), Some(Value::text("-999.99")));
        assert_eq!(money.instead_of(&Value::text("1.005")), Some(Value::text("1.01")));
        assert_eq!(Range::decimal(31, 2, false), None);
    }

    #[test]
    fn what_a_mark_tells() {
        assert_eq!(added("3 100 95,7 1.50 2.00", &[3, 7]), [(3, number("-5")), (7, number("0.5"))]);
        assert_eq!(added("3 9223372036854775807 -9223372036854775808", &[3]), [(3, number("-18446744073709551615"))]);
        for nothing in ["", "3 100", "3 a 5", "3 1 2 3", "4 1 2", ",,", "-1 1 2"] {
            assert_eq!(added(nothing, &[3]), [], "{nothing}");
        }
    }
}
