//! A typical client: one zlib stream a direction, for the life of the socket.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::{Agreement, Direction, both};

pub(super) struct Peer {
    compress: Compress,
    decompress: Decompress,
    agreement: Agreement,
}

impl Peer {
    pub(super) fn new(agreement: Agreement) -> Self {
        let level = Compression::new(6);
        let client = agreement.client.window_bits;
        let server = agreement.server.window_bits;
        Self {
            compress: Compress::new_with_window_bits(level, false, client),
            decompress: Decompress::new_with_window_bits(false, server),
            agreement,
        }
    }

    /// A peer for one direction. The other direction does not matter.
    pub(super) fn of(direction: Direction) -> Self {
        Self::new(both(direction))
    }

    pub(super) fn deflate(&mut self, message: &[u8]) -> Vec<u8> {
        if message.is_empty() {
            // zlib flushes no stream twice in a row. RFC 7692 §7.2.3.6.
            return vec![0];
        }
        if !self.agreement.client.context_takeover {
            self.compress.reset();
        }
        let mut payload = Vec::with_capacity(message.len() * 2 + 100);
        self.compress
            .compress_vec(message, &mut payload, FlushCompress::Sync)
            .unwrap();
        assert!(payload.ends_with(&[0, 0, 0xff, 0xff]));
        payload.truncate(payload.len() - 4);
        payload
    }

    pub(super) fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        if !self.agreement.server.context_takeover {
            self.decompress.reset(false);
        }
        let mut message = Vec::with_capacity(200_000);
        for input in [payload, &[0, 0, 0xff, 0xff]] {
            let before = self.decompress.total_in();
            self.decompress
                .decompress_vec(input, &mut message, FlushDecompress::Sync)
                .unwrap();
            assert_eq!(self.decompress.total_in() - before, input.len() as u64);
        }
        message
    }
}
