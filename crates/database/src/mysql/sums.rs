//! What a server hashes of a row by itself. Text only.
//!
//! Each column's part ends where it says it does, so that no two rows have the same parts: numbers and times end with a
//! comma, texts and bytes begin with their length, NULL is `n`, and what can be large stands for itself by a hash of its
//! own. Both servers write the parts alike. A function that gives NULL because a value is larger than the server's packets
//! makes the whole hash NULL.

use super::names::quote;
use crate::exact;
use crate::schema::{Column, Kind};

/// The part of a column, if there is an exact one.
pub(super) fn part(column: &Column) -> Option<String> {
    let name = quote(&column.name);
    let part = match column.kind {
        Kind::Integer => ended(&format!("{name}+0")),
        Kind::Exact if is_zero_filled(column) => ended(&format!("{name}+0")),
        Kind::Exact => ended(&name),
        Kind::Float => float(column, &name)?,
        Kind::Text if exact::two_ways(column).is_some() => return None,
        Kind::Text | Kind::Json => bytes(column, &format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY)")),
        Kind::Bytes if is_any(column, &["uuid", "inet4", "inet6"]) => ended(&name),
        Kind::Bytes if is_any(column, &["binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"]) => {
            bytes(column, &name)
        }
        Kind::Bytes | Kind::Geometry => return None,
    };
    Some(if column.nullable { format!("IF({name} IS NULL,'n',{part})") } else { part })
}

/// The hash of a row: the first 64 bits of SHA-256.
pub(super) fn hash(parts: &[String]) -> String {
    format!("CAST(CONV(LEFT(SHA2(CONCAT({}),256),16),16,10) AS UNSIGNED)", parts.join(","))
}

fn ended(value: &str) -> String {
    format!("CONCAT({value},',')")
}

fn bytes(column: &Column, value: &str) -> String {
    match is_large(column) {
        true => format!("SHA2({value},256)"),
        false => format!("CONCAT(LENGTH({value}),':',{value})"),
    }
}

/// The text of a DOUBLE that is a column has all of its digits. That of an expression may not have, on MySQL: a FLOAT's
/// are few enough, without its sign. Zeros are told apart by the angle, as MariaDB writes them alike.
fn float(column: &Column, name: &str) -> Option<String> {
    let value = match word(column) {
        "float" => format!("CONCAT(IF({name}<0,'-',''),ABS({name}*1e0),',')"),
        "double" if !column.sql_type.contains('(') && !is_zero_filled(column) => ended(name),
        _ => return None,
    };
    Some(format!("IF({name}=0,IF(ATAN2({name},-1)<0,'-0,','0,'),{value})"))
}

fn is_zero_filled(column: &Column) -> bool {
    column.sql_type.to_ascii_lowercase().contains("zerofill")
}

/// The type's first word.
fn word(column: &Column) -> &str {
    let end = column.sql_type.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(column.sql_type.len());
    &column.sql_type[..end]
}

fn is_any(column: &Column, types: &[&str]) -> bool {
    types.iter().any(|t| word(column).eq_ignore_ascii_case(t))
}

fn is_large(column: &Column) -> bool {
    let length = column.sql_type.split_once('(').and_then(|(_, rest)| rest.split_once(')')?.0.parse::<u32>().ok());
    let is_short = is_any(column, &["char", "varchar", "binary", "varbinary"]) && length.is_some_and(|n| n <= 1024);
    !is_short && !is_any(column, &["enum", "set"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(sql_type: &str, kind: Kind, nullable: bool) -> Column {
        Column {
            name: "c".into(),
            sql_type: sql_type.into(),
            kind,
            nullable,
            generated: false,
            definition: String::new(),
        }
    }

    #[test]
    fn what_has_no_exact_text_is_left_to_whoever_reads_the_bits() {
        for (sql_type, kind) in [
            ("double(10,2)", Kind::Float),
            ("double unsigned zerofill", Kind::Float),
            ("point", Kind::Geometry),
            ("varchar(9) CHARACTER SET cp932 COLLATE cp932_bin", Kind::Text),
            ("vector(3)", Kind::Bytes),
        ] {
            assert_eq!(part(&column(sql_type, kind, true)), None, "{sql_type}");
        }
    }

    #[test]
    fn parts_end_where_they_say() {
        assert_eq!(part(&column("int", Kind::Integer, false)).as_deref(), Some("CONCAT(`c`+0,',')"));
        assert_eq!(part(&column("date", Kind::Exact, true)).as_deref(), Some("IF(`c` IS NULL,'n',CONCAT(`c`,','))"));
        let short = part(&column("varbinary(20)", Kind::Bytes, false));
        assert_eq!(short.as_deref(), Some("CONCAT(LENGTH(`c`),':',`c`)"));
        for large in ["longblob", "varbinary(2000)"] {
            assert_eq!(part(&column(large, Kind::Bytes, false)).as_deref(), Some("SHA2(`c`,256)"));
        }
    }
}
