//! What the text of a column's type says of its values.

use sync_core::Value;

/// Types that can have ON UPDATE CURRENT_TIMESTAMP. Which of them do is not asked: to name them all is harmless.
pub(super) fn is_automatic(sql_type: &str) -> bool {
    let t = sql_type.to_ascii_lowercase();
    t.starts_with("timestamp") || t.starts_with("datetime")
}

/// Types whose values can exceed what a page of rows may weigh.
pub(super) fn is_bulky(sql_type: &str) -> bool {
    let t = sql_type.to_ascii_lowercase();
    t.is_empty()
        || ["blob", "text", "json", "geom", "char(", "clob"].iter().any(|word| t.contains(word)) && !is_short(&t)
}

pub(super) fn is_empty_text(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.is_empty())
}

/// Whether a type is an ENUM without an empty label. Labels are quoted, with doubled quotes in them.
pub(super) fn lacks_empty_label(sql_type: &str) -> bool {
    let is_enum = sql_type.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("enum("));
    let mut rest = sql_type.get(5..).unwrap_or_default();
    while let Some(label) = rest.strip_prefix('\'') {
        let end = label_length(label);
        if end == 0 {
            return false;
        }
        rest = label.get(end + 1..).unwrap_or_default().trim_start_matches(',');
    }
    is_enum
}

/// Up to the quote that closes a label.
fn label_length(label: &str) -> usize {
    let bytes = label.as_bytes();
    let mut at = 0;
    while at < bytes.len() && (bytes[at] != b'\'' || bytes.get(at + 1) == Some(&b'\'')) {
        at += if bytes[at] == b'\'' { 2 } else { 1 };
    }
    at
}

/// CHAR and VARCHAR that cannot hold more than a few hundred characters.
fn is_short(sql_type: &str) -> bool {
    sql_type.contains("char(") && type_length(sql_type).is_some_and(|n| n <= 1024)
}

/// The number in the parentheses of a type.
pub(crate) fn type_length(sql_type: &str) -> Option<u32> {
    let digits: String = sql_type.chars().skip_while(|c| *c != '(').skip(1).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enums_without_an_empty_label() {
        for t in ["enum('a','b')", "ENUM('a''',''',') CHARACTER SET latin1", "enum(' ')", "enum('),''','''''')"] {
            assert!(lacks_empty_label(t), "{t}");
        }
        for t in ["enum('')", "enum('a''','','b') CHARACTER SET utf8mb4", "enum('é','')", "set('a')", "varchar(5)", "é"]
        {
            assert!(!lacks_empty_label(t), "{t}");
        }
    }

    #[test]
    fn bulky_types() {
        for t in ["longblob", "text CHARACTER SET latin1", "varchar(4000)", "json", "geometry", ""] {
            assert!(is_bulky(t), "{t}");
        }
        for t in ["int", "varchar(255) CHARACTER SET utf8mb4", "decimal(10,2)", "datetime(6)", "char(2)"] {
            assert!(!is_bulky(t), "{t}");
        }
    }
}
