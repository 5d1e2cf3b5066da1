//! Sites whose stores are reached over a link, as through an agent: the story suite's stores are served by a thread each,
//! and what the suite has in its hands is the other end.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sync_link::serve::serve;
use sync_link::{Mux, Openings, RemoteStore};
use sync_store::{Result, Store};
use sync_story::{Bench, BenchSite, Speech};

/// The sites of another bench, behind links.
pub struct Linked<B>(pub B);

/// One of them.
pub struct Site<S> {
    name: String,
    inner: Shared<S>,
    link: Option<Link>,
}

/// Both ends of a link, and the store at this one.
struct Link {
    store: RemoteStore,
    _here: Mux,
    _there: std::thread::JoinHandle<()>,
}

struct Shared<S>(Arc<Mutex<S>>);

impl<S> Shared<S> {
    fn site(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Bench> Bench for Linked<B>
where
    B::Site: Send + 'static,
{
    type Site = Site<B::Site>;

    fn sites(&self, count: usize) -> Vec<Self::Site> {
        let site = |inner: B::Site| Site {
            name: inner.name().to_owned(),
            inner: Shared(Arc::new(Mutex::new(inner))),
            link: None,
        };
        self.0.sites(count).into_iter().map(site).collect()
    }

    fn speech(&self) -> Speech {
        self.0.speech()
    }
}

impl Link {
    fn to<S: BenchSite + Send + 'static>(mut store: Shared<S>) -> Self {
        let (here, there) = UnixStream::pair().unwrap();
        let here = Mux::start(here.try_clone().unwrap(), here, 1);
        let served = std::thread::spawn(move || {
            let mux = Mux::start(there.try_clone().unwrap(), there, 2);
            if let Ok(Some((channel, _))) = mux.accept() {
                // The suite hears of what goes wrong at its end.
                let _ = serve(&channel, &mut store, &Openings::default());
            }
        });
        let store = RemoteStore::new(here.open("database").unwrap());
        Link { store, _here: here, _there: served }
    }
}

impl<S: BenchSite + Send + 'static> BenchSite for Site<S> {
    type Copy = S::Copy;

    fn name(&self) -> &str {
        &self.name
    }

    fn prepare(&mut self) {
        self.inner.site().prepare();
    }

    fn adopt(&mut self) {
        self.inner.site().adopt();
    }

    fn store(&mut self) -> &mut dyn Store {
        let inner = &self.inner;
        &mut self.link.get_or_insert_with(|| Link::to(Shared(inner.0.clone()))).store
    }

    fn declare(&mut self, tables: &[&str], progress: &mut dyn FnMut(&str, u64) -> Result<()>) -> Result<()> {
        self.inner.site().declare(tables, progress)
    }

    fn app(&mut self, sql: &str) {
        self.inner.site().app(sql);
    }

    fn behind(&mut self, sql: &str) {
        self.inner.site().behind(sql);
    }

    fn writer(&mut self) -> Box<dyn FnMut(&str) + Send> {
        self.inner.site().writer()
    }

    fn rows(&mut self, sql: &str) -> Vec<String> {
        self.inner.site().rows(sql)
    }

    fn dump(&mut self) -> BTreeMap<String, Vec<String>> {
        self.inner.site().dump()
    }

    fn marks(&mut self) -> u64 {
        self.inner.site().marks()
    }

    fn parked(&mut self) -> u64 {
        self.inner.site().parked()
    }

    fn reopen(&mut self) {
        self.link = None;
        self.inner.site().reopen();
    }

    fn cutter(&mut self) -> Box<dyn FnMut() + Send> {
        self.inner.site().cutter()
    }

    fn copy(&mut self) -> S::Copy {
        self.inner.site().copy()
    }

    fn put_back(&mut self, copy: &S::Copy) {
        self.link = None;
        self.inner.site().put_back(copy);
    }
}

impl<S: BenchSite> Shared<S> {
    fn call<T>(&mut self, work: impl FnOnce(&mut dyn Store) -> Result<T>) -> Result<T> {
        work(self.site().store())
    }
}

impl<S: BenchSite + Send> Store for Shared<S> {
    sync_store::pass_on! {
        describe knowledge forgot last_heard leave_history drain is_empty recognises greet reincarnate outline changes
        apply complete enter scan digest rows restamp bury registry register purge compared conflicts parked restore
    }
}
