//! Column types: as they are declared, and in the one form in which MariaDB's and MySQL's are compared. Text only.

use super::Flavour;
use crate::counters::Range;
use crate::schema::Kind;

/// A type as `information_schema` gives it, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Type {
    /// As the server writes it, without character set and without comments.
    declared: String,
    /// The word it begins with, in lower case.
    base: String,
    charset: String,
    collation: String,
}

impl Type {
    /// Takes `COLUMN_TYPE` apart. Character set and collation are empty for types that have none.
    pub fn parse(column_type: &str, charset: &str, collation: &str) -> Self {
        let declared = without_comments(column_type);
        let base: String = declared.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        let (charset, collation) = (charset.to_owned(), collation.to_owned());
        Type { base: base.to_ascii_lowercase(), declared, charset, collation }
    }

    /// As it is written in CREATE TABLE.
    pub fn sql(&self) -> String {
        match self.charset.as_str() {
            "" => self.declared.clone(),
            charset => format!("{} CHARACTER SET {charset} COLLATE {}", self.declared, self.collation),
        }
    }

    /// What values it holds.
    pub fn kind(&self, flavour: Flavour) -> Kind {
        match self.base.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "bit" | "year" => Kind::Integer,
            "float" | "double" => Kind::Float,
            "decimal" | "date" | "datetime" | "timestamp" | "time" => Kind::Exact,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" => Kind::Text,
            "json" if flavour == Flavour::MySql => Kind::Json,
            "json" => Kind::Text,
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
            | "geometrycollection" | "geomcollection" => Kind::Geometry,
            _ => Kind::Bytes,
        }
    }

    /// The line that goes into the table's fingerprint.
    pub fn definition(&self, name: &str, nullable: bool, generated: bool) -> String {
        if generated {
            // Computed at every site for itself; servers write the expression differently.
            return format!("{name} generated");
        }
        let null = if nullable { "" } else { " not null" };
        format!("{name} {}{}{null}", self.normal(), self.normal_charset())
    }

    fn normal(&self) -> String {
        let lower = self.declared.to_ascii_lowercase();
        match self.base.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => {
                let unsigned = if lower.contains("unsigned") || lower.contains("zerofill") { " unsigned" } else { "" };
                format!("{}{unsigned}", self.base)
            }
            "year" => "year".to_owned(),
            "geomcollection" => "geometrycollection".to_owned(),
            "float" | "double" | "decimal" => lower.replace(" zerofill", ""),
            "enum" | "set" => format!("{}{}", self.base, &self.declared[self.base.len()..]),
            _ => lower,
        }
    }

    fn normal_charset(&self) -> String {
        match self.charset.as_str() {
            "" => String::new(),
            "utf8" => " utf8mb3".to_owned(),
            other => format!(" {other}"),
        }
    }
}

/// The definition of a key column: which values are equal depends on the collation, so it counts.
pub(super) fn with_collation(definition: &str, sql_type: &str) -> String {
    match sql_type.rsplit_once(" COLLATE ") {
        Some((_, collation)) => {
            let name = collation.strip_prefix("utf8_").map_or(collation.to_owned(), |rest| format!("utf8mb3_{rest}"));
            format!("{definition} collate {name}")
        }
        None => definition.to_owned(),
    }
}

/// `DECIMAL(65,30)`, if that is the type, without UNSIGNED and ZEROFILL.
pub(super) fn decimal(sql_type: &str) -> Option<&str> {
    let is_decimal = sql_type.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("decimal("));
    sql_type.find(')').filter(|_| is_decimal).map(|end| &sql_type[..=end])
}

/// What a column of this type can hold, if it could merge by adding.
pub(super) fn range(sql_type: &str) -> Option<Range> {
    let lower = sql_type.to_ascii_lowercase();
    let unsigned = lower.contains("unsigned");
    let base: String = lower.chars().take_while(char::is_ascii_alphanumeric).collect();
    let bits = match base.as_str() {
        // Zeros in front would have to be told from a decimal's.
        _ if lower.contains("zerofill") => return None,
        "tinyint" => 8,
        "smallint" => 16,
        "mediumint" => 24,
        "int" => 32,
        "bigint" => 64,
        "decimal" => {
            let (digits, places) = decimal(&lower)?.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
            return Range::decimal(digits.trim().parse().ok()?, places.trim().parse().ok()?, unsigned);
        }
        _ => return None,
    };
    Range::integer(bits, unsigned)
}

/// The condition that two values given as `?` are equal in a column of this type, as [`Type::sql`] writes it.
pub(super) fn equal(sql_type: &str) -> String {
    match sql_type.rsplit_once(" CHARACTER SET ").and_then(|(_, rest)| rest.split_once(" COLLATE ")) {
        Some((charset, collation)) => {
            format!("CONVERT(? USING {charset}) COLLATE {collation} = CONVERT(? USING {charset})")
        }
        None => "? = ?".to_owned(),
    }
}

/// The number by which a server sorts a value of an ENUM (its position, 0 for the empty value that is no label) or a SET
/// (its bits); nothing for other types.
pub(super) fn position(sql_type: &str, text: &str) -> Option<u64> {
    let (word, labels) = sql_type.split_once('(')?;
    let labels = labels_of(labels);
    match word.to_ascii_lowercase().as_str() {
        "enum" => Some(labels.iter().position(|l| l == text).map_or(0, |at| at as u64 + 1)),
        "set" => {
            let is_there = |label: &String| text.split(',').any(|t| t == label);
            let bits = labels.iter().enumerate().filter(|(_, label)| is_there(label));
            Some(bits.fold(0, |sum, (at, _)| sum | 1 << (at % 64)))
        }
        _ => None,
    }
}

