//! Manifests through the whole conversion. The first byte chooses the releases that it is for, and what else is asked.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use mesh_fuzz::manifests::{Parts, Random, text_of, trees};
use mesh_migrate::convert::{Conversion, Options, Subsets, WaypointPer, convert};
use mesh_migrate::input::Input;
use mesh_migrate::input::files::{Text, read_texts};
use model::yaml::documents;
use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

static PARTS: LazyLock<Parts> = LazyLock::new(Parts::of_cases);

fuzz_target!(|input: (u8, &str)| {
    let (choice, text) = input;
    let options = options(choice);
    let input = read(&[text]);
    let conversion = convert(&input.mesh, options);
    let written = shown(&conversion);
    let names: HashSet<_> = conversion.changes.iter().map(|change| &change.id).collect();
    assert_eq!(names.len(), conversion.changes.len(), "two new objects have one name");
    for (change, text) in conversion.changes.iter().zip(&written) {
        // A new object can be read, and is called as was said.
        let new = read(&[*text]);
        assert!(new.errors.is_empty(), "{:?}\n{text}", new.errors);
        assert_eq!(new.mesh.ids().collect::<Vec<_>>(), [&change.id]);
    }
    // Converting the output again changes nothing.
    let mut all = vec![text];
    all.extend(&written);
    let again = convert(&read(&all).mesh, options);
    assert!(again.changes.is_empty(), "{:?}", again.changes);
    // Nor does the order of the documents. Of several objects of one name a cluster has the last one, so there it matters.
    let mut chunks: Vec<&str> = documents(text).iter().map(|chunk| chunk.text).collect();
    // Read one by one, for what is a template as a whole may hold objects.
    let forwards = read(&chunks).mesh;
    let names: HashSet<_> = forwards.ids().collect();
    if chunks.len() > 1 && names.len() == forwards.ids().count() {
        let forwards = convert(&forwards, options);
        chunks.reverse();
        let backwards = convert(&read(&chunks).mesh, options);
        assert_eq!(shown(&forwards), shown(&backwards));
        assert_eq!(said(&forwards), said(&backwards));
    }
});

// Half of the time the trees are varied, with parts of the cases of the tests.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random::new(seed);
    let text = data.get(1..size).and_then(|text| std::str::from_utf8(text).ok());
    let mut documents = text.map(trees).unwrap_or_default();
    if documents.is_empty() || random.below(2) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    PARTS.vary(&mut documents, &mut random);
    let text = text_of(&documents);
    let Some(room) = data
        .get_mut(1..max_size)
        .and_then(|room| room.get_mut(..text.len()))
    else {
        return fuzzer_mutate(data, size, max_size);
    };
    room.copy_from_slice(text.as_bytes());
    if random.below(8) == 0 {
        data[0] = data[0].wrapping_add(u8::try_from(seed % 251).unwrap_or_default());
    }
    1 + text.len()
});

fn options(choice: u8) -> Options {
    let bits = |at: u8, count: u8| usize::from((choice >> at) & ((1 << count) - 1));
    Options {
        istio: ["1.30", "1.31"][bits(0, 1)].parse().unwrap(),
        gateway_api: ["1.4", "1.5", "1.6", "1.6/experimental"][bits(1, 2)]
            .parse()
            .unwrap(),
        subsets: [Subsets::Keep, Subsets::Services][bits(3, 1)],
        services_only: bits(4, 1) == 1,
        ingress: bits(5, 1) == 1,
        waypoint_per: [None, None, Some(WaypointPer::Namespace), Some(WaypointPer::Service)][bits(6, 2)],
    }
}

fn read(texts: &[&str]) -> Input {
    let texts = texts.iter().enumerate().map(|(number, content)| Text {
        name: format!("{number}.yaml").into(),
        content: (*content).to_owned(),
    });
    read_texts(&texts.collect::<Vec<_>>())
}

fn shown(conversion: &Conversion) -> Vec<&str> {
    conversion
        .changes
        .iter()
        .map(|change| change.after.text())
        .collect()
}

fn said(conversion: &Conversion) -> BTreeSet<String> {
    let findings = conversion.findings.iter();
    findings
        .map(|finding| {
            format!(
                "{} {:?} {}",
                finding.code, finding.location.object, finding.message
            )
        })
        .collect()
}
