//! The Sakila example database, from a folder that the environment names. The script is not part of this project and
//! is never changed on disk.

use std::fs;
use std::path::PathBuf;

use crate::error::Context;
use crate::{Result, Server};

/// What to do with `address.location`, which the script hides from MariaDB in a version comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locations {
    /// The column and its spatial index exist, on both flavours.
    Keep,
    /// Neither exists on either flavour, so that one of each can be compared.
    Drop,
}

/// The folder with sakila-schema.sql and sakila-data.sql (SERVER_SYNC_TEST_SAKILA), if it is there. If not, prints
/// which test is skipped for what reason.
#[must_use]
pub fn sakila() -> Option<PathBuf> {
    let found = std::env::var_os("SERVER_SYNC_TEST_SAKILA")
        .map(PathBuf::from)
        .filter(|folder| folder.join("sakila-schema.sql").exists() && folder.join("sakila-data.sql").exists());
    if found.is_none() {
        println!("skipped: no Sakila (set SERVER_SYNC_TEST_SAKILA to the folder with its two scripts)");
    }
    found
}

/// Creates `database` (replacing one of that name) with Sakila's tables, data, triggers, views and routines. False,
/// and nothing done, when there is no Sakila.
///
/// # Errors
/// When a script cannot be read or a statement of it fails.
pub fn load_sakila(server: &Server, database: &str, locations: Locations) -> Result<bool> {
    let Some(folder) = sakila() else { return Ok(false) };
    for file in ["sakila-schema.sql", "sakila-data.sql"] {
        let file = folder.join(file);
        let script = fs::read_to_string(&file).context(format!("cannot read {}", file.display()))?;
        server.run_script(None, &rewrite(&script, database, locations))?;
    }
    Ok(true)
}

fn rewrite(script: &str, database: &str, locations: Locations) -> String {
    let script = script
        .replace("SCHEMA IF EXISTS sakila;", &format!("SCHEMA IF EXISTS `{database}`;"))
        .replace("CREATE SCHEMA sakila;", &format!("CREATE SCHEMA `{database}`;"))
        .replace("USE sakila;", &format!("USE `{database}`;"))
        .replace(" sakila.", &format!(" `{database}`."));
    resolve_version_comments(&script, locations)
}

/// Turns `/*!50705 text*/` into `text` or nothing.
fn resolve_version_comments(script: &str, locations: Locations) -> String {
    let mut pieces = script.split("/*!50705 ");
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (inside, after) = piece.split_once("*/").unwrap_or((piece, ""));
        if locations == Locations::Keep {
            result.push_str(inside);
        }
        result.push_str(after);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_comments_are_opened_or_dropped() {
        let script = "USE sakila; (1,/*!50705 0x00,*/'a@sakila.org'),(2,/*!50705 0x01,*/'b')";
        assert_eq!(rewrite(script, "x", Locations::Keep), "USE `x`; (1,0x00,'a@sakila.org'),(2,0x01,'b')");
        assert_eq!(rewrite(script, "x", Locations::Drop), "USE `x`; (1,'a@sakila.org'),(2,'b')");
    }
}
