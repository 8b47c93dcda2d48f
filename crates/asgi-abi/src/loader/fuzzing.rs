//! The property of ELF files for the fuzz target `elf`. Only tests and cargo-fuzz compile it.

use std::path::Path;

use super::elf;
use super::error::{LoadError, LoadProblem};

/// The input is the content of a file.
///
/// - No content makes the reader panic, or read outside of the file.
/// - The verdict about the kind of a file needs only its first 20 bytes.
/// - A longer file does not make its head worse: if a file is long enough, a longer one is too.
/// - The length that an error asks for is enough.
/// - The names of symbols are parts of the file, without a zero byte.
pub fn elf(file: &[u8]) {
    let head = &file[..file.len().min(elf::HEAD_LEN)];
    let verdict = text(elf::check(head));
    assert_eq!(text(elf::check(file)), verdict, "the whole file");
    if file.len() >= 20 {
        let short = elf::check(&file[..20]);
        assert_eq!(text(short), verdict, "the first bytes");
    }

    let length = file.len() as u64;
    match elf::check_end(head, length) {
        Ok(()) => {
            assert!(elf::check_end(head, length + 1).is_ok());
            assert!(elf::check_end(head, u64::MAX).is_ok());
        }
        Err(LoadProblem::CutOff { end, len }) => {
            assert!(end > len && len == length);
            assert!(elf::check_end(head, end - 1).is_err());
            assert!(elf::check_end(head, end).is_ok());
        }
        Err(problem) => panic!("{}", text(Err(problem))),
    }

    let bounds = file.as_ptr_range();
    let mut count = 0;
    for name in elf::exports(file) {
        assert!(!name.contains('\0'));
        let name = name.as_bytes().as_ptr_range();
        assert!(bounds.start <= name.start && name.end < bounds.end);
        count += 1;
    }
    // A symbol has 24 bytes.
    assert!(count <= file.len() / 24);
}

/// The line for the operator; empty if there is no problem.
fn text(result: Result<(), LoadProblem>) -> String {
    match result {
        Ok(()) => String::new(),
        Err(problem) => {
            let error = LoadError::new(Path::new("lib.so"), problem).to_string();
            assert!(!error.contains('\n'), "{error:?}");
            error
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_corpus_of_elf_holds_its_property() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        if !fuzz.exists() {
            eprintln!("SKIPPED: {} does not exist", fuzz.display());
            return;
        }
        let folder = fuzz.join("corpus/elf");
        let mut count = 0;
        for entry in fs::read_dir(&folder).expect("the corpus is a folder") {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            super::elf(&fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", folder.display());
    }
}
