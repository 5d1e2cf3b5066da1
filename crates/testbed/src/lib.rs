//! Real servers for tests: starts MariaDB, MySQL and sshd in temporary folders, fills them, breaks them and
//! compares what they hold. Development only: nothing the product ships depends on this crate, and it never
//! touches a server that it did not start itself.

mod client;
mod crm;
mod dump;
mod error;
mod folder;
mod line;
mod load;
mod options;
mod port;
mod sakila;
mod server;
mod sshd;
mod tls;
mod wait;

pub use crm::{create_crm, create_load_tables, insert_rows, run_transaction};
pub use dump::{Cell, DatabaseDump, SchemaDump, TableDump, assert_equal, difference, dump, schema_dump};
pub use error::TestbedError;
pub use folder::Folder;
pub use line::Line;
pub use load::{
    Change, CheckReport, LoadReport, Violation, Write, Writers, WritersOptions, check_journals, fill_load_tables,
};
pub use options::Options;
pub use sakila::{Locations, load_sakila, sakila};
pub use server::{Account, Flavour, MariaDb, Mysql, Server};
pub use sshd::{KeyType, Sshd};
pub use tls::Authority;
pub use wait::wait_until;

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, TestbedError>;

/// Two tests of one function of a [`Server`]: on MariaDB, and on a MySQL where there is one. They share servers with other
/// tests, or have servers of their own that are started with the [`Options`] given.
#[macro_export]
macro_rules! on_both_servers {
    ($mariadb:ident, $mysql:ident, $story:expr) => {
        #[test]
        fn $mariadb() {
            $story($crate::MariaDb::shared().expect("a MariaDB server"));
        }

        #[test]
        fn $mysql() {
            if let Some(server) = $crate::Mysql::shared().expect("a MySQL server") {
                $story(server);
            }
        }
    };
    ($mariadb:ident, $mysql:ident, $story:expr, $options:expr) => {
        #[test]
        fn $mariadb() {
            $story(&$crate::MariaDb::start($options).expect("a MariaDB server"));
        }

        #[test]
        fn $mysql() {
            if let Some(mysql) = $crate::Mysql::available() {
                $story(&mysql.start($options).expect("a MySQL server"));
            }
        }
    };
}
