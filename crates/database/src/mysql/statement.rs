//! The statement that made a trigger, exactly. `information_schema` cannot be trusted with it: MySQL garbles doubled
//! backticks there, and both lose characters of four bytes. Reads only.

use sync_store::{Result, StoreError, Trouble};

use super::Flavour;
use super::names::quote;
use crate::sql::{Fields, Sql};

/// A CREATE TRIGGER statement, cut around what stands before its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// `CREATE DEFINER=… TRIGGER … FOR EACH ROW`.
    pub header: String,
    /// White space, on MariaDB also comments; behind FOLLOWS or PRECEDES it is kept, before that it is not.
    pub gap: String,
    /// The statement that the trigger runs.
    pub body: String,
}

/// Reads the statement of a trigger.
pub(super) fn read(sql: &mut dyn Sql, flavour: Flavour, trigger: &str) -> Result<Statement> {
    let row = sql.first(&format!("SHOW CREATE TRIGGER {}", quote(trigger)), &[])?;
    let text = match row.and_then(|row| row.into_iter().nth(2)) {
        Some(value) if !value.is_null() => Fields::of(vec![value]).bytes()?,
        _ => return Err(unreadable(trigger, "the server does not show it")),
    };
    let text = String::from_utf8(text).map_err(|_| unreadable(trigger, "it is not in a known character set"))?;
    split(&text, flavour).ok_or_else(|| unreadable(trigger, "it has no FOR EACH ROW"))
}

fn unreadable(trigger: &str, why: &str) -> StoreError {
    StoreError::new(Trouble::Privilege, format!("the statement of trigger {trigger} cannot be read: {why}"))
        .hint("the account needs the TRIGGER privilege on the database")
}

/// Cuts a statement behind FOR EACH ROW; the three words may stand anywhere in names, strings and comments before.
fn split(text: &str, flavour: Flavour) -> Option<Statement> {
    let mut words = Words { text, at: 0, escaping: "" };
    let mut last = [""; 3];
    while let Some(word) = words.next() {
        last = [last[1], last[2], word];
        if last.iter().zip(["for", "each", "row"]).all(|(a, b)| a.eq_ignore_ascii_case(b)) {
            let end = words.at;
            let body = body_begins(&mut words, flavour);
            let [header, gap, body] = [&text[..end], &text[end..body], &text[body..]].map(str::to_owned);
            return Some(Statement { header, gap, body });
        }
    }
    None
}

/// Where the server makes the body begin: MySQL counts comments as part of it, and shows one blank before.
fn body_begins(words: &mut Words, flavour: Flavour) -> usize {
    match flavour {
        Flavour::MariaDb => words.skip(),
        Flavour::MySql => words.at += usize::from(words.rest().starts_with(' ')),
    }
    words.at
}

/// Whether a body ends with what separates statements: MySQL counts it as part of a body, if several statements were
/// sent at once.
pub(super) fn is_separated(body: &str, sql_mode: &str) -> bool {
    let has = |mode: &str| sql_mode.split(',').any(|m| m == mode);
    let escaping = match (has("NO_BACKSLASH_ESCAPES"), has("ANSI_QUOTES")) {
        (true, _) => "",
        (_, true) => "'",
        _ => "'\"",
    };
    Words { text: body, at: 0, escaping }.last() == Some(";")
}

/// The tokens of a statement: words, quoted names and single characters; without white space and comments.
struct Words<'a> {
    text: &'a str,
    at: usize,
    /// The quotes between which a backslash takes the next character as it is.
    escaping: &'static str,
}

