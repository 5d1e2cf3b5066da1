//! Exact decimal numbers: what counters are added in. Nothing here rounds or panics; what is beyond 38 digits is held
//! at the bounds, which no column that may be a counter comes near.

use std::cmp::Ordering;

use crate::value::Value;

/// A decimal number. Its form is unique (no zeros at the end of a fraction), so equal numbers are equal here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Number {
    unscaled: i128,
    scale: u8,
}

impl Number {
    /// Nothing.
    pub const ZERO: Number = Number { unscaled: 0, scale: 0 };
    /// The longest fraction.
    pub const MOST_PLACES: u8 = 30;

    /// `unscaled` divided by ten to the power of `scale`; nothing if that is more than [`Number::MOST_PLACES`].
    pub fn new(unscaled: i128, scale: u8) -> Option<Self> {
        (scale <= Self::MOST_PLACES).then(|| Number { unscaled, scale }.shortest())
    }

    /// The number that a value is; nothing of what is not an integer or a decimal in plain notation.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(n) => Self::new((*n).into(), 0),
            Value::UInt(n) => Self::new((*n).into(), 0),
            Value::Text(text) => Self::parse(text),
            Value::Bytes(digits) => Self::parse(std::str::from_utf8(digits).ok()?),
            _ => None,
        }
    }

    /// Reads plain notation: an optional sign, digits, and an optional point with digits behind it.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_plain(whole) || !is_plain(fraction) || digits.ends_with('.') {
            return None;
        }
        let magnitude: i128 = format!("{whole}{fraction}").parse().ok()?;
        Self::new(if negative { -magnitude } else { magnitude }, u8::try_from(fraction.len()).ok()?)
    }

    /// The digits without a point, and how many of them are behind it.
    pub fn parts(self) -> (i128, u8) {
        (self.unscaled, self.scale)
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Number) -> Self {
        let scale = self.scale.max(other.scale);
        Number { unscaled: self.at(scale).saturating_add(other.at(scale)), scale }.shortest()
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Number) -> Self {
        self.plus(Number { unscaled: other.unscaled.saturating_neg(), ..other })
    }

    /// The nearest number with at most so many digits behind the point; halves away from zero, as servers do.
    #[must_use]
    pub fn rounded(self, places: u8) -> Self {
        if self.scale <= places {
            return self;
        }
        let unit = power(self.scale - places);
        let (whole, rest) = (self.unscaled / unit, self.unscaled % unit);
        let away = if rest.abs() >= unit - rest.abs() { rest.signum() } else { 0 };
        Number { unscaled: whole + away, scale: places }.shortest()
    }

    /// As a value of the kind that `like` is: a decimal with as many digits behind the point at least, or an integer. An
    /// integer that no type of a column holds is its digits as bytes, which is what no column that counts ever has.
    pub fn to_value(self, like: &Value) -> Value {
        match like {
            Value::Text(text) => {
                let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
                Value::text(self.text(u8::try_from(places).unwrap_or(0).min(Self::MOST_PLACES)))
            }
            _ => self.integer().unwrap_or_else(|| Value::Bytes(self.text(0).into_bytes())),
        }
    }

    fn integer(self) -> Option<Value> {
        let whole = Some(self.unscaled).filter(|_| self.scale == 0)?;
        let small = i64::try_from(whole).ok().map(Value::Int);
        small.or_else(|| u64::try_from(whole).ok().map(Value::unsigned))
    }

    /// In plain notation, with at least so many digits behind the point.
    pub fn text(self, places: u8) -> String {
        let (scale, zeros) = (usize::from(self.scale), usize::from(places.saturating_sub(self.scale)));
        let sign = if self.unscaled < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.unscaled.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let zeros = "0".repeat(zeros);
        if scale + zeros.len() == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}{zeros}") }
    }

    fn at(self, scale: u8) -> i128 {
        self.unscaled.saturating_mul(power(scale.saturating_sub(self.scale)))
    }

    fn shortest(mut self) -> Self {
        while self.scale > 0 && self.unscaled % 10 == 0 {
            self.unscaled /= 10;
            self.scale -= 1;
        }
        self
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let split = |n: &Number| {
            let unit = power(n.scale);
            let rest = n.unscaled.rem_euclid(unit) * power(Self::MOST_PLACES - n.scale.min(Self::MOST_PLACES));
            (n.unscaled.div_euclid(unit), rest)
        };
        split(self).cmp(&split(other))
    }
}

fn power(exponent: u8) -> i128 {
    10i128.saturating_pow(exponent.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn plain_notation() {
        for text in ["0", "7", "-7", "12.30", "-0.05", "170141183460469231731687303715884105727"] {
            let places = text.split_once('.').map_or(0, |(_, f)| f.len() as u8);
            assert_eq!(number(text).text(places), text);
        }
        assert_eq!(number("12.30"), number("12.3"));
        assert_eq!(number("-0.00"), Number::ZERO);
        let long = format!("0.{}", "1".repeat(31));
        for bad in
            ["", "-", "1.", ".5", "1e3", "+1", " 1", "1.-2", "--1", "999999999999999999999999999999999999999", &long]
        {
            assert_eq!(Number::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn adding_is_exact() {
        assert_eq!(number("0.1").plus(number("0.20")), number("0.3"));
        assert_eq!(number("1").minus(number("1.25")).text(2), "-0.25");
        let most = Number::new(i128::MAX, 0).unwrap();
        assert_eq!(most.plus(most), most, "it stays at the bound");
        assert!(Number::new(i128::MIN, 0).unwrap().minus(most) < Number::ZERO);
    }

    #[test]
    fn order_is_that_of_numbers() {
        let sorted = ["-2", "-1.5", "-1.4999", "-0.1", "0", "0.05", "0.5", "1", "9", "10"].map(number);
        assert!(sorted.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(Number::new(i128::MAX, 0) > Number::new(i128::MAX, 30));
    }

    #[test]
    fn values_keep_their_form() {
        let (money, count) = (Value::text("10.00"), Value::Int(3));
        assert_eq!(number("2.5").to_value(&money), Value::text("2.50"));
        assert_eq!(number("-4").to_value(&count), Value::Int(-4));
        assert_eq!(number("18446744073709551615").to_value(&count), Value::UInt(u64::MAX));
        let beyond = number("18446744073709551616").to_value(&count);
        assert_eq!(beyond, Value::Bytes(b"18446744073709551616".to_vec()));
        assert_eq!(Number::of(&beyond).unwrap().minus(number("1")).to_value(&beyond), Value::UInt(u64::MAX));
        assert_eq!(Number::of(&Value::UInt(u64::MAX)).unwrap().text(0), "18446744073709551615");
        assert_eq!(Number::of(&Value::Null), None);
    }

    #[test]
    fn rounding_is_that_of_servers() {
        for (from, to) in [("1.25", "1.3"), ("-1.25", "-1.3"), ("1.24", "1.2"), ("9.99", "10"), ("3", "3")] {
            assert_eq!(number(from).rounded(1), number(to));
        }
    }
}
