//! What ended a command: a message, what to do now, and the exit code. The errors of the libraries become this here.

use sync_config::{ConfigError, NotConfigured};
use sync_engine::{EngineError, Kind};
use sync_store::StoreError;

use crate::json;
use crate::lang::Lang;
use crate::output::{Line, Output, Style};

/// The result of a command.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why a command did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What happened, to which thing.
    pub message: String,
    /// What to do now.
    pub hint: Option<String>,
}

/// Wrong arguments.
pub const USAGE: u8 = 2;
/// Done, but conflicts or skipped items remain.
pub const REMAINS: u8 = 3;

impl Failure {
    /// A mistake on the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure { code: USAGE, message: message.into(), hint: None }
    }

    /// Any other failure.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure { code: kind.exit_code(), message: message.into(), hint: None }
    }

    /// With what to do now.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An error of the settings.
    pub fn of_settings(error: ConfigError, lang: Lang) -> Self {
        let code = match &error {
            ConfigError::VdName { .. } => USAGE,
            ConfigError::NotConfigured(_) => Kind::NotConfigured.exit_code(),
            _ => Kind::Configuration.exit_code(),
        };
        match error {
            ConfigError::NotConfigured(e) => not_configured(&e, lang),
            other => Failure { code, message: other.to_string(), hint: None },
        }
    }

    /// Tells it on standard error.
    pub fn tell(&self, output: &Output) {
        if output.json {
            return output.error_object(&json::ExitError::new(self));
        }
        let line = Line::new().add(Style::Red, output.lang.error()).plain(" ").plain(&self.message);
        output.complain(line);
        if let Some(hint) = &self.hint {
            let lines: Vec<String> = hint.lines().map(|l| format!("  {}", l.trim_start())).collect();
            output.complain(Line::new().add(Style::Dim, lines.join("\n")));
        }
    }
}

fn not_configured(e: &NotConfigured, lang: Lang) -> Failure {
    let (vd, file) = (&e.vd, e.file.display().to_string());
    if e.file_exists {
        return Failure::new(Kind::NotConfigured, lang.no_mode(vd, &file)).hint(lang.no_mode_hint());
    }
    let others: Vec<&str> = e.others.iter().map(|n| n.as_str()).collect();
    let mut hint = if others.is_empty() { String::new() } else { lang.configured_here(others.join(", ")) + "\n" };
    hint += &lang.how_to_configure(format!("{}-vd {vd}", elsewhere(e)), &file);
    Failure::new(Kind::NotConfigured, lang.no_settings(vd, &file)).hint(hint)
}

/// The option that leads the proposed commands to the same directory.
fn elsewhere(e: &NotConfigured) -> String {
    match e.file.parent() {
        Some(dir) if dir != std::path::Path::new(sync_config::DEFAULT_DIRECTORY) => {
            format!("--config-dir {} ", dir.display())
        }
        _ => String::new(),
    }
}

impl From<EngineError> for Failure {
    fn from(e: EngineError) -> Self {
        Failure { code: e.kind.exit_code(), message: e.message, hint: e.hint }
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        EngineError::from(e).into()
    }
}

/// From harmless to grave; of several links' exit codes the gravest counts.
const GRAVITY: [u8; 10] = [0, REMAINS, 20, 11, 25, 12, 10, 78, 1, 130];

/// The graver of two exit codes.
pub fn worse(a: u8, b: u8) -> u8 {
    let rank = |code: u8| GRAVITY.iter().position(|c| *c == code).unwrap_or(GRAVITY.len());
    if rank(b) > rank(a) { b } else { a }
}

/// The name of an exit code in JSON.
pub fn code_name(code: u8) -> &'static str {
    match code {
        0 => "in_sync",
        USAGE => "usage",
        REMAINS => "remains",
        10 => "not_configured",
        11 => "locked",
        12 => "authentication",
        20 => "unreachable",
        25 => "halt",
        78 => "configuration",
        130 => "interrupted",
        _ => "failure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_code_counts() {
        assert_eq!(worse(0, REMAINS), REMAINS);
        assert_eq!(worse(20, REMAINS), 20);
        assert_eq!(worse(1, 20), 1);
        assert_eq!(worse(78, 25), 78);
    }
}
