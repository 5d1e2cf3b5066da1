//! What a running round shows: a bar on terminals, remarks with `-v`. Never on a pipe, never in JSON.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sync_engine::Watch;
use sync_engine::report::{Direction, Event};

use crate::output::{Line, Output, Style, clean};

/// Shows the events of a round.
pub struct Progress<'a> {
    output: &'a Output,
    bar: ProgressBar,
}

impl<'a> Progress<'a> {
    /// A bar that appears with the first event worth one.
    pub fn new(output: &'a Output) -> Self {
        let target = if output.shows_progress() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Progress { output, bar: ProgressBar::with_draw_target(None, target) }
    }

    fn rows(&self, title: String, done: u64, total: Option<u64>) {
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {human_pos}/{human_len} {per_sec:.dim} {eta}",
            None => "{msg} {human_pos} {per_sec:.dim}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.set_length(total.unwrap_or(0).max(done));
        self.bar.set_message(clean(&title));
        self.bar.set_position(done);
    }

    fn files(&self, title: &str, done: u64, total: u64) {
        let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec:.dim} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.set_length(total.max(done));
        self.bar.set_message(clean(title));
        self.bar.set_position(done);
    }

    fn remark(&self, text: String) {
        self.bar.suspend(|| self.output.say_more(Line::new().add(Style::Dim, text)));
    }
}

impl Watch for Progress<'_> {
    fn event(&mut self, event: Event) {
        let lang = self.output.lang;
        match event {
            Event::Agreed { peer } => self.remark(lang.agreed(peer)),
            Event::Note(note) => self.remark(note.to_owned()),
            Event::Folder(name) => self.remark(lang.documents_of(name)),
            Event::FirstContact => self.remark(lang.comparing_all()),
            Event::Retrying { error, .. } => self.remark(lang.trying_again(&error.message)),
            Event::Table { name, rows, total } => self.rows(lang.comparing(name), rows, Some(total).filter(|t| *t > 0)),
            Event::Contents { direction, bytes, files, total } => {
                let title = if direction == Direction::Pull { lang.receiving() } else { lang.sending() };
                self.files(&lang.files_so_far(&title, files.min(total.files), total.files), bytes, total.bytes);
            }
            Event::Rows { direction: Direction::Pull, done, total } => self.rows(lang.receiving(), done, Some(total)),
            Event::Rows { direction: Direction::Push, done, total } => self.rows(lang.sending(), done, Some(total)),
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
