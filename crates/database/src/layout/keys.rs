//! Conditions on keys, single and composite, in the forms that both kinds of server answer from an index; and how often
//! a statement says `?`. Text only; nothing is run here.

use sync_core::Value;

/// `a IN (?, ?)`, or for composite keys `(a=? AND b=?) OR …`, which both servers answer from the index.
pub(super) fn key_in(keys: &[(String, String)], count: usize) -> String {
    if let [(name, place)] = keys {
        return format!("{name} IN ({})", vec![place.as_str(); count].join(","));
    }
    let one = keys.iter().map(|(name, place)| format!("{name}={place}")).collect::<Vec<_>>().join(" AND ");
    format!("({})", vec![format!("({one})"); count].join(" OR "))
}

/// The rows after a key: `a > ?`, or `a >= ? AND (a > ? OR (b > ?))` — never `(a, b) > (?, ?)`, which reads all.
pub(super) fn following(keys: &[(String, String)]) -> String {
    match keys {
        [] => "1=1".to_owned(),
        [(last, place)] => format!("{last} > {place}"),
        [(first, place), rest @ ..] => {
            format!("({first} >= {place} AND ({first} > {place} OR {}))", following(rest))
        }
    }
}

/// The rows within bounds; nothing if there are none.
pub(super) fn within(keys: &[(String, String)], (after, upto): (bool, bool)) -> Option<String> {
    let ends = [after.then(|| following(keys)), upto.then(|| leading_to(keys))];
    let ends: Vec<String> = ends.into_iter().flatten().collect();
    (!ends.is_empty()).then(|| format!("({})", ends.join(" AND ")))
}

/// The rows up to a key, with that one: `a <= ?`, or `a <= ? AND (a < ? OR b <= ?)`.
fn leading_to(keys: &[(String, String)]) -> String {
    match keys {
        [] => "1=1".to_owned(),
        [(last, place)] => format!("{last} <= {place}"),
        [(first, place), rest @ ..] => {
            format!("({first} <= {place} AND ({first} < {place} OR {}))", leading_to(rest))
        }
    }
}

/// The values for [`following`]: each but the last twice.
pub(super) fn repeated(key: &[Value]) -> Vec<Value> {
    let mut params: Vec<Value> = Vec::new();
    for (i, value) in key.iter().enumerate() {
        if i + 1 < key.len() {
            params.push(value.clone());
        }
        params.push(value.clone());
    }
    params
}

/// `(?,?),(?,?)`.
pub(crate) fn rows(columns: usize, count: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row; count].join(",")
}

/// Cuts a length into powers of two up to `max`, so that only a few different statements are ever prepared.
pub(crate) fn powers(len: usize, max: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let max = if max.is_power_of_two() { max } else { max.next_power_of_two() / 2 }.max(1);
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = len - at;
        if left == 0 {
            return None;
        }
        let step = if left >= max { max } else { 1 << left.ilog2() };
        at += step;
        Some(at - step..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_cut_into_powers_of_two() {
        let cut: Vec<_> = powers(300, 200).map(|r| r.len()).collect();
        assert_eq!(cut, [128, 128, 32, 8, 4]);
        assert_eq!(powers(0, 8).count(), 0);
    }

    #[test]
    fn following_a_composite_key_repeats_all_but_the_last_value() {
        let names = ["a", "b", "c"].map(|name| (name.to_owned(), "?".to_owned()));
        assert_eq!(following(&names), "(a >= ? AND (a > ? OR (b >= ? AND (b > ? OR c > ?))))");
        assert_eq!(leading_to(&names), "(a <= ? AND (a < ? OR (b <= ? AND (b < ? OR c <= ?))))");
        let params = repeated(&[Value::Int(1), Value::Int(2), Value::Int(3)]);
        assert_eq!(params, [1, 1, 2, 2, 3].map(Value::Int));
    }
}
