//! The agent's side: the door at which it waits for lanes, and how an agent that ssh started for one hands its streams over there.
//! Only the same account is let in, with the pass.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::{ANSWER, MOST, PASS, Pass, READY};
use crate::error::{LinkError, Result};
use crate::mux::{Channel, Lanes};

/// How long one who came to the door may take to show the pass.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers until the other side closes the channel; lets lanes in once it asked for a pass.
///
/// # Errors
/// What the link broke of.
pub fn serve(channel: &Channel, lanes: &Lanes) -> Result<()> {
    let mut door = None;
    while let Some(request) = channel.receive()? {
        let answer = match request.as_slice() {
            PASS if door.is_none() => door.insert(Door::open(lanes)?).pass.to_string().into_bytes(),
            ANSWER => ANSWER.to_vec(),
            _ => Vec::new(),
        };
        channel.send(answer)?;
    }
    Ok(())
}

/// Gives the streams of this process to the agent that waits for them, and waits until they are done with.
///
/// # Errors
/// If it cannot be reached: the link may have ended.
pub fn hand_over(pass: &Pass, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let mut agent = UnixStream::connect_addr(&address(pass)?)?;
    if !is_own(&agent) {
        return Err(LinkError::closed());
    }
    let streams = [from, to];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut carried = SendAncillaryBuffer::new(&mut space);
    carried.push(SendAncillaryMessage::ScmRights(&streams));
    sendmsg(&agent, &[IoSlice::new(pass.secret())], &mut carried, SendFlags::NOSIGNAL).map_err(std::io::Error::from)?;
    // Nothing ever comes: it is closed when the streams are done with.
    let _ = agent.read(&mut [0]);
    Ok(())
}

/// Not a file: it goes as the agent goes, however that ends.
fn address(pass: &Pass) -> Result<SocketAddr> {
    Ok(SocketAddr::from_abstract_name(pass.door())?)
}

/// Whether at the other end is the account that we are.
fn is_own(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

/// It is closed when this is dropped.
struct Door {
    pass: Pass,
    listener: UnixListener,
}

impl Door {
    fn open(lanes: &Lanes) -> Result<Self> {
        let pass = Pass::new()?;
        let listener = UnixListener::bind_addr(&address(&pass)?)?;
        let (listens, expected, lanes) = (listener.try_clone()?, pass.clone(), lanes.clone());
        std::thread::spawn(move || let_in(&listens, &expected, &lanes));
        Ok(Door { pass, listener })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
    }
}

/// Until the door is closed. Who has no pass is not counted, and not waited for longer than a moment.
fn let_in(listener: &UnixListener, pass: &Pass, lanes: &Lanes) {
    let mut left = MOST - 1;
    while left > 0 {
        let Ok((visitor, _)) = listener.accept() else { return };
        if let Some([from, to]) = streams(&visitor, pass) {
            left -= 1;
            let lane = lanes.reserve();
            let mut to = Given { stream: File::from(to), _until: visitor };
            if to.write_all(READY).is_ok() {
                lane.join(File::from(from), to);
            }
        }
    }
}

/// The streams that a visitor with the pass brings.
fn streams(visitor: &UnixStream, pass: &Pass) -> Option<[OwnedFd; 2]> {
    visitor.set_read_timeout(Some(PATIENCE)).ok()?;
    if !is_own(visitor) {
        return None;
    }
    let mut shown = vec![0; pass.secret().len()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut carried = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(visitor.as_fd(), &mut [IoSliceMut::new(&mut shown)], &mut carried, flags).ok()?;
    let brought: Vec<OwnedFd> = carried
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(streams) => Some(streams),
            _ => None,
        })
        .flatten()
        .collect();
    (received.bytes == shown.len() && shown == pass.secret()).then_some(brought)?.try_into().ok()
}

/// A stream that was handed over: who brought it waits until it is done with.
struct Given {
    stream: File,
    _until: UnixStream,
}

impl Write for Given {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
