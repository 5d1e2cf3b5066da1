//! What systemd is told. Outside systemd nobody listens, and nothing happens.

use sd_notify::{NotifyState, notify};

/// Whether anybody hears it changes nothing.
fn tell(states: &[NotifyState]) {
    let _ = notify(states);
}

/// The service runs; also after the settings were read again.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// The settings are being read again.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// All threads are well.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The service is ending.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}
