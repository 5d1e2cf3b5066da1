//! Accounts on a test server, with exactly the privileges a test names. Passwords are random and never shown.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use mysql::OptsBuilder;

use super::Server;
use crate::Result;

/// An account that exists on one server, usable from any host.
#[derive(Clone)]
pub struct Account {
    name: String,
    password: String,
}

impl Account {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its password: letters and digits.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Settings of a TCP connection to `server` as this account.
    #[must_use]
    pub fn opts(&self, server: &Server) -> OptsBuilder {
        server.opts().user(Some(&self.name)).pass(Some(&self.password))
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Server {
    /// Creates the account `name` (replacing one of that name) with `grants`, each written as between GRANT and TO:
    /// ``SELECT, INSERT ON `crm`.*``.
    ///
    /// # Errors
    /// When the server refuses a grant.
    pub fn user_with(&self, name: &str, grants: &[&str]) -> Result<Account> {
        let account = Account { name: name.to_owned(), password: random_password() };
        let mut text =
            format!("DROP USER IF EXISTS '{name}'@'%'; CREATE USER '{name}'@'%' IDENTIFIED BY '{}'", account.password);
        for grant in grants {
            text.push_str(&format!("; GRANT {grant} TO '{name}'@'%'"));
        }
        self.execute(&text)?;
        Ok(account)
    }
}

/// The standard library's hasher keys are random for each value, which is enough for a server that lives for one test.
fn random_password() -> String {
    let part = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", part(), part())
}
