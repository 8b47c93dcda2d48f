//! Frames of WebSockets, cut out of a stream.

pub(super) const FIN: u8 = 0x80;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;

#[derive(Default)]
pub(super) struct Frames(Vec<u8>);

impl Frames {
    /// Takes bytes, and returns the frames that are whole now.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.0.extend(bytes);
        let mut frames = Vec::new();
        while let Some(length) = length(&self.0).filter(|length| *length <= self.0.len()) {
            let rest = self.0.split_off(length);
            frames.push(std::mem::replace(&mut self.0, rest));
        }
        frames
    }
}

pub(super) fn opcode(frame: &[u8]) -> u8 {
    frame[0] & 0xf
}

/// The length of the first frame, with its head.
fn length(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (head, payload) = match second & 0x7f {
        126 => (4, number(bytes.get(2..4)?)),
        127 => (10, number(bytes.get(2..10)?)),
        short => (2, usize::from(short)),
    };
    Some(head + mask + payload)
}

fn number(bytes: &[u8]) -> usize {
    let bytes = bytes.iter();
    bytes.fold(0, |number, byte| number << 8 | usize::from(*byte))
}
