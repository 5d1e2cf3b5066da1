//! The first line that either side sends: who it is and what it speaks. Read before anything else is believed. What a
//! login shell prints before it is noise, and named in the error if nothing else comes.

use std::io::{self, Read, Write};

use crate::error::{Fault, LinkError, Result};
use crate::lanes::Pass;

/// The version of frames, messages and their order. Both sides must speak the same.
pub const PROTOCOL: u32 = 10;

const BEGIN: &str = "server_sync link ";

/// How it begins where it is of one lane more for a link that there is.
const BEGIN_LANE: &str = "server_sync lane ";

/// Bytes of noise that are read through.
const NOISE: usize = 16 << 10;

/// What a side says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The protocol.
    pub protocol: u32,
    /// The version of server_sync.
    pub product: String,
    /// The virtual desktop that this side serves or wants.
    pub vd: String,
    /// The link that this is one more lane for; a link of its own if none.
    pub lane: Option<Pass>,
}

impl Hello {
    /// Of this program.
    pub fn of(vd: &str) -> Self {
        Hello { protocol: PROTOCOL, product: env!("CARGO_PKG_VERSION").to_owned(), vd: vd.to_owned(), lane: None }
    }

    fn line(&self) -> String {
        let begin = self.lane.as_ref().map_or_else(|| BEGIN.to_owned(), |pass| format!("{BEGIN_LANE}{pass} "));
        format!("{begin}{} {} {}\n", self.protocol, self.product, self.vd)
    }

    fn parse(line: &str) -> Option<Hello> {
        let (lane, rest) = match line.strip_prefix(BEGIN_LANE) {
            Some(of_lane) => {
                let (pass, rest) = of_lane.split_once(' ')?;
                (Some(Pass::parse(pass)?), rest)
            }
            None => (None, line.strip_prefix(BEGIN)?),
        };
        let mut words = rest.splitn(3, ' ');
        let protocol = words.next()?.parse().ok()?;
        Some(Hello { protocol, product: words.next()?.to_owned(), vd: words.next()?.to_owned(), lane })
    }

    /// Sends it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn send(&self, to: &mut dyn Write) -> Result<()> {
        to.write_all(self.line().as_bytes())?;
        Ok(to.flush()?)
    }

    /// Reads the other side's. Takes not a byte more.
    ///
    /// # Errors
    /// [`Fault::Setup`] if something else came, which is quoted; [`Fault::Unreachable`] if nothing did.
    pub fn receive(from: &mut dyn Read) -> Result<Hello> {
        let mut noise = Vec::new();
        let mut read = 0;
        while let Some(line) = read_line(from, NOISE - read)? {
            read += line.len();
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            match Hello::parse(&text) {
                Some(hello) => return Ok(hello),
                None => noise.push(text),
            }
            if read >= NOISE {
                break;
            }
        }
        Err(unheard(&noise))
    }

    /// Whether both speak the same, and of the same virtual desktop. Either side looks: what is asked may be on its way before the
    /// master has heard who is there. Product versions are compared by the handshake of a round.
    ///
    /// # Errors
    /// [`Fault::Setup`] naming both.
    pub fn check(&self, other: &Hello) -> Result<()> {
        match self.protocol == other.protocol {
            false => Err(self.unlike(other)),
            true if self.vd != other.vd => Err(self.stranger_to(other)),
            true => Ok(()),
        }
    }

    fn stranger_to(&self, other: &Hello) -> LinkError {
        let text = format!("the other side is of the virtual desktop {}, not {}", other.vd, self.vd);
        LinkError::new(Fault::Setup, text)
            .hint("check remote_vd at the master, and the command that its key is restricted to at the slave")
    }

    fn unlike(&self, other: &Hello) -> LinkError {
        let text = format!(
            "server_sync {} here speaks protocol {}, server_sync {} at the other side speaks {}",
            self.product, self.protocol, other.product, other.protocol
        );
        LinkError::new(Fault::Setup, text).hint("install the same version of server_sync at both sites")
    }
}

fn unheard(noise: &[String]) -> LinkError {
    match noise.iter().find(|line| !line.is_empty()) {
        None => LinkError::closed(),
        Some(line) => {
            let line: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
            LinkError::new(Fault::Setup, format!("the other side did not start server_sync; it said: {line}"))
                .hint("check the command that the key is restricted to, and what the login shell prints")
        }
    }
}

/// A line with its end, or what there is of it; nothing at the end of the stream.
fn read_line(from: &mut dyn Read, limit: usize) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < limit && line.last() != Some(&b'\n') {
        match from.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => line.push(byte[0]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok((!line.is_empty()).then_some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Result<Hello> {
        Hello::receive(&mut text.as_bytes())
    }

    #[test]
    fn it_arrives_also_after_what_a_login_shell_prints() {
        let hello = Hello::of("crm");
        assert_eq!(heard(&hello.line()), Ok(hello.clone()));
        assert_eq!(heard(&format!("Welcome to lyon!\n\n{}", hello.line())), Ok(hello));
    }

    #[test]
    fn a_lane_says_which_link_it_is_for() {
        let hello = Hello { lane: Some(Pass::new().unwrap()), ..Hello::of("crm") };
        assert_eq!(heard(&hello.line()), Ok(hello));
        assert_eq!(heard("server_sync lane ../../x 10 0.1.0 crm\n").unwrap_err().fault, Fault::Setup);
    }

    #[test]
    fn not_a_byte_more_is_taken() {
        let text = format!("{}rest", Hello::of("crm").line());
        let mut from = text.as_bytes();
        Hello::receive(&mut from).unwrap();
        assert_eq!(from, b"rest");
    }

    #[test]
    fn something_else_is_quoted() {
        let error = heard("sh: 1: server_sync: not found\n").unwrap_err();
        assert_eq!(error.fault, Fault::Setup);
        assert!(error.message.contains("server_sync: not found"), "{error}");
        assert_eq!(heard("").unwrap_err(), LinkError::closed());
        assert_eq!(heard(&"x".repeat(100_000)).unwrap_err().fault, Fault::Setup);
    }

    #[test]
    fn another_protocol_is_refused_by_name() {
        let other = heard("server_sync link 99 4.5.6 crm\n").unwrap();
        let error = Hello::of("crm").check(&other).unwrap_err();
        assert!(error.message.contains("4.5.6") && error.message.contains("99"), "{error}");
    }

    #[test]
    fn another_virtual_desktop_is_refused_by_name() {
        let error = Hello::of("crm").check(&Hello::of("hr")).unwrap_err();
        assert!(error.message.contains("hr, not crm"), "{error}");
        assert_eq!(Hello::of("crm").check(&Hello::of("crm")), Ok(()));
    }
}
