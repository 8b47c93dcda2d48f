//! The end of what one direction has carried, which the next message may refer to.

/// The last bytes of the compressed messages of one direction, before they were compressed.
///
/// Messages that were sent uncompressed are not in it: an endpoint takes over the window "used to
/// build the last compressed message" (RFC 7692 §7.2.1).
#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// How many bytes it holds at most. None without context take-over.
    size: usize,
}

impl Window {
    /// An empty window. It takes no memory before the first message.
    pub(super) fn new(size: usize) -> Self {
        Self {
            bytes: Vec::new(),
            size,
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a message; the oldest bytes make room for it.
    pub(super) fn slide(&mut self, message: &[u8]) {
        let newest = &message[message.len().saturating_sub(self.size)..];
        let length = self.bytes.len() + newest.len();
        self.bytes.drain(..length.saturating_sub(self.size));
        if self.bytes.len() + newest.len() > self.bytes.capacity() {
            // Never more than the window, which doubling on its own would not keep to.
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
