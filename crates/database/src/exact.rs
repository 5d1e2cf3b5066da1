//! Values of which text is not all: numbers within JSON that are DECIMAL, and characters that a character set writes in
//! two ways. Says where they are; how a server is told them is its dialect's business.

use sync_core::Value;

use crate::schema::{Column, Kind};

/// Whether values of a column can be more than their text.
pub fn is_delicate(column: &Column) -> bool {
    column.kind == Kind::Json || two_ways(column).is_some()
}

/// The character set of a column, if that may write a character in two ways, or hold bytes that are no character. (Of these
/// few it is known that they do not.)
pub fn two_ways(column: &Column) -> Option<&str> {
    const ONE_WAY: [&str; 9] = ["utf8mb4", "utf8mb3", "utf8", "ascii", "latin1", "ucs2", "utf16", "utf16le", "utf32"];
    let is = |word: &str| column.sql_type.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let (_, rest) = column.sql_type.rsplit_once(" CHARACTER SET ")?;
    let charset = rest.split(' ').next().unwrap_or_default();
    // Labels are as the definition has them.
    let is_text = column.kind == Kind::Text && !is("enum") && !is("set");
    (is_text && !charset.is_empty() && !ONE_WAY.contains(&charset)).then_some(charset)
}

/// A number within a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal<'a> {
    /// Where it is, as MySQL writes paths.
    pub path: String,
    /// Its text.
    pub number: &'a str,
    /// How many digits follow the point.
    pub scale: usize,
}

/// The numbers in a JSON text that are DECIMAL for certain, because no DOUBLE and no integer is written like that. (A DECIMAL
/// that is written like a DOUBLE is taken for one; the text is the same.)
pub fn decimals(json: &Value) -> Vec<Decimal<'_>> {
    let Value::Text(text) = json else { return Vec::new() };
    let mut scan = Scan { text, at: 0, legs: Vec::new(), key_follows: false, found: Vec::new() };
    while scan.step() {}
    scan.found
}

/// One step from a value to a value within it.
enum Leg<'a> {
    /// By name, in quotes and escaped as in the text, which is how a path has it.
    Member(&'a str),
    Element(usize),
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    legs: Vec<Leg<'a>>,
    key_follows: bool,
    found: Vec<Decimal<'a>>,
}

impl<'a> Scan<'a> {
    /// Takes one token; false at the end.
    fn step(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let Some(first) = rest.bytes().next() else { return false };
        let length = match first {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' => rest.find([',', ']', '}', ' ', '\n', '\r', '\t']).unwrap_or(rest.len()),
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        let token = &rest[..length];
        self.at += length;
        match first {
            b'{' => self.enter(Leg::Member("")),
            b'[' => self.enter(Leg::Element(0)),
            b'}' | b']' => drop(self.legs.pop()),
            b',' => self.next(),
            b'"' if std::mem::take(&mut self.key_follows) => {
                if let Some(Leg::Member(name)) = self.legs.last_mut() {
                    *name = token;
                }
            }
            b'-' | b'0'..=b'9' => self.number(token),
            _ => {}
        }
        true
    }

    fn enter(&mut self, leg: Leg<'a>) {
        self.key_follows = matches!(leg, Leg::Member(_));
        self.legs.push(leg);
    }

    fn next(&mut self) {
        match self.legs.last_mut() {
            Some(Leg::Element(at)) => *at += 1,
            _ => self.key_follows = true,
        }
    }

    fn number(&mut self, number: &'a str) {
        if let Some(scale) = scale(number) {
            let leg = |leg: &Leg| match leg {
                Leg::Member(name) => format!(".{name}"),
                Leg::Element(at) => format!("[{at}]"),
            };
            let path = format!("${}", self.legs.iter().map(leg).collect::<String>());
            self.found.push(Decimal { path, number, scale });
        }
    }
}

/// How long the string is that a text begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The most digits of a DECIMAL, and behind its point.
const PRECISION: usize = 65;
const SCALE: usize = 30;

