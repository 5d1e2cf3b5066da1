//! Asking a person before something that cannot simply be taken back: whoever means it writes the name of the virtual desktop.
//! Decides nothing.

use std::io::{BufRead, IsTerminal, Write};

use sync_config::Settings;

use crate::failure::{Failure, Result};
use crate::output::Output;

/// Refuses with this where nobody can be asked.
pub fn needs_terminal(refusal: impl FnOnce() -> Failure) -> Result<()> {
    if std::io::stdin().is_terminal() { Ok(()) } else { Err(refusal()) }
}

/// Asks; says whether the answer is the name of the virtual desktop.
pub fn is_meant(settings: &Settings, question: String, output: &Output) -> bool {
    output.complain(question);
    let _ = write!(std::io::stderr(), "> ").and_then(|()| std::io::stderr().flush());
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && answer.trim() == settings.vd.as_str()
}
