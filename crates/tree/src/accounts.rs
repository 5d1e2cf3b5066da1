//! Owners and groups: how those that are here are told to other sites, and who here is meant by what others tell. Asks the
//! system (its lists, LDAP, a domain) once for each account and round, never for each file. Writes nothing.
//!
//! 0 is the administrator everywhere, whatever the name: it is never told by name.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User};
use sync_store::Reason;

use crate::cells::{Account, is_name};
use crate::tree::Owners;

/// An owner or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An account of a user.
    User,
    /// A group of them.
    Group,
}

/// What accounts there are.
pub trait Book: Send {
    /// The name of a number; none if it has none.
    ///
    /// # Errors
    /// If that cannot be found out at the moment.
    fn name(&self, kind: Kind, number: u32) -> Result<Option<String>, String>;

    /// The number of a name; none if there is no such account.
    ///
    /// # Errors
    /// If that cannot be found out at the moment.
    fn number(&self, kind: Kind, name: &str) -> Result<Option<u32>, String>;
}

/// Those of this machine.
pub struct Machine;

impl Book for Machine {
    fn name(&self, kind: Kind, number: u32) -> Result<Option<String>, String> {
        found(match kind {
            Kind::User => User::from_uid(Uid::from_raw(number)).map(|user| user.map(|user| user.name)),
            Kind::Group => Group::from_gid(Gid::from_raw(number)).map(|group| group.map(|group| group.name)),
        })
    }

    fn number(&self, kind: Kind, name: &str) -> Result<Option<u32>, String> {
        found(match kind {
            Kind::User => User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())),
            Kind::Group => Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw())),
        })
    }
}

/// There are systems that say so of an account which they do not know (getpwnam(3)).
fn found<T>(asked: nix::Result<Option<T>>) -> Result<Option<T>, String> {
    match asked {
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => Ok(None),
        other => other.map_err(|e| e.desc().to_owned()),
    }
}

/// So many accounts are remembered of each kind; who has more of them asks again.
const REMEMBERED: usize = 20_000;

/// The accounts of this site, as its settings want them to be told.
pub(crate) struct Accounts {
    book: Box<dyn Book>,
    owners: Owners,
    names: Memory<u32, String>,
    numbers: Memory<String, u32>,
    /// Who was meant by what was written, and is not known here.
    strangers: RefCell<HashSet<(Kind, String)>>,
}

impl Accounts {
    pub fn new(book: Box<dyn Book>, owners: Owners) -> Self {
        Accounts { book, owners, names: Memory::default(), numbers: Memory::default(), strangers: RefCell::default() }
    }

    /// The tree is looked at anew: what was answered before may be another by now.
    pub fn forget(&self) {
        self.names.clear();
        self.numbers.clear();
    }

    /// What other sites are told of a number.
    pub fn told(&self, kind: Kind, number: u32) -> Result<Account, Reason> {
        if number == 0 || self.owners == Owners::Numbers {
            return Ok(Account::Number(number));
        }
        let name = self.names.ask(kind, &number, || self.book.name(kind, number))?;
        Ok(name.filter(|name| is_name(name)).map_or(Account::Number(number), Account::Name))
    }

    /// The number here of whom a file is to be given to; none if there is no such account here, or nobody is meant.
    pub fn meant(&self, kind: Kind, account: &Account) -> Result<Option<u32>, Reason> {
        let name = match account {
            Account::Number(number) => return Ok(Some(*number).filter(|_| *account != Account::NOBODY)),
            Account::Name(name) => name,
        };
        let number = self.number(kind, name)?;
        if number.is_none() {
            self.strangers.borrow_mut().insert((kind, name.clone()));
        }
        Ok(number)
    }

    /// The number of a name, if there is such an account and it can be found out.
    pub fn known(&self, kind: Kind, name: &str) -> Option<u32> {
        self.number(kind, &name.to_owned()).ok().flatten()
    }

    /// Who was meant and is not known, since this was asked.
    pub fn take_strangers(&self) -> HashSet<(Kind, String)> {
        self.strangers.take()
    }

    fn number(&self, kind: Kind, name: &String) -> Result<Option<u32>, Reason> {
        self.numbers.ask(kind, name, || self.book.number(kind, name))
    }
}

