//! Reads the head of an ELF file: the system's loader says too little about what is wrong with one.

use std::env::consts::ARCH;

use crate::loader::error::Problem;

/// How much of the file is looked at.
pub(super) const HEAD: usize = 20;

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
    if !head.starts_with(MAGIC) || head.len() < HEAD {
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

fn not_a_library(head: &[u8]) -> Problem {
    let begins = head.get(..8).unwrap_or(head);
    Problem::NotALibrary {
        begins: format!("\"{}\"", begins.escape_ascii()),
    }
}
