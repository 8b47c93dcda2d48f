//! Copies several texts of the other side into one allocation.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};

/// Several texts, one after the other, in one allocation.
pub(super) struct Block(pub(super) Bytes);

impl Block {
    pub(super) fn new<'a>(texts: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let len = texts.clone().map(<[u8]>::len).sum();
        Self(match len {
            0 => Bytes::new(),
            1..=128 => Bytes::from_owner(InlineBytes::<128>::new(texts)),
            129..=512 => Bytes::from_owner(InlineBytes::<512>::new(texts)),
            513..=2048 => Bytes::from_owner(InlineBytes::<2048>::new(texts)),
            _ => {
                let mut bytes = BytesMut::with_capacity(len);
                texts.for_each(|text| bytes.extend_from_slice(text));
                bytes.freeze()
            }
        })
    }

    /// Takes the next text, which has this length.
    pub(super) fn split_to(&mut self, len: usize) -> Bytes {
        if len == self.0.len() {
            return std::mem::take(&mut self.0);
        }
        self.0.split_to(len)
    }
}

/// Bytes in the same allocation as their reference count. A shared vector needs a second
/// allocation.
struct InlineBytes<const N: usize> {
    bytes: [MaybeUninit<u8>; N],
    len: usize,
}

impl<const N: usize> InlineBytes<N> {
    /// Copies texts that together have at most `N` bytes.
    fn new<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut bytes = [const { MaybeUninit::uninit() }; N];
        let mut len = 0;
        for text in texts {
            // SAFETY: `MaybeUninit<u8>` has the layout of `u8` and accepts initialised bytes. The
            // slice borrows `text`, so its bytes stay valid.
            let text: &[MaybeUninit<u8>] =
                unsafe { std::slice::from_raw_parts(text.as_ptr().cast(), text.len()) };
            bytes[len..len + text.len()].copy_from_slice(text);
            len += text.len();
        }
        Self { bytes, len }
    }
}

impl<const N: usize> AsRef<[u8]> for InlineBytes<N> {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `new` has initialised the first `len` bytes, and nothing changes them or `len`
        // after that.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) }
    }
}
