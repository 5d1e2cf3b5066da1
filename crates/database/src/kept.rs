//! What is known of a row and not shown in its table: the shape, and how it is stored with the row's line. Decides
//! nothing.

use std::collections::BTreeMap;

use sync_core::codec::CodecError;
use sync_core::{ColumnId, Value, codec};
use sync_store::Result;

use crate::sql::Fields;

const ROW: u8 = 0;
const CELLS: u8 = 1;

/// The values of a row that the table does not show: a deleted row's last ones, a parked row's, or single ones for which
/// a constraint lets the table show only something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// The table shows all there is.
    #[default]
    Nothing,
    /// The whole row, over all registered ids.
    Row(Vec<Value>),
    /// These cells' true values.
    Cells(BTreeMap<ColumnId, Value>),
}

impl Kept {
    /// The whole row, if there is one to keep.
    pub fn row(values: Option<Vec<Value>>) -> Self {
        values.map_or(Kept::Nothing, Kept::Row)
    }

    /// These cells, if there are any.
    pub fn cells(cells: BTreeMap<ColumnId, Value>) -> Self {
        if cells.is_empty() { Kept::Nothing } else { Kept::Cells(cells) }
    }

    /// The row's true values, given what the table shows.
    pub fn true_values(&self, shown: Option<Vec<Value>>) -> Option<Vec<Value>> {
        match self {
            Kept::Nothing => shown,
            Kept::Row(values) => Some(values.clone()),
            Kept::Cells(cells) => shown.map(|mut values| {
                cells.iter().for_each(|(id, value)| set(&mut values, *id, value.clone()));
                values
            }),
        }
    }

    /// All of them.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        let (row, cells) = match self {
            Kept::Nothing => (None, None),
            Kept::Row(values) => (Some(values.iter()), None),
            Kept::Cells(cells) => (None, Some(cells.values())),
        };
        row.into_iter().flatten().chain(cells.into_iter().flatten())
    }

    /// How it is stored; nothing for nothing.
    pub fn pack(&self) -> Option<Vec<u8>> {
        let tagged = |tag, values: &[Value]| Some([&[tag][..], &codec::pack_values(values)].concat());
        match self {
            Kept::Nothing => None,
            Kept::Row(values) => tagged(ROW, values),
            Kept::Cells(cells) => {
                let flat: Vec<Value> = cells.iter().flat_map(|(id, v)| [Value::Int((*id).into()), v.clone()]).collect();
                tagged(CELLS, &flat)
            }
        }
    }

    /// The reverse of [`Kept::pack`].
    pub fn unpack(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((&ROW, rest)) => Ok(Kept::Row(codec::unpack_values(rest)?)),
            Some((&CELLS, rest)) => {
                let mut flat = Fields::of(codec::unpack_values(rest)?);
                let mut cells = BTreeMap::new();
                while let Some(id) = flat.next_value() {
                    cells.insert(Fields::of(vec![id]).unsigned()? as ColumnId, flat.value());
                }
                Ok(Kept::Cells(cells))
            }
            _ => Err(CodecError::Unknown("kind of kept values").into()),
        }
    }
}

/// Puts a value into a row given over all registered ids; of a column that the row does not have, nothing.
pub(crate) fn set(values: &mut [Value], id: ColumnId, value: Value) {
    if let Some(place) = values.get_mut(usize::from(id)) {
        *place = value;
    }
}
