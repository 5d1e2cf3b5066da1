//! A line to a server, which counts the bytes that pass, both ways: what really crosses the network. If asked, it is long: bytes
//! arrive later, but no fewer of them. It can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::error::Context;

/// Passes connections on until the process ends.
pub struct Line {
    port: u16,
    passed: Arc<Passed>,
}

/// What went over a line.
#[derive(Default)]
struct Passed {
    bytes: AtomicU64,
    /// The connections that there ever were.
    connections: Mutex<Vec<TcpStream>>,
}

impl Passed {
    fn connections(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// A line to this port.
    ///
    /// # Errors
    /// When there is no port left to listen on.
    pub fn to(target: u16) -> Result<Self> {
        Line::long(target, Duration::ZERO)
    }

    /// One on which each byte takes so long, in either direction.
    ///
    /// # Errors
    /// As [`Line::to`].
    pub fn long(target: u16, delay: Duration) -> Result<Self> {
        let passed = Arc::default();
        Ok(Line { port: open(target, delay, &passed)?, passed })
    }

    /// The port of a further line, whose bytes are counted together with these.
    ///
    /// # Errors
    /// As [`Line::to`].
    pub fn another(&self, target: u16, delay: Duration) -> Result<u16> {
        open(target, delay, &self.passed)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many bytes have passed so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.passed.bytes.load(Ordering::Relaxed)
    }

    /// How many connections there were.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.passed.connections().len()
    }

    /// Ends all connections that there are.
    pub fn cut(&self) {
        for connection in self.passed.connections().iter() {
            // One that has ended is cut already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn open(target: u16, delay: Duration, passed: &Arc<Passed>) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("listen for a line")?;
    let port = listener.local_addr().context("listen for a line")?.port();
    let passed = passed.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client whose server is gone sees its connection end.
            let _ = connect(client, target, delay, &passed);
        }
    });
    Ok(port)
}

fn connect(client: TcpStream, target: u16, delay: Duration, passed: &Arc<Passed>) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    passed.connections().push(client.try_clone()?);
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let passed = passed.clone();
        match delay {
            Duration::ZERO => thread::spawn(move || pass(from, to, &passed.bytes)),
            delay => thread::spawn(move || pass_late(from, to, delay, &passed.bytes)),
        };
    }
    Ok(())
}

/// Pieces that are on their way at a time: as much as a fast line of 200 ms holds.
const ON_THE_WAY: usize = 2048;

fn pass_late(mut from: TcpStream, to: TcpStream, delay: Duration, bytes: &AtomicU64) {
    let (sender, receiver) = sync_channel(ON_THE_WAY);
    let deliverer = thread::spawn(move || deliver(&receiver, to));
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        bytes.fetch_add(length as u64, Ordering::Relaxed);
        if sender.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
            break;
        }
    }
    drop(sender);
    // Its only result is that all is delivered.
    let _ = deliverer.join();
}

fn deliver(pieces: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (due, piece) in pieces {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    // Whoever reads there learns that no more comes.
    let _ = to.shutdown(Shutdown::Both);
}

fn pass(mut from: TcpStream, mut to: TcpStream, bytes: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        bytes.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}