/// The digits behind the point of a number that must be DECIMAL.
fn scale(number: &str) -> Option<usize> {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_plain = [whole, fraction].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let fits = whole.len() + fraction.len() <= PRECISION && fraction.len() <= SCALE;
    let is_other = if fraction.is_empty() { is_integer(number) } else { is_double(number, whole, fraction) };
    (is_plain && fits && !is_other).then_some(fraction.len())
}

fn is_integer(number: &str) -> bool {
    number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok()
}

/// Whether a DOUBLE is written like that: with the fewest digits that tell it from its neighbours, at least one behind the
/// point, and only between 1e-15 and 1e15 without exponent.
fn is_double(number: &str, whole: &str, fraction: &str) -> bool {
    let has_spare_zeros = fraction.len() > 1 && fraction.ends_with('0');
    let Ok(value) = number.parse::<f64>() else { return false };
    let shortest = format!("{:e}", value.abs());
    let (shortest, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits = format!("{whole}{fraction}");
    let is_shortest = digits.trim_matches('0') == shortest.replace('.', "").trim_matches('0');
    let is_written_plainly = exponent.parse().is_ok_and(|e: i32| (-15..15).contains(&e));
    !has_spare_zeros && is_shortest && is_written_plainly
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Vec<(String, String)> {
        decimals(&Value::text(json)).into_iter().map(|d| (d.path, d.number.to_owned())).collect()
    }

    #[test]
    fn what_a_double_or_an_integer_is_written_like_is_none() {
        for number in
            ["0", "-1", "1.5", "0.1", "-0.0", "1e20", "1.5e-7", "100.0", "18446744073709551615", "0.30000000000000004"]
        {
            assert_eq!(scale(number), None, "{number}");
        }
    }

    #[test]
    fn what_only_a_decimal_is_written_like() {
        for (number, expected) in [
            ("1.50", 2),
            ("0.00", 2),
            ("-0.1000", 4),
            ("18446744073709551616", 0),
            ("0.1000000000000000055", 19),
            ("12345678901234567.8", 1),
            ("1000000000000000000000.0", 1),
        ] {
            assert_eq!(scale(number), Some(expected), "{number}");
        }
        assert_eq!(scale(&"9".repeat(66)), None);
        assert_eq!(scale("1.0-0"), None);
    }

    #[test]
    fn numbers_are_found_where_they_are() {
        let at = |path: &str, number: &str| (path.to_owned(), number.to_owned());
        assert_eq!(found("1.50"), [at("$", "1.50")]);
        let json = r#"{"a \"b\": [1.50": "2.50", "c": [1, {"é": 3.50}, [], 4.00], "d": 5.00, "e": {"f": 0.5}}"#;
        assert_eq!(found(json), [at(r#"$."c"[1]."é""#, "3.50"), at(r#"$."c"[3]"#, "4.00"), at(r#"$."d""#, "5.00")]);
        let json = r#"{"a \"b\": [1.50": 2.50}"#;
        assert_eq!(found(json), [at(r#"$."a \"b\": [1.50""#, "2.50")]);
    }

    #[test]
    fn what_is_no_json_is_no_harm() {
        for text in ["", "}]}", "\"", "{,,:1.50", "[[[[", "-", "é1.50,\"\\"] {
            found(text);
        }
        assert_eq!(decimals(&Value::Null), Vec::new());
    }

    #[test]
    fn character_sets() {
        let column = |sql_type: &str, kind| Column {
            name: "c".into(),
            sql_type: sql_type.into(),
            kind,
            nullable: true,
            generated: false,
            definition: String::new(),
        };
        let text = column("varchar(9) CHARACTER SET cp932 COLLATE cp932_japanese_ci", Kind::Text);
        assert_eq!(two_ways(&text), Some("cp932"));
        for (sql_type, kind) in [
            ("varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", Kind::Text),
            ("enum('a') CHARACTER SET cp932 COLLATE cp932_bin", Kind::Text),
            ("blob", Kind::Bytes),
        ] {
            assert_eq!(two_ways(&column(sql_type, kind)), None);
        }
        assert!(is_delicate(&column("json", Kind::Json)) && !is_delicate(&column("int", Kind::Integer)));
    }
}
