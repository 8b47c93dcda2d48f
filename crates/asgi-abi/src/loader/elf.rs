//! Checks ELF files before the system's loader gets them: its error messages say too little. Also
//! lists the symbols that a library exports.

use std::env::consts::ARCH;

use crate::loader::error::LoadProblem;

/// How many bytes of the file are checked. Linkers put the table of segments right after the header.
pub(super) const HEAD_LEN: usize = 4096;
/// How many bytes `check` needs at least.
const MIN_LEN: usize = 20;

const MAGIC: &[u8] = b"\x7fELF";
const LITTLE_ENDIAN: u8 = 1;
const SHARED_OBJECT: u16 = 3;

/// The processors of servers: the number in `e_machine`, the bits, and Rust's name.
const MACHINES: [(u16, u8, &str); 9] = [
    (62, 64, "x86_64"),
    (183, 64, "aarch64"),
    (243, 64, "riscv64"),
    (21, 64, "powerpc64"),
    (22, 64, "s390x"),
    (258, 64, "loongarch64"),
    (3, 32, "x86"),
    (40, 32, "arm"),
    (243, 32, "riscv32"),
];

/// Checks that these first bytes belong to a shared library for this machine.
pub(super) fn check(head: &[u8]) -> Result<(), LoadProblem> {
    if !head.starts_with(MAGIC) || head.len() < MIN_LEN {
        return Err(not_a_library(head));
    }
    let bits = head[4].saturating_mul(32);
    let number = |at: usize| {
        let bytes = [head[at], head[at + 1]];
        if head[5] == LITTLE_ENDIAN {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        }
    };
    let machine = number(18);
    let known = |(number, width, _): &&(u16, u8, &str)| (*number, *width) == (machine, bits);
    let found = match MACHINES.iter().find(known) {
        Some((_, _, name)) => (*name).to_owned(),
        None => format!("processor number {machine} ({bits} bits)"),
    };
    // If the table does not have this machine, the system's loader decides.
    if found != ARCH && MACHINES.iter().any(|(_, _, name)| *name == ARCH) {
        return Err(LoadProblem::OtherMachine {
            found,
            expected: ARCH.to_owned(),
        });
    }
    match number(16) {
        SHARED_OBJECT => Ok(()),
        1 => Err(LoadProblem::NotShared {
            what: "an object file, not linked yet",
        }),
        2 => Err(LoadProblem::NotShared { what: "a program" }),
        _ => Err(LoadProblem::NotShared {
            what: "an ELF file of another kind",
        }),
    }
}

/// Checks that a file with this head and length contains all its segments. The system's loader does
/// not check this: it maps the segments, and the process dies when it reads a missing part.
pub(super) fn check_end(head: &[u8], len: u64) -> Result<(), LoadProblem> {
    // `None` for a file with 32 bits or the other byte order: it is not checked.
    let end = segments_end(head).unwrap_or(0);
    if end > len {
        return Err(LoadProblem::CutOff { end, len });
    }
    Ok(())
}

/// `PT_LOAD`: a segment that is loaded.
const LOADED: u64 = 1;
/// The size of an entry in the table of segments, in 64-bit files.
const SEGMENT_SIZE: usize = 56;

/// The end of the last segment or of their table, as a position in the file.
fn segments_end(head: &[u8]) -> Option<u64> {
    let is_ours = head.get(4..6)? == [2, if cfg!(target_endian = "little") { 1 } else { 2 }];
    let table = number::<8>(head, 0x20)?;
    let size = number::<2>(head, 0x36)?;
    let count = number::<2>(head, 0x38)?;
    if !is_ours || size != SEGMENT_SIZE as u64 {
        return None;
    }
    let table_end = table.saturating_add(count * size);
    let known = usize::try_from(table).ok().and_then(|at| head.get(at..));
    let segments = known.unwrap_or_default().chunks_exact(SEGMENT_SIZE);
    let ends = segments.take(count as usize).filter_map(|segment| {
        let is_loaded = number::<4>(segment, 0)? == LOADED;
        let (offset, size) = (number::<8>(segment, 8)?, number::<8>(segment, 32)?);
        is_loaded.then_some(offset.saturating_add(size))
    });
    Some(ends.fold(table_end, u64::max))
}

/// The names of the symbols that a library exports, in the order of the file; none if the file is not
/// a library for this machine.
pub(super) fn exports(file: &[u8]) -> impl Iterator<Item = &str> {
    let sections = Sections::read(file);
    let symbols = sections
        .as_ref()
        .and_then(|sections| sections.of_type(DYNAMIC_SYMBOLS));
    let (symbols, names) = symbols
        .zip(sections.as_ref())
        .map(|(symbols, sections)| (symbols.bytes(file), sections.at(symbols.link)))
        .unwrap_or_default();
    let names = names.map_or(&[][..], |names| names.bytes(file));
    symbols.chunks_exact(SYMBOL_SIZE).filter_map(move |symbol| {
        // Section 0 means that the library imports the symbol.
        let is_defined = number::<2>(symbol, 6)? != 0;
        let name = names.get(number::<4>(symbol, 0)? as usize..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        is_defined.then(|| std::str::from_utf8(&name[..end]).ok())?
    })
}

/// `SHT_DYNSYM`: the table of dynamic symbols.
const DYNAMIC_SYMBOLS: u64 = 11;
/// The size of an entry in the table of symbols, in 64-bit files. Other files are not read.
const SYMBOL_SIZE: usize = 24;
const SECTION_SIZE: usize = 64;

/// The table of sections of a 64-bit file in this machine's byte order.
struct Sections<'a>(&'a [u8]);

struct Section {
    offset: usize,
    size: usize,
    link: usize,
}

impl<'a> Sections<'a> {
    fn read(file: &'a [u8]) -> Option<Self> {
        let is_64_bit = *file.get(4)? == 2;
        let offset = usize::try_from(number::<8>(file, 0x28)?).ok()?;
        let size = number::<2>(file, 0x3a)? as usize;
        let count = number::<2>(file, 0x3c)? as usize;
        if !is_64_bit || size != SECTION_SIZE {
            return None;
        }
        let table = file.get(offset..)?;
        Some(Self(table.get(..count * SECTION_SIZE)?))
    }

    fn of_type(&self, wanted: u64) -> Option<Section> {
        let count = self.0.len() / SECTION_SIZE;
        let is_wanted = |n: &usize| number::<4>(self.0, n * SECTION_SIZE + 4) == Some(wanted);
        self.at((0..count).find(is_wanted)?)
    }

    fn at(&self, n: usize) -> Option<Section> {
        let header = self.0.chunks_exact(SECTION_SIZE).nth(n)?;
        Some(Section {
            offset: usize::try_from(number::<8>(header, 24)?).ok()?,
            size: usize::try_from(number::<8>(header, 32)?).ok()?,
            link: number::<4>(header, 40)? as usize,
        })
    }
}

impl Section {
    fn bytes<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        let bytes = file
            .get(self.offset..)
            .and_then(|rest| rest.get(..self.size));
        bytes.unwrap_or_default()
    }
}

/// The number in the `N` bytes at this position; `None` after the end of the file.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.get(..N)?;
    let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    Some(if cfg!(target_endian = "little") {
        bytes.iter().rev().fold(0, fold)
    } else {
        bytes.iter().fold(0, fold)
    })
}

fn not_a_library(head: &[u8]) -> LoadProblem {
    let begins = head.get(..8).unwrap_or(head);
    LoadProblem::NotALibrary {
        begins: format!("\"{}\"", begins.escape_ascii()),
    }
}
