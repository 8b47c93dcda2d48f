//! Calls each property with its committed corpus.

use std::fs;
use std::path::Path;

/// Calls `property` with each file of `fuzz/corpus/<target>`.
fn replay(target: &str, property: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    if !fuzz.exists() {
        eprintln!("SKIPPED: {} does not exist", fuzz.display());
        return;
    }
    let folder = fuzz.join("corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is a folder") {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        property(&fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn the_corpus_of_http1_framing_holds_its_property() {
    replay("http1_framing", super::http1_framing);
}

#[test]
fn the_corpus_of_http2_frames_holds_its_property() {
    replay("http2_frames", super::http2_frames);
}

#[test]
fn the_corpus_of_websocket_frames_holds_its_property() {
    replay("websocket_frames", super::websocket_frames);
}

#[test]
fn the_corpus_of_deflate_negotiation_holds_its_property() {
    replay("deflate_negotiation", super::deflate_negotiation);
}

#[test]
fn the_corpus_of_pem_holds_its_property() {
    replay("pem", super::pem);
}
