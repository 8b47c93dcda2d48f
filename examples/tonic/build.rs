//! Generates the code for `proto/tally.proto`, without `protoc`: protox is a compiler in Rust.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.open_file("tally.proto")?;
    // Reflection sends this to clients.
    let file = PathBuf::from(env::var("OUT_DIR")?).join("tally.bin");
    fs::write(file, compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
