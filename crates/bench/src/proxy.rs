//! A way to a server that counts the bytes which pass, both ways: what really crosses the network.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::Result;

/// Passes connections on until the process ends.
pub struct Proxy {
    port: u16,
    bytes: Arc<AtomicU64>,
}

impl Proxy {
    /// A way to this port.
    pub fn to(target: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (port, bytes) = (listener.local_addr()?.port(), Arc::new(AtomicU64::new(0)));
        let counter = bytes.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client whose server is gone sees its connection end.
                let _ = connect(client, target, &counter);
            }
        });
        Ok(Proxy { port, bytes })
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

fn connect(client: TcpStream, target: u16, bytes: &Arc<AtomicU64>) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let bytes = bytes.clone();
        thread::spawn(move || pass(from, to, &bytes));
    }
    Ok(())
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
