use std::time::Instant;
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {}
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) code: u32,
    pub(crate) why: &'static str,
}
#[derive(Debug)]
pub(crate) struct Guard {}
impl Guard {
    pub(crate) fn new(_: Limits, _: Instant) -> Self {
        Self {}
    }
    pub(crate) fn read(&mut self, _: &[u8], _: Instant) -> Result<(), (usize, Fault)> {
        Ok(())
    }
}
