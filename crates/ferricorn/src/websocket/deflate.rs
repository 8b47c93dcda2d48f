//! permessage-deflate (RFC 7692): not offered yet.
#![allow(dead_code)]
use bytes::{Bytes, BytesMut};
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) window_bits: u8,
    pub(crate) context_takeover: bool,
}
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agreement;
pub(crate) fn negotiate(
    _: &http::HeaderMap,
    _: Settings,
) -> Option<(Agreement, http::HeaderValue)> {
    None
}
#[derive(Debug)]
pub(crate) struct Deflater;
#[derive(Debug)]
pub(crate) struct Inflater;
#[derive(Debug)]
pub(crate) enum Fault {
    TooLarge,
    Malformed,
}
impl Deflater {
    pub(crate) fn new(_: Agreement) -> Self {
        Self
    }
    pub(crate) fn deflate(&mut self, _: &[u8], _: &mut BytesMut) -> bool {
        false
    }
}
impl Inflater {
    pub(crate) fn new(_: Agreement) -> Self {
        Self
    }
    pub(crate) fn inflate(&mut self, _: &[u8], _: usize) -> Result<Bytes, Fault> {
        Err(Fault::Malformed)
    }
}
