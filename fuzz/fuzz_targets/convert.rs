//! Manifests through the whole conversion. The first byte chooses the releases that it is for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_migrate::convert::{Options, convert};
use mesh_migrate::input::Input;
use mesh_migrate::input::files::{Text, read_texts};

fn read(texts: &[&str]) -> Input {
    let texts = texts.iter().enumerate().map(|(number, content)| Text {
        name: format!("{number}.yaml").into(),
        content: (*content).to_owned(),
    });
    read_texts(&texts.collect::<Vec<_>>())
}

fuzz_target!(|input: (u8, &str)| {
    let (releases, text) = input;
    let options = Options {
        istio: ["1.30", "1.31"][usize::from(releases & 1)].parse().unwrap(),
        gateway_api: ["1.4", "1.5", "1.6", "1.6/experimental"][usize::from((releases >> 1) & 3)]
            .parse()
            .unwrap(),
    };
    let conversion = convert(&read(&[text]).mesh, options);
    let written: Vec<&str> = conversion
        .changes
        .iter()
        .map(|change| change.after.text())
        .collect();
    for (change, text) in conversion.changes.iter().zip(&written) {
        // A new object can be read, and is called as was said.
        let new = read(&[*text]);
        assert!(new.errors.is_empty(), "{:?}\n{text}", new.errors);
        assert_eq!(new.mesh.ids().collect::<Vec<_>>(), [&change.id]);
    }
    // Converting the output again changes nothing.
    let mut all = vec![text];
    all.extend(written);
    let again = convert(&read(&all).mesh, options);
    assert!(again.changes.is_empty(), "{:?}", again.changes);
});
