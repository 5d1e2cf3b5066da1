//! Frames: how the bytes of a link are cut. Versioned by [`crate::hello`], length-limited, refused where they are not
//! whole. Knows nothing of what they carry.
//!
//! A frame is a kind (1 byte), flags (1 byte), a channel (4 bytes), the length of the body (4 bytes), all little-endian,
//! and the body.

use std::io::{self, Read, Write};

/// Bytes in one body at most: how long a small change can be kept waiting by a large one.
pub const BODY_LIMIT: usize = 64 << 10;

const HEADER: usize = 10;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Opens a channel; the body names the service.
    Open,
    /// A piece of a message.
    Data,
    /// The receiver has room for so many more bytes on this channel; the body is the number, in 4 bytes.
    Credit,
    /// Nothing more comes on this channel.
    Close,
    /// What follows on this lane has this place in the order of all frames; the body is the number, in 4 bytes.
    Turn,
    /// Nothing more comes on this lane.
    End,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Open, Kind::Data, Kind::Credit, Kind::Close, Kind::Turn, Kind::End];

    fn from_byte(byte: u8) -> Option<Kind> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is for.
    pub kind: Kind,
    /// Whether a message ends with it.
    pub last: bool,
    /// The conversation that it belongs to.
    pub channel: u32,
    /// At most [`BODY_LIMIT`] bytes.
    pub body: Vec<u8>,
}

impl Frame {
    /// A frame without a body.
    pub fn bare(kind: Kind, channel: u32) -> Self {
        Frame { kind, last: false, channel, body: Vec::new() }
    }

    /// Says that there is room for so many bytes more.
    pub fn credit(channel: u32, bytes: u32) -> Self {
        Frame { body: bytes.to_le_bytes().to_vec(), ..Frame::bare(Kind::Credit, channel) }
    }

    /// Says which place the next frame of a lane has.
    pub fn turn(place: u32) -> Self {
        Frame { body: place.to_le_bytes().to_vec(), ..Frame::bare(Kind::Turn, 0) }
    }

    /// The number in a [`Kind::Credit`] or [`Kind::Turn`] frame.
    pub fn number(&self) -> Option<u32> {
        Some(u32::from_le_bytes(self.body.as_slice().try_into().ok()?))
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut header = [0; HEADER];
        header[0] = self.kind as u8;
        header[1] = u8::from(self.last);
        header[2..6].copy_from_slice(&self.channel.to_le_bytes());
        header[6..].copy_from_slice(&(self.body.len() as u32).to_le_bytes());
        out.write_all(&header)?;
        out.write_all(&self.body)
    }

    /// Reads the next one; nothing at the end of the stream.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what no frame begins with, `UnexpectedEof` for one that is cut off.
    pub fn read(from: &mut dyn Read) -> io::Result<Option<Frame>> {
        let mut header = [0; HEADER];
        let first = loop {
            match from.read(&mut header[..1]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if first == 0 {
            return Ok(None);
        }
        from.read_exact(&mut header[1..])?;
        let mut frame = Self::begun(&header)?;
        from.read_exact(&mut frame.body)?;
        Ok(Some(frame))
    }

    /// Whether these bytes begin with a whole frame, or with what is none: the next can be read without waiting.
    pub fn begins(bytes: &[u8]) -> bool {
        let header = bytes.first_chunk::<HEADER>();
        header.is_some_and(|header| length(header) > BODY_LIMIT || bytes.len() - HEADER >= length(header))
    }

    /// The frame of a header, with room for its body.
    fn begun(header: &[u8; HEADER]) -> io::Result<Frame> {
        let kind = Kind::from_byte(header[0]).ok_or_else(|| invalid("a frame of an unknown kind"))?;
        let last = match header[1] {
            0 => false,
            1 => true,
            _ => return Err(invalid("a frame with unknown flags")),
        };
        let length = length(header);
        if length > BODY_LIMIT {
            return Err(invalid("a frame that is longer than frames are"));
        }
        Ok(Frame { kind, last, channel: number(header, 2), body: vec![0; length] })
    }
}

fn number(header: &[u8; HEADER], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// Of the body.
fn length(header: &[u8; HEADER]) -> usize {
    number(header, 6) as usize
}

/// The error of bytes that are not what the protocol says.
pub fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the other side sent {what}"))
}

#[cfg(test)]
mod tests;
