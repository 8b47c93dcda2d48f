//! Reads the head of an ELF file: the system's loader says too little about what is wrong with one.

use std::env::consts::ARCH;

use crate::loader::error::Problem;

/// How much of the file is looked at: linkers put the table of segments right behind the header.
pub(super) const HEAD: usize = 4096;
/// What `check` reads of it at least.
const SHORTEST: usize = 20;

const MAGIC: &[u8] = b"\x7fELF";
const LITTLE_ENDIAN: u8 = 1;
const SHARED_OBJECT: u16 = 3;

/// The processors of a server: the number in `e_machine`, the bits, Rust's name of it.
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

/// Whether these first bytes are those of a shared library for this machine.
pub(super) fn check(head: &[u8]) -> Result<(), Problem> {
    if !head.starts_with(MAGIC) || head.len() < SHORTEST {
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
    // A machine that the table lacks is left to the system's loader.
    if found != ARCH && MACHINES.iter().any(|(_, _, name)| *name == ARCH) {
        return Err(Problem::OtherMachine {
            found,
            expected: ARCH.to_owned(),
        });
    }
    match number(16) {
        SHARED_OBJECT => Ok(()),
        1 => Err(Problem::NotShared {
            what: "an object file that was not linked",
        }),
        2 => Err(Problem::NotShared { what: "a program" }),
        _ => Err(Problem::NotShared {
            what: "an ELF file of another kind",
        }),
    }
}

/// Whether a file of this many bytes, which begins with `head`, holds all that is loaded of it. The
/// system's loader maps segments without a look at the file's end, and dies of what is not there.
pub(super) fn check_end(head: &[u8], len: u64) -> Result<(), Problem> {
    // Of a file of 32 bits or of the other order of bytes nothing is known.
    let end = segments_end(head).unwrap_or(0);
    if end > len {
        return Err(Problem::CutOff { end, len });
    }
    Ok(())
}

/// `PT_LOAD`.
const LOADED: u64 = 1;
/// Of 64-bit files, as above.
const SEGMENT_SIZE: usize = 56;

/// Where in the file its segments end, and their table.
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

/// The names of the symbols that a library of this machine exports, in the order of the file; none
/// if it is not one.
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
        // A symbol of section 0 is one that the library asks for.
        let is_defined = number::<2>(symbol, 6)? != 0;
        let name = names.get(number::<4>(symbol, 0)? as usize..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        is_defined.then(|| std::str::from_utf8(&name[..end]).ok())?
    })
}

/// `SHT_DYNSYM`.
const DYNAMIC_SYMBOLS: u64 = 11;
/// Of 64-bit files; those of others are not read.
const SYMBOL_SIZE: usize = 24;
const SECTION_SIZE: usize = 64;

/// The table of sections of a 64-bit file in this machine's order of bytes.
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

/// The number of `N` bytes at that place, if the file goes that far.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.get(..N)?;
    let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    Some(if cfg!(target_endian = "little") {
        bytes.iter().rev().fold(0, fold)
    } else {
        bytes.iter().fold(0, fold)
    })
}

fn not_a_library(head: &[u8]) -> Problem {
    let begins = head.get(..8).unwrap_or(head);
    Problem::NotALibrary {
        begins: format!("\"{}\"", begins.escape_ascii()),
    }
}
