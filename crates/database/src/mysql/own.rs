//! Our own tables in the application's database.

/// The statements that create them, except the mark tables.
pub(super) fn own_tables() -> Vec<String> {
    Vec::new()
}