/// The labels of an ENUM or SET, from behind the bracket.
fn labels_of(mut rest: &str) -> Vec<String> {
    let mut labels = Vec::new();
    while let Some(quoted) = rest.strip_prefix('\'') {
        let mut end = quoted.find('\'').unwrap_or(quoted.len());
        while quoted[end..].starts_with("''") {
            end += 2 + quoted[end + 2..].find('\'').unwrap_or(quoted.len() - end - 2);
        }
        labels.push(quoted[..end].replace("''", "'"));
        rest = quoted.get(end + 1..).unwrap_or_default().trim_start_matches(',');
    }
    labels
}

/// MariaDB appends `/*M!100301 COMPRESSED*/` and `/* mariadb-5.3 */`; neither changes what values there are. Labels
/// of ENUM and SET may hold anything and are left alone.
fn without_comments(column_type: &str) -> String {
    let tail = column_type.rfind(['\'', ')']).map_or(0, |i| i + 1);
    match column_type[tail..].find("/*") {
        Some(i) => column_type[..tail + i].trim_end().to_owned(),
        None => column_type.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(column_type: &str, charset: &str) -> String {
        let collation = format!("{charset}_general_ci");
        Type::parse(column_type, charset, &collation).definition("c", true, false)
    }

    #[test]
    fn what_means_the_same_is_written_the_same() {
        let equal = [
            ("int(11)", "int"),
            ("smallint(5) unsigned", "smallint unsigned"),
            ("tinyint(1)", "tinyint"),
            ("tinyint(3) unsigned zerofill", "tinyint unsigned"),
            ("year(4)", "year"),
            ("geomcollection", "geometrycollection"),
            ("datetime /* mariadb-5.3 */", "datetime"),
            ("double(8,3) unsigned zerofill", "double(8,3) unsigned"),
        ];
        for (a, b) in equal {
            assert_eq!(line(a, ""), line(b, ""), "{a}");
        }
        assert_eq!(line("varchar(20)", "utf8"), line("varchar(20)", "utf8mb3"));
        assert_eq!(line("varchar(20) /*M!100301 COMPRESSED*/", "latin1"), line("varchar(20)", "latin1"));
    }

    #[test]
    fn what_holds_other_values_is_written_differently() {
        let different = [
            ("int(11)", "int(11) unsigned"),
            ("decimal(10,2)", "decimal(10,3)"),
            ("float", "float(7,2)"),
            ("datetime", "datetime(6)"),
            ("json", "longtext"),
            ("bit(1)", "bit(2)"),
            ("enum('a','b')", "enum('b','a')"),
            ("enum('a')", "enum('A')"),
        ];
        for (a, b) in different {
            assert_ne!(line(a, ""), line(b, ""), "{a}");
        }
        assert_ne!(line("varchar(20)", "utf8mb4"), line("varchar(20)", "latin1"));
    }

    #[test]
    fn labels_are_kept_exactly() {
        let labels = "enum('a /* b */','c'')','D')";
        let parsed = Type::parse(labels, "utf8mb4", "utf8mb4_bin");
        assert_eq!(parsed.sql(), format!("{labels} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"));
        assert_eq!(parsed.definition("c", false, false), format!("c {labels} utf8mb4 not null"));
    }

    #[test]
    fn only_key_columns_name_their_collation() {
        let parsed = Type::parse("varchar(9)", "utf8", "utf8_bin");
        let plain = parsed.definition("c", false, false);
        assert_eq!(plain, "c varchar(9) utf8mb3 not null");
        assert_eq!(with_collation(&plain, &parsed.sql()), format!("{plain} collate utf8mb3_bin"));
    }

    #[test]
    fn parts_of_types() {
        assert_eq!(decimal("decimal(65,30) unsigned zerofill"), Some("decimal(65,30)"));
        assert_eq!(decimal("double(9,2)"), None);
        let labels = "('a)','b''','','é') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
        for (text, in_enum, in_set) in
            [("a)", 1, 1), ("b'", 2, 2), ("", 3, 4), ("é", 4, 8), ("?", 0, 0), ("a),é", 0, 9)]
        {
            assert_eq!(position(&format!("enum{labels}"), text), Some(in_enum), "{text}");
            assert_eq!(position(&format!("set{labels}"), text), Some(in_set), "{text}");
        }
        assert_eq!(position("varchar(9)", "a"), None);
    }

    #[test]
    fn kinds() {
        let kind = |t| Type::parse(t, "", "").kind(Flavour::MySql);
        assert_eq!(kind("json"), Kind::Json);
        assert_eq!(Type::parse("json", "", "").kind(Flavour::MariaDb), Kind::Text);
        assert_eq!(kind("bigint(20) unsigned"), Kind::Integer);
        assert_eq!(kind("uuid"), Kind::Bytes);
        assert_eq!(kind("multipoint"), Kind::Geometry);
        assert_eq!(kind("set('a')"), Kind::Text);
    }
}
