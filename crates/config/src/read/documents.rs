//! The folders of documents: `[[documents]]`. Nothing is looked at on the disk; what is written must fit together.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::convert::{self, duration, whole};
use crate::section::Section;
use crate::{Folder, Limits, Owners};

const DAY: u64 = 86_400;
const OWNERS: &[(&str, Owners)] = &[("names", Owners::Names), ("numbers", Owners::Numbers), ("ignore", Owners::Ignore)];

/// The folders that are well; what is bad is noted and left out.
pub(super) fn read(top: &Section, state_root: Option<&Path>) -> Vec<Folder> {
    let mut folders: Vec<Folder> = Vec::new();
    for section in top.sections("documents") {
        let Some(folder) = folder(&section) else { continue };
        check_name(&section, &folder, &folders);
        check_place(&section, &folder.path, state_root, &folders);
        folders.push(folder);
    }
    folders
}

fn folder(section: &Section) -> Option<Folder> {
    let default = Limits::default();
    let name = section.need("name", convert::name);
    let path = section.need("path", convert::absolute);
    let keep = section.or("keep_deleted", duration(0, 3650 * DAY), Duration::from_secs(365 * DAY));
    let ignore = section.or("ignore", convert::file_patterns, Vec::new());
    let temporary = section.or("ignore_temporary", convert::flag, false);
    let owners = section.or("owners", convert::choice(OWNERS), Owners::Names);
    let setuid = section.or("keep_setuid", convert::flag, false);
    let share = section.or("max_deleted_share", convert::share, default.max_deleted_share);
    let files = section.or("max_deleted_files", whole(0..=i64::MAX as u64), default.max_deleted_rows);
    Some(Folder {
        name: name?,
        path: path?,
        keep_deleted: keep?,
        ignore: ignore?,
        ignore_temporary: temporary?,
        owners: owners?,
        keep_setuid: setuid?,
        max_deleted_share: share?,
        max_deleted_files: files?,
    })
}

fn check_name(section: &Section, folder: &Folder, before: &[Folder]) {
    if before.iter().any(|other| other.name == folder.name) {
        section.refuse("name", format!("is `{}`, for which there is a [[documents]] section already", folder.name));
    }
}

/// No folder lies within another one, nor around or within the state.
fn check_place(section: &Section, path: &PathBuf, state_root: Option<&Path>, before: &[Folder]) {
    let meets = |other: &Path| path.starts_with(other) || other.starts_with(path);
    if let Some(other) = before.iter().find(|other| meets(&other.path)) {
        section
            .refuse("path", format!("is within the folder `{}`, or around it: {}", other.name, other.path.display()));
    }
    if let Some(state) = state_root.filter(|state| meets(state)) {
        section.refuse("path", format!("is within the state directory, or around it: {}", state.display()));
    }
    if path.components().any(|part| part == std::path::Component::ParentDir) {
        section.refuse("path", "must not contain `..`: name the real directory");
    }
}
