//! A way to a server that counts the bytes which pass, both ways: what really crosses the network. If asked, it makes the way
//! longer: bytes arrive later, but no fewer of them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// Passes connections on until the process ends.
pub struct Proxy {
    port: u16,
    bytes: Arc<AtomicU64>,
}

impl Proxy {
    /// A way to this port.
    pub fn to(target: u16) -> Result<Self> {
        Proxy::delayed(target, Duration::ZERO)
    }

    /// A way on which each byte takes so long, in either direction.
    pub fn delayed(target: u16, delay: Duration) -> Result<Self> {
        let bytes = Arc::new(AtomicU64::new(0));
        Ok(Proxy { port: open(target, delay, &bytes)?, bytes })
    }

    /// The port of a further way, whose bytes are counted together with these.
    pub fn another(&self, target: u16, delay: Duration) -> Result<u16> {
        open(target, delay, &self.bytes)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many bytes have passed so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn open(target: u16, delay: Duration, bytes: &Arc<AtomicU64>) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let (port, counter) = (listener.local_addr()?.port(), bytes.clone());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client whose server is gone sees its connection end.
            let _ = connect(client, target, delay, &counter);
        }
    });
    Ok(port)
}

fn connect(client: TcpStream, target: u16, delay: Duration, bytes: &Arc<AtomicU64>) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let bytes = bytes.clone();
        match delay {
            Duration::ZERO => thread::spawn(move || pass(from, to, &bytes)),
            delay => thread::spawn(move || pass_late(from, to, delay, &bytes)),
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
