//! Manifests as users write them, to trees and back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::yaml::{documents, parse, to_text};
use serde_json::Value as Json;

fuzz_target!(|text: &str| {
    for chunk in documents(text) {
        assert!(text.contains(chunk.text));
        let Ok(Some(node)) = parse(chunk) else { continue };
        // What is written is read as it was.
        let json = Json::from(&node);
        let written = to_text(&json);
        let again = documents(&written).first().map(|chunk| parse(*chunk));
        let again = again.and_then(Result::ok).flatten();
        assert_eq!(again.as_ref().map(Json::from), Some(json), "{written}");
    }
});
