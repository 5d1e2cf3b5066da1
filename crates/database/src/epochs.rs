//! Which authoritative restores this store has met, table by table, and one that was begun here and is not finished: a packed
//! value in the one row of `server_sync_store`. What they mean is told in [`sync_core::RowState`] and [`crate::declare`].

use std::collections::BTreeMap;

use sync_core::{Stamp, Value, codec};
use sync_store::Result;

use crate::sql::{Fields, Sql};

/// What is known of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// The last declaration that is taken over here; [`Stamp::NEVER`] if there was none.
    pub met: Stamp,
    /// One that is being made here; [`Stamp::NEVER`] otherwise.
    pub begun: Stamp,
}

/// By table number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs(BTreeMap<u16, Epoch>);

impl Epochs {
    /// What is known of a table.
    pub fn of(&self, tab: u16) -> Epoch {
        self.0.get(&tab).copied().unwrap_or_default()
    }

    /// Changes what is known of a table.
    pub fn set(&mut self, tab: u16, epoch: Epoch) {
        self.0.insert(tab, epoch);
    }

    /// Whether a declaration was begun here and is not finished.
    pub fn is_begun(&self) -> bool {
        self.0.values().any(|epoch| epoch.begun > Stamp::NEVER)
    }

    /// The tables of that declaration, and its name.
    pub fn begun(&self) -> impl Iterator<Item = (u16, Stamp)> + '_ {
        self.0.iter().map(|(tab, epoch)| (*tab, epoch.begun)).filter(|(_, begun)| *begun > Stamp::NEVER)
    }

    /// The latest of all.
    pub fn latest(&self) -> Stamp {
        self.0.values().map(|epoch| epoch.met.max(epoch.begun)).max().unwrap_or_default()
    }

    fn pack(&self) -> Vec<u8> {
        let one = |(tab, epoch): (&u16, &Epoch)| {
            [Value::Int((*tab).into()), Value::unsigned(epoch.met.raw()), Value::unsigned(epoch.begun.raw())]
        };
        codec::pack_values(&self.0.iter().flat_map(one).collect::<Vec<_>>())
    }

    /// The reverse of what [`write()`] stores; none if nothing is stored.
    pub fn unpack(stored: Value) -> Result<Self> {
        let mut epochs = Epochs::default();
        if stored.is_null() {
            return Ok(epochs);
        }
        let mut flat = Fields::of(codec::unpack_values(&Fields::of(vec![stored]).bytes()?)?);
        while let Some(tab) = flat.next_value() {
            let tab = Fields::of(vec![tab]).unsigned()? as u16;
            let (met, begun) = (Stamp::from_raw(flat.unsigned()?), Stamp::from_raw(flat.unsigned()?));
            epochs.set(tab, Epoch { met, begun });
        }
        Ok(epochs)
    }
}

/// Reads them.
pub fn read(sql: &mut dyn Sql) -> Result<Epochs> {
    let row = sql.first("SELECT epochs FROM server_sync_store WHERE one=1", &[])?;
    row.map_or(Ok(Epochs::default()), |row| Epochs::unpack(Fields::of(row).value()))
}

/// Writes them, in a transaction that holds the store's lock.
pub fn write(sql: &mut dyn Sql, epochs: &Epochs) -> Result<()> {
    sql.execute("UPDATE server_sync_store SET epochs=? WHERE one=1", &[Value::Bytes(epochs.pack())]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        let mut epochs = Epochs::default();
        assert!(!epochs.is_begun());
        epochs.set(3, Epoch { met: Stamp::from_raw(u64::MAX), begun: Stamp::NEVER });
        epochs.set(900, Epoch { met: Stamp::NEVER, begun: Stamp::from_raw(7) });
        assert_eq!(Epochs::unpack(Value::Bytes(epochs.pack())).unwrap(), epochs);
        assert_eq!(epochs.begun().collect::<Vec<_>>(), [(900, Stamp::from_raw(7))]);
        assert_eq!(epochs.latest(), Stamp::from_raw(u64::MAX));
        assert_eq!(Epochs::unpack(Value::Null).unwrap(), Epochs::default());
        assert!(Epochs::unpack(Value::Bytes(vec![1, 99])).is_err());
    }
}
