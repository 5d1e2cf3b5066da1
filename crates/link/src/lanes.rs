//! More lanes for one link. ssh lets 2 MiB of a connection be on their way, whatever the line could take: over a long one, most of
//! the time is waiting. So once much goes over a link whose answers take long, more connections are made to the same agent, and
//! carry its frames side by side ([`crate::mux::Lanes`]).
//!
//! Each is an agent of its own to ssh. It hands its ends over to the agent of the link, which listens at a **door** on its machine
//! while it wants lanes, and waits until they are done with. The other side is told which door, and a secret to show there: the
//! **pass**. Where a lane cannot be made, for whatever reason, the link goes on with those it has.

mod door;
mod widening;

use std::fmt::{self, Display, Formatter};

pub use door::{hand_over, serve};
pub use widening::Widening;

use crate::error::{Fault, LinkError, Result};

/// The service by which the master asks for lanes: for an answer, by which it sees how long answers take, and then for a pass.
pub const SERVICE: &str = "lanes";

/// The two requests of [`SERVICE`].
const ANSWER: &[u8] = b"answer";
const PASS: &[u8] = b"pass";

/// What the agent says on a lane once frames may go over it.
const READY: &[u8] = b"ready\n";

/// Lanes that a link may have.
const MOST: usize = 4;

const DOOR: usize = 16;

/// Where the agent of a link waits for lanes, and what it knows them by: hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Pass(String);

impl Pass {
    /// One that nobody can guess.
    ///
    /// # Errors
    /// [`Fault::Setup`] if the system gives no random numbers.
    pub(crate) fn new() -> Result<Self> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)
            .map_err(|e| LinkError::new(Fault::Setup, format!("the system gives no random numbers: {e}")))?;
        Ok(Pass(random.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Of what the other side sent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_one.then(|| Pass(text.to_owned()))
    }

    /// The name of the door, which everybody on its machine can see.
    fn door(&self) -> String {
        format!("server_sync/lanes/{}", &self.0[..DOOR])
    }

    /// What has to be shown there.
    fn secret(&self) -> &[u8] {
        &self.0.as_bytes()[DOOR..]
    }
}

impl Display for Pass {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pass").field(&self.door()).finish()
    }
}

#[cfg(test)]
mod tests;