impl<'a> Words<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let space = rest.len() - rest.trim_start().len();
            let comment = comment_length(&rest[space..]);
            self.at += space + comment;
            if space + comment == 0 {
                return;
            }
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.skip();
        let rest = self.rest();
        let first = rest.chars().next()?;
        let length = match first {
            '`' | '"' | '\'' => quoted_length(rest, first, self.escaping.contains(first)),
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        self.at += length;
        Some(&rest[..length])
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// The length of a quoted text with its quotes; a doubled quote begins another, which comes to the same.
fn quoted_length(text: &str, quote: char, escapes: bool) -> usize {
    let mut escaped = false;
    let closes = |c: char| {
        let closes = c == quote && !escaped;
        escaped = escapes && c == '\\' && !escaped;
        closes
    };
    text[1..].find(closes).map_or(text.len(), |end| end + 2)
}

/// The length of the comment that a text begins with. The opening and closing of `/*!50003 … */` count by themselves,
/// as what is in them is not a comment.
fn comment_length(text: &str) -> usize {
    let until = |end: &str| text.find(end).map_or(text.len(), |at| at + end.len());
    if text.starts_with("/*!") || text.starts_with("/*M!") {
        let digits = text.find('!').map_or(0, |at| at + 1);
        return digits + text[digits..].bytes().take_while(u8::is_ascii_digit).count();
    }
    if text.starts_with("*/") {
        return 2;
    }
    if text.starts_with("/*") {
        return until("*/");
    }
    let dashes = text.strip_prefix("--").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
    if dashes || text.starts_with('#') { until("\n") } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_where_the_body_begins() {
        let table = [
            ("CREATE DEFINER=`a`@`b` TRIGGER `t` BEFORE INSERT ON `x` FOR EACH ROW set new.a=1", "set new.a=1"),
            ("create trigger t before insert on x for\teach\n row\n\n  begin end", "begin end"),
            ("create trigger `for each row` before insert on x /* for each row */ for each row begin end", "begin end"),
            ("create trigger t after insert on \"for each row\" -- for each row\n for each row call p()", "call p()"),
            ("CREATE TRIGGER é AFTER INSERT ON `a``b` FOR EACH ROW `lab``el`: BEGIN END", "`lab``el`: BEGIN END"),
            ("create trigger t after insert on x for each row # why\n set @a = 1 -- end", "set @a = 1 -- end"),
        ];
        for (statement, body) in table {
            let cut = split(statement, Flavour::MariaDb).unwrap();
            assert_eq!(cut.body, body);
            assert!(cut.header.to_ascii_lowercase().ends_with("row"));
            assert_eq!(format!("{}{}{}", cut.header, cut.gap, cut.body), statement);
        }
        let commented = "CREATE TRIGGER `t` BEFORE INSERT ON `x` FOR EACH ROW  /* why */ do 1";
        assert_eq!(split(commented, Flavour::MySql).unwrap().body, " /* why */ do 1");
    }

    #[test]
    fn a_separator_at_the_end() {
        let yes = [
            "set new.a = 1;",
            "do 1;\n -- end;",
            "do 1; /* end */",
            "do '\\';--';",
            "do \"x\\\"\"; # \"",
            "/*!50003 do 1;*/",
        ];
        for body in yes {
            assert!(is_separated(body, "STRICT_ALL_TABLES"), "{body}");
        }
        let no =
            ["set new.a = 1", "begin do 1; end", "do 1 -- ;", "do 1 # ;", "do 1 /* ; */", "do ';'", "do '\\';'", ""];
        for body in no {
            assert!(!is_separated(body, ""), "{body}");
        }
        assert!(is_separated("do '\\';", "X,NO_BACKSLASH_ESCAPES") && !is_separated("do '\\';'", ""));
        assert!(is_separated("do \"\\\";", "ANSI_QUOTES") && !is_separated("do \"\\\";\"", ""));
    }

    #[test]
    fn what_is_no_trigger_is_not_cut() {
        assert_eq!(split("CREATE TABLE `for each row` (a INT)", Flavour::MariaDb), None);
        assert_eq!(split("for each", Flavour::MySql), None);
        assert_eq!(split("`unclosed", Flavour::MariaDb), None);
    }
}