/// What was asked already, and answered.
struct Memory<K, V>(RefCell<HashMap<(Kind, K), Option<V>>>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Memory(RefCell::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Memory<K, V> {
    fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    fn ask(&self, kind: Kind, key: &K, ask: impl FnOnce() -> Result<Option<V>, String>) -> Result<Option<V>, Reason> {
        let key = (kind, key.clone());
        if let Some(known) = self.0.borrow().get(&key) {
            return Ok(known.clone());
        }
        let answer = ask().map_err(|e| Reason::System(format!("the accounts of this machine cannot be asked: {e}")))?;
        let mut known = self.0.borrow_mut();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, answer.clone());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Anna is 1001, the group of this name 2001; counts how often it is asked.
    struct Asked(Arc<AtomicUsize>);

    impl Book for Asked {
        fn name(&self, kind: Kind, number: u32) -> Result<Option<String>, String> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match (kind, number) {
                (Kind::User, 0 | 1001) | (Kind::Group, 2001) => Ok(Some("anna".to_owned())),
                (Kind::User, 1002) => Ok(Some("a\nroot:0".to_owned())),
                (Kind::User, 1003) => Err("no answer".to_owned()),
                _ => Ok(None),
            }
        }

        fn number(&self, kind: Kind, name: &str) -> Result<Option<u32>, String> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok((name == "anna").then_some(if kind == Kind::User { 1001 } else { 2001 }))
        }
    }

    fn accounts(owners: Owners) -> (Accounts, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        (Accounts::new(Box::new(Asked(Arc::clone(&count))), owners), count)
    }

    fn name(name: &str) -> Account {
        Account::Name(name.to_owned())
    }

    #[test]
    fn numbers_have_names() {
        let (accounts, _) = accounts(Owners::Names);
        let told = |kind, number| accounts.told(kind, number).unwrap();
        assert_eq!((told(Kind::User, 1001), told(Kind::Group, 2001)), (name("anna"), name("anna")));
        assert_eq!((told(Kind::Group, 1001), told(Kind::User, 5)), (Account::Number(1001), Account::Number(5)));
        assert_eq!(told(Kind::User, 0), Account::Number(0), "whatever it is called");
        assert_eq!(told(Kind::User, 1002), Account::Number(1002), "what is no name to others is none");
        assert!(accounts.told(Kind::User, 1003).is_err(), "it may have one");
    }

    #[test]
    fn names_have_numbers() {
        for owners in [Owners::Names, Owners::Numbers] {
            let (accounts, _) = accounts(owners);
            let meant = |kind, account: &Account| accounts.meant(kind, account).unwrap();
            assert_eq!(meant(Kind::User, &name("anna")), Some(1001));
            assert_eq!(meant(Kind::Group, &name("anna")), Some(2001));
            assert_eq!(meant(Kind::User, &name("1001")), None, "a name of digits is a name");
            assert_eq!((meant(Kind::User, &Account::Number(7)), meant(Kind::User, &Account::NOBODY)), (Some(7), None));
        }
    }

    #[test]
    fn numbers_are_told_as_they_are_if_that_is_wanted() {
        let (accounts, count) = accounts(Owners::Numbers);
        assert_eq!(accounts.told(Kind::User, 1001).unwrap(), Account::Number(1001));
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn each_is_asked_about_once_a_round() {
        let (accounts, count) = accounts(Owners::Names);
        let ask = || {
            for _ in 0..3 {
                [1001, 5].iter().for_each(|number| drop(accounts.told(Kind::User, *number).unwrap()));
                ["anna", "bob"].iter().for_each(|who| assert!(accounts.meant(Kind::User, &name(who)).is_ok()));
            }
        };
        ask();
        assert_eq!(count.load(Ordering::Relaxed), 4);
        accounts.forget();
        ask();
        assert_eq!(count.load(Ordering::Relaxed), 8);
        (0..REMEMBERED as u32 + 10).for_each(|number| drop(accounts.told(Kind::Group, number + 1).unwrap()));
        assert!(accounts.names.0.borrow().len() <= REMEMBERED);
    }

    #[test]
    fn this_machine_knows_somebody() {
        let own = nix::unistd::geteuid().as_raw();
        if let Some(name) = Machine.name(Kind::User, own).unwrap() {
            assert_eq!(Machine.number(Kind::User, &name).unwrap(), Some(own));
        }
        assert_eq!(Machine.number(Kind::User, "server_sync knows nobody of this name").unwrap(), None);
        assert_eq!(Machine.number(Kind::Group, "server_sync knows nobody of this name").unwrap(), None);
    }
}
