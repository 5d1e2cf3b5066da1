//! `server_sync lock -vd NAME -- COMMAND`: runs a command while no round runs. The exit code is the command's own.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use sync_engine::{Kind, lock, open};

use crate::arguments::Cli;
use crate::commands::settings;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Runs the command under the run lock.
pub fn run(cli: &Cli, command: &[OsString], output: &Output) -> Result<u8> {
    let settings = settings(&cli.common, output.lang)?;
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::usage(output.lang.command_missing()));
    };
    // Only the program's name: arguments may be secret, and the lock file can be read by others.
    let purpose = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
    let _lock = lock::acquire(&settings.state_dir(), &purpose, cli.common.force)?;
    let _away = open::upgrade_lock(&settings)?;
    let signals = Signals::new(forwarded()).map_err(|e| Failure::new(Kind::Failure, e.to_string()))?;
    let child = Command::new(program).args(arguments).spawn().map_err(|e| cannot_run(program, &e, output))?;
    let status = wait(child, signals).map_err(|e| Failure::new(Kind::Failure, e.to_string()))?;
    Ok(code(status))
}

/// A terminal sends SIGINT and SIGQUIT to the command as well; then they are only not obeyed here.
fn forwarded() -> [i32; 4] {
    [SIGTERM, SIGHUP, SIGINT, SIGQUIT]
}

fn wait(mut child: Child, mut signals: Signals) -> std::io::Result<ExitStatus> {
    let handle = signals.handle();
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let terminal = std::io::stdin().is_terminal();
    let forwarder = std::thread::spawn(move || {
        for signal in signals.forever() {
            let both = terminal && [SIGINT, SIGQUIT].contains(&signal);
            if let (Some(pid), Some(signal), false) = (pid, Signal::from_named_raw(signal), both) {
                // If the command has just ended there is nobody left to tell.
                let _ = kill_process(pid, signal);
            }
        }
    });
    let status = child.wait();
    handle.close();
    let _ = forwarder.join();
    status
}

/// As a shell would say it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

fn cannot_run(program: &OsString, error: &std::io::Error, output: &Output) -> Failure {
    let code = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
    let message = output.lang.cannot_run(program.to_string_lossy(), error);
    Failure { code, message, hint: None }
}
