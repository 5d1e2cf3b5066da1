//! Just enough of SQLite's grammar to read the statements that it keeps in `sqlite_schema`: words, quoted names,
//! parentheses. Never judges whether a statement is right; SQLite has accepted it already.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A keyword, a bare name or a number.
    Word,
    /// A name in `"…"`, `` `…` `` or `[…]`.
    Quoted,
    /// A literal in `'…'`.
    Literal,
    /// One character of anything else.
    Mark,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub class: Class,
    pub text: &'a str,
    pub start: usize,
}

impl Token<'_> {
    /// The byte after it.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is this keyword or character.
    pub fn is(&self, word: &str) -> bool {
        matches!(self.class, Class::Word | Class::Mark) && self.text.eq_ignore_ascii_case(word)
    }

    /// The name that it stands for. SQLite takes a literal for a name where only a name can stand.
    pub fn name(&self) -> String {
        let inner = || self.text.get(1..self.text.len().saturating_sub(1)).unwrap_or_default();
        match (self.class, self.text.chars().next()) {
            (Class::Quoted, Some('[')) => inner().to_owned(),
            (Class::Quoted | Class::Literal, Some(q)) => inner().replace(&format!("{q}{q}"), &q.to_string()),
            _ => self.text.to_owned(),
        }
    }
}

/// Cuts a statement into tokens, without comments and white space.
pub(super) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = sql[at..].chars().next() {
        let (length, class) = measure(&sql[at..], first);
        if let Some(class) = class {
            found.push(Token { class, text: &sql[at..at + length], start: at });
        }
        at += length;
    }
    found
}

/// How long the next piece is and what; nothing for comments and white space.
fn measure(rest: &str, first: char) -> (usize, Option<Class>) {
    match first {
        '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), None),
        '/' if rest.starts_with("/*") => (rest.find("*/").map_or(rest.len(), |i| i + 2), None),
        '\'' => (quoted(rest, '\''), Some(Class::Literal)),
        '"' | '`' => (quoted(rest, first), Some(Class::Quoted)),
        '[' => (rest.find(']').map_or(rest.len(), |i| i + 1), Some(Class::Quoted)),
        c if c.is_whitespace() => (c.len_utf8(), None),
        c if is_word(c) => (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), Some(Class::Word)),
        c => (c.len_utf8(), Some(Class::Mark)),
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// The length of a quoted piece; a doubled quote stands for itself.
fn quoted(rest: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(i) = rest[at..].find(quote) {
        at += i + 1;
        if !rest[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    rest.len()
}

/// The index of the parenthesis that closes the one at `open`.
pub(super) fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        if token.is("(") {
            depth += 1;
        } else if token.is(")") {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(i);
            }
        }
    }
    None
}

/// Cuts at every `separator` that is not inside parentheses.
pub(super) fn split<'t, 'a>(tokens: &'t [Token<'a>], separator: &str) -> Vec<&'t [Token<'a>]> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0i32);
    for (i, token) in tokens.iter().enumerate() {
        depth += i32::from(token.is("(")) - i32::from(token.is(")"));
        if depth == 0 && token.is(separator) {
            parts.push(&tokens[from..i]);
            from = i + 1;
        }
    }
    parts.push(&tokens[from..]);
    parts
}

/// The text that these tokens of `sql` were cut from.
pub(super) fn source<'a>(sql: &'a str, tokens: &[Token]) -> &'a str {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => &sql[first.start..last.end()],
        _ => "",
    }
}

/// The position of the first token that is this word and not inside parentheses.
pub(super) fn find(tokens: &[Token], word: &str) -> Option<usize> {
    let mut depth = 0i32;
    tokens.iter().position(|t| {
        depth += i32::from(t.is("(")) - i32::from(t.is(")"));
        depth == 0 && t.is(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        tokens(sql).into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn comments_and_quotes_hide_what_is_in_them() {
        let sql = "a -- ( b\n/* ) ' */ \"c\"\"(\" [d)] `e` 'f'')' x'00' 1.5é";
        assert_eq!(texts(sql), ["a", "\"c\"\"(\"", "[d)]", "`e`", "'f'')'", "x", "'00'", "1", ".", "5é"]);
    }

    #[test]
    fn names_lose_their_quotes() {
        let names: Vec<String> = tokens("\"a\"\"b\" [c d] `e``f` 'g' h").iter().map(Token::name).collect();
        assert_eq!(names, ["a\"b", "c d", "e`f", "g", "h"]);
    }

    #[test]
    fn unfinished_text_ends_at_the_end() {
        for sql in ["'abc", "\"", "[x", "/* x", "-- x", "'a''"] {
            tokens(sql);
        }
    }

    #[test]
    fn splits_and_finds_only_outside_parentheses() {
        let sql = "a (b, c COLLATE x), d COLLATE y";
        let all = tokens(sql);
        let parts: Vec<&str> = split(&all, ",").into_iter().map(|t| source(sql, t)).collect();
        assert_eq!(parts, ["a (b, c COLLATE x)", "d COLLATE y"]);
        assert_eq!(find(&all, "collate"), Some(10));
        assert_eq!(closing(&all, 1), Some(7));
    }
}
