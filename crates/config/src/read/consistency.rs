//! What must hold between settings that are good one by one.

use crate::section::Section;
use crate::{Database, Endpoint, Link, Mysql, Name, Sqlite};

/// What is known of this site while the rest is read; `None` for what was bad.
#[derive(Clone, Copy)]
pub(super) struct Here<'a> {
    pub(super) site: Option<&'a Name>,
    pub(super) database: Option<&'a Database>,
}

/// Some masters, each once, none this site.
pub(super) fn check_masters(slave: &Section, masters: &[Name], here: Here) {
    if masters.is_empty() {
        slave.refuse("masters", "must name at least one site");
    }
    for (i, master) in masters.iter().enumerate() {
        if masters[..i].contains(master) {
            slave.refuse("masters", format!("names `{master}` twice"));
        }
        if here.site == Some(master) {
            slave.refuse("masters", format!("must name other sites: `{master}` is this one"));
        }
    }
}

/// Every slave once, none this site; `before` are the slaves of the links above.
pub(super) fn check_slave(link: &Section, slave: Option<&Name>, here: Here, before: &[Name]) {
    let Some(slave) = slave else { return };
    if here.site == Some(slave) {
        link.refuse("slave", format!("must be another site: `{slave}` is this one"));
    }
    if before.contains(slave) {
        link.refuse("slave", format!("is `{slave}`, for which there is a [[master]] section already"));
    }
}

/// The slave's database is not this site's. Only what is written alike is noticed here; the handshake
/// finds the rest by the identity in the store.
pub(super) fn check_database(section: &Section, link: Option<&Link>, here: Here) {
    let (Some(link), Some(own)) = (link, here.database) else {
        return;
    };
    if link.database.as_ref().is_some_and(|theirs| same(own, theirs)) {
        section.refuse("database", "is this site's own database; it must be the slave's");
    }
}

fn same(one: &Database, other: &Database) -> bool {
    match (one, other) {
        (Database::Sqlite(Sqlite { path: one }), Database::Sqlite(Sqlite { path: other })) => one == other,
        (Database::Mysql(one), Database::Mysql(other)) => place(one) == place(other),
        _ => false,
    }
}

fn place(mysql: &Mysql) -> (&Endpoint, &str) {
    (&mysql.endpoint, &mysql.name)
}
