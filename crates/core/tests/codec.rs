//! Stored forms: what is written comes back, and nothing that is read can do harm.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sync_core::codec::{CodecError, pack_state, pack_values, unpack_state, unpack_values};
use sync_core::row::{RowState, Seen, Sum};
use sync_core::{Incarnation, Number, RowId, SiteId, Stamp, Value, key};

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::unsigned),
        any::<u32>().prop_map(Value::Float),
        any::<u64>().prop_map(Value::Double),
        ".{0,12}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
    ]
}

fn key_values() -> impl Strategy<Value = Vec<Value>> {
    proptest::collection::vec(value(), 0..4)
}

fn stamp() -> impl Strategy<Value = Stamp> {
    any::<u64>().prop_map(Stamp::from_raw)
}

fn state() -> impl Strategy<Value = RowState> {
    let cells = proptest::collection::btree_map(any::<u16>(), stamp(), 0..6);
    let seen = proptest::collection::vec(stamp(), 0..6).prop_map(Seen::from_iter);
    let number = (any::<i128>(), 0..=Number::MOST_PLACES).prop_map(|(unscaled, scale)| Number::new(unscaled, scale));
    let sum = (stamp(), number).prop_map(|(last, total)| Sum { last, total: total.unwrap() });
    let history = any::<u64>().prop_map(Incarnation);
    let sums = proptest::collection::btree_map((any::<u16>(), history), sum, 0..4);
    let before = proptest::collection::vec(stamp(), 0..6).prop_map(Seen::from_iter);
    let epoch = proptest::option::of((stamp(), before)).prop_map(Option::unwrap_or_default);
    let times = (epoch, stamp(), stamp());
    (times, cells, sums, seen).prop_map(|(((epoch, before), inserted, deleted), cells, sums, seen)| RowState {
        epoch,
        before,
        inserted,
        deleted,
        cells,
        sums,
        seen,
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn states_come_back(state in state()) {
        prop_assert_eq!(unpack_state(&pack_state(&state)), Ok(state));
    }

    #[test]
    fn values_come_back(values in key_values()) {
        prop_assert_eq!(unpack_values(&pack_values(&values)), Ok(values));
    }

    #[test]
    fn keys_come_back(values in key_values()) {
        prop_assert_eq!(key::unpack(&key::pack(&values)), Ok(values));
    }

    #[test]
    fn bytes_cut_short_or_too_long_are_refused(values in key_values(), state in state(), at in any::<u16>()) {
        let packed = pack_values(&values);
        let cut = usize::from(at) % packed.len();
        prop_assert!(unpack_values(&packed[..cut]).is_err());
        prop_assert_eq!(unpack_values(&[&packed[..], &[0]].concat()), Err(CodecError::Trailing(1)));
        let packed = pack_state(&state);
        prop_assert_eq!(unpack_state(&packed[..usize::from(at) % packed.len()]), Err(CodecError::Short));
        prop_assert_eq!(unpack_state(&[&packed[..], &[0]].concat()), Err(CodecError::Trailing(1)));
    }

    #[test]
    fn hostile_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = unpack_values(&bytes);
        let _ = unpack_state(&[&[1], &bytes[..]].concat());
        let _ = key::unpack(&bytes);
        let _ = RowId::from_bytes(bytes).key();
    }

    #[test]
    fn one_changed_byte_does_no_harm(state in state(), values in key_values(), at in any::<u16>(), byte in any::<u8>()) {
        let mut packed = pack_state(&state);
        let place = usize::from(at) % packed.len();
        packed[place] = byte;
        if let Ok(read) = unpack_state(&packed) {
            let _ = (read.is_live(), read.next_stamp(1, SiteId::NOBODY), pack_state(&read));
        }
        let mut packed = pack_values(&values);
        let place = usize::from(at) % packed.len();
        packed[place] = byte;
        let _ = unpack_values(&packed);
    }

    #[test]
    fn ids_tell_keys_apart(a in key_values(), b in key_values()) {
        let (x, y) = (RowId::of(&a), RowId::of(&b));
        prop_assert_eq!(x == y, a == b);
        prop_assert!(x.as_bytes().len() <= 32);
        if !x.is_hashed() {
            prop_assert_eq!(x.key(), Ok(a));
        }
    }

    #[test]
    fn ids_of_integers_sort_like_them(a in any::<i64>(), b in any::<i64>()) {
        let id = |n| RowId::of(&[Value::Int(n)]);
        prop_assert_eq!(id(a).cmp(&id(b)), a.cmp(&b));
    }

    #[test]
    fn a_next_stamp_is_above_all_before_and_names_its_site(
        millis in 0..1u64 << 44, highest in 0..(1u64 << 63), site in 1..4096u64,
    ) {
        let (highest, site) = (Stamp::from_raw(highest), SiteId::new(site).unwrap());
        let next = Stamp::next(millis, highest, site);
        prop_assert!(next > highest && next >= Stamp::at(millis, site));
        prop_assert_eq!(next.site(), site);
        prop_assert_eq!(Stamp::from_raw(next.raw()), next);
    }

    #[test]
    fn stamps_order_by_time_then_site(a in 0..1u64 << 44, b in 0..1u64 << 44, s in 1..4096u64, t in 1..4096u64) {
        let stamp = |millis, site| Stamp::at(millis, SiteId::new(site).unwrap());
        prop_assert_eq!(stamp(a, s).cmp(&stamp(b, t)), (a, s).cmp(&(b, t)));
    }
}

/// A length that nobody has memory for, in each place where a length is read.
#[test]
fn huge_lengths_are_refused_before_anything_is_allocated() {
    const HUGE: [u8; 9] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert_eq!(unpack_values(&[&[1, 5], &HUGE[..]].concat()), Err(CodecError::Short));
    assert_eq!(unpack_values(&[&[1, 6], &HUGE[..]].concat()), Err(CodecError::Short));
    assert_eq!(unpack_values(&HUGE), Err(CodecError::Short));
    assert_eq!(unpack_values(&[0xff; 10]), Err(CodecError::Unknown("length")));
    let stamps = [0; 16];
    assert_eq!(unpack_state(&[&[1], &stamps[..], &HUGE].concat()), Err(CodecError::Short));
    assert_eq!(unpack_state(&[&[1], &stamps[..], &[0], &HUGE].concat()), Err(CodecError::Short));
}

#[test]
fn what_a_later_version_wrote_is_named() {
    assert_eq!(unpack_state(&[4]), Err(CodecError::Unknown("state version")));
    assert_eq!(unpack_values(&[1, 99]), Err(CodecError::Unknown("type of value")));
    assert_eq!(unpack_values(&[1, 5, 1, 0xff]), Err(CodecError::Unknown("text encoding")));
}

/// A key of 127 or more values begins with a byte that also marks other forms of ids.
#[test]
fn keys_of_many_values_are_not_taken_for_something_else() {
    for count in [126, 127, 128, 255, 256] {
        let key = vec![Value::Null; count];
        assert!(RowId::of(&key).is_hashed());
        assert_eq!(key::unpack(&key::pack(&key)), Ok(key));
    }
}
