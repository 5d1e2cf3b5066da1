//! What the person or the system asks by signals. A single round may be cut off anywhere, so it simply ends; what the
//! daemon does with signals is in its own command.

use std::io::Write;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sync_engine::Kind;

use crate::lang::Lang;

/// Ends the process with the exit code for it at the first SIGINT or SIGTERM, saying that nothing is lost.
pub fn end_at_signal(lang: Lang) {
    // Without the handler the process ends at a signal as well, only without words.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _ = writeln!(std::io::stderr(), "\n{}", lang.interrupted());
            std::process::exit(Kind::Interrupted.exit_code().into());
        }
    });
}
