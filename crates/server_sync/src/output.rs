//! Where words go: standard output for results, standard error for trouble. Every piece of text is freed of control
//! characters here, so that no value and no message of a server can move the cursor of a terminal. A reader that closed
//! its end is no trouble: what is left is said to nobody.

use std::io::{IsTerminal, Write};

use crate::arguments::Color;
use crate::lang::Lang;

/// How a piece of text looks on a terminal with colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// Titles and names.
    Bold,
    /// What matters less.
    Dim,
    /// Good.
    Green,
    /// To be looked at.
    Yellow,
    /// Bad.
    Red,
    /// The values of one side.
    Cyan,
    /// The values of the other side.
    Magenta,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Bold => "\x1b[1m",
            Style::Dim => "\x1b[2m",
            Style::Green => "\x1b[32m",
            Style::Yellow => "\x1b[33m",
            Style::Red => "\x1b[31m",
            Style::Cyan => "\x1b[36m",
            Style::Magenta => "\x1b[35m",
        }
    }
}

/// A line, or several, in pieces of different style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Line::default()
    }

    /// Adds a piece.
    pub fn add(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// Adds a piece as it is.
    pub fn plain(self, text: impl Into<String>) -> Self {
        self.add(Style::Plain, text)
    }

    /// Adds a piece and spaces up to `width` characters.
    pub fn cell(self, style: Style, text: &str, width: usize) -> Self {
        let padding = " ".repeat(width.saturating_sub(text.chars().count()));
        self.add(style, text).plain(padding)
    }

    /// As it is written, control characters replaced.
    pub fn render(&self, color: bool) -> String {
        let mut out = String::new();
        for (style, text) in &self.0 {
            match color && *style != Style::Plain {
                true => out.extend([style.code(), &clean(text), "\x1b[0m"]),
                false => out.push_str(&clean(text)),
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out
    }
}

impl<T: Into<String>> From<T> for Line {
    fn from(text: T) -> Self {
        Line::new().plain(text)
    }
}

/// Without control characters (but line ends), and without those that change the direction of writing.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) && c != '\n' { '\u{b7}' } else { c }).collect()
}

/// Whether a character does something to a terminal instead of showing.
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Where and how to say things.
#[derive(Debug)]
pub struct Output {
    /// The language.
    pub lang: Lang,
    /// Whether programs read it.
    pub json: bool,
    /// 0 as usual, above it more, below it errors only.
    pub verbosity: i8,
    color: Color,
}

impl Output {
    /// An output in this language; everything else as usual.
    pub fn new(lang: Lang, color: Color) -> Self {
        Output { lang, json: false, verbosity: 0, color }
    }

    /// Says a line of the result to people.
    pub fn say(&self, line: impl Into<Line>) {
        if !self.json && self.verbosity >= 0 {
            write(std::io::stdout(), &line.into().render(self.colors(std::io::stdout().is_terminal())));
        }
    }

    /// Says a line only if more was asked for.
    pub fn say_more(&self, line: impl Into<Line>) {
        if self.verbosity > 0 {
            self.say(line);
        }
    }

    /// Writes one object for programs.
    pub fn object(&self, object: &impl serde::Serialize) {
        if self.json {
            write(std::io::stdout(), &json_line(object));
        }
    }

    /// Writes one object for programs to standard error.
    pub fn error_object(&self, object: &impl serde::Serialize) {
        write(std::io::stderr(), &json_line(object));
    }

    /// Writes text as it is: what is meant to go into a file.
    pub fn raw(&self, text: &str) {
        write(std::io::stdout(), text.trim_end_matches('\n'));
    }

    /// Says a line on standard error.
    pub fn complain(&self, line: impl Into<Line>) {
        write(std::io::stderr(), &line.into().render(self.colors(std::io::stderr().is_terminal())));
    }

    /// Whether progress can be shown.
    pub fn shows_progress(&self) -> bool {
        !self.json && self.verbosity >= 0 && std::io::stderr().is_terminal()
    }

    fn colors(&self, terminal: bool) -> bool {
        let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|t| t != "dumb"),
        }
    }

    /// The same judgement for clap, which prints help.
    pub fn clap_colors(&self, terminal: bool) -> clap::ColorChoice {
        if self.colors(terminal) { clap::ColorChoice::Always } else { clap::ColorChoice::Never }
    }
}

/// One line of JSON; whatever a terminal would obey is escaped.
fn json_line(object: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(object).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_harmful(c) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
    }
    out
}

/// A closed reader is no error, and for any other there is nowhere to say it.
fn write(mut to: impl Write, text: &str) {
    let _ = to.write_all(format!("{text}\n").as_bytes()).and_then(|()| to.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_reaches_a_terminal_with_control_characters() {
        let line = Line::new().add(Style::Red, "a\x1b[2Jb\u{9b}c").plain("\u{202e}d\r\ne");
        assert_eq!(line.render(false), "a·[2Jb·c·d·\ne");
        assert_eq!(line.render(true), "\x1b[31ma·[2Jb·c\x1b[0m·d·\ne");
    }

    #[test]
    fn json_escapes_what_a_terminal_would_obey() {
        let line = json_line(&serde_json::json!({ "v": "a\x1b\u{9b}\u{7f}é" }));
        assert_eq!(line, r#"{"v":"a\u001b\u009b\u007fé"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["v"], "a\x1b\u{9b}\u{7f}é");
    }

    #[test]
    fn cells_are_padded_by_characters() {
        assert_eq!(Line::new().cell(Style::Bold, "é", 3).plain("|").render(false), "é  |");
    }
}
