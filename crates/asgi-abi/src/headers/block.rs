//! Texts of the other side, copied into one allocation.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};

/// Texts one after the other in one allocation, whatever their number.
pub(super) struct Block(pub(super) Bytes);

impl Block {
    pub(super) fn of<'a>(texts: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let len = texts.clone().map(<[u8]>::len).sum();
        Self(match len {
            0 => Bytes::new(),
            1..=128 => Bytes::from_owner(Inline::<128>::of(texts)),
            129..=512 => Bytes::from_owner(Inline::<512>::of(texts)),
            513..=2048 => Bytes::from_owner(Inline::<2048>::of(texts)),
            _ => {
                let mut bytes = BytesMut::with_capacity(len);
                texts.for_each(|text| bytes.extend_from_slice(text));
                bytes.freeze()
            }
        })
    }

    /// The next text of this length.
    pub(super) fn split_to(&mut self, len: usize) -> Bytes {
        if len == self.0.len() {
            return std::mem::take(&mut self.0);
        }
        self.0.split_to(len)
    }
}

/// Bytes beside the count of those who share them. A vector that is shared costs an allocation
/// more.
struct Inline<const N: usize> {
    bytes: [MaybeUninit<u8>; N],
    len: usize,
}

impl<const N: usize> Inline<N> {
    /// Copies texts which have `N` bytes together at most.
    fn of<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut bytes = [const { MaybeUninit::uninit() }; N];
        let mut len = 0;
        for text in texts {
            // SAFETY: `MaybeUninit<u8>` is as `u8`, and takes what is initialised.
            let text: &[MaybeUninit<u8>] =
                unsafe { std::slice::from_raw_parts(text.as_ptr().cast(), text.len()) };
            bytes[len..len + text.len()].copy_from_slice(text);
            len += text.len();
        }
        Self { bytes, len }
    }
}

impl<const N: usize> AsRef<[u8]> for Inline<N> {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `of` has written the first `len` bytes.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) }
    }
}
