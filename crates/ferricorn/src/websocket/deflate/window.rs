//! The last bytes of one direction, which the next message may refer to.

/// The last bytes of the compressed messages of one direction, before they were compressed.
///
/// It has no bytes of uncompressed messages: an endpoint takes over the window "used to
/// build the last compressed message" (RFC 7692 §7.2.1).
#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// The most bytes that it holds. 0 without context takeover.
    size: usize,
}

impl Window {
    /// Makes an empty window. It takes no memory before the first message.
    pub(super) fn new(size: usize) -> Self {
        Self {
            bytes: Vec::new(),
            size,
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a message and drops the oldest bytes.
    pub(super) fn slide(&mut self, message: &[u8]) {
        let newest = &message[message.len().saturating_sub(self.size)..];
        let length = self.bytes.len() + newest.len();
        self.bytes.drain(..length.saturating_sub(self.size));
        if self.bytes.len() + newest.len() > self.bytes.capacity() {
            // Never more than the window; the doubling of `Vec` could exceed it.
            let capacity = length.next_power_of_two().min(self.size);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(newest);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
