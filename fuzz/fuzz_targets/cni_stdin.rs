//! What a container runtime gives to the CNI plugin: variables by line, an empty line, then standard input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_agent::cni::config::{Attachment, Config, addresses};
use mesh_agent::cni::event::{AddEvent, SOCKET};
use mesh_agent::cni::run;
use serde_json::value::RawValue;
use std::collections::HashMap;

fuzz_target!(|text: &str| {
    let (environment, input) = text.split_once("\n\n").unwrap_or(("", text));
    let variables: HashMap<_, _> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let variable = |name: &str| variables.get(name).map(|&value| value.to_owned());
    let config = Config::parse(input);
    // Nobody is to be called who really is there.
    if config
        .as_ref()
        .is_ok_and(|config| config.cni_agent_run_dir.join(SOCKET).exists())
    {
        return;
    }
    let outcome = run(variable, input);
    // Any JSON, also with numbers that fit into no type: the result of the plugin before us goes on as it is.
    let value = serde_json::from_str::<&RawValue>(&outcome.stdout);
    assert!(
        value.is_ok() || (outcome.stdout.is_empty() && !outcome.failed),
        "{}",
        outcome.stdout
    );
    let Ok(config) = config else { return };
    let Some(Ok(addresses)) = config.previous.map(addresses) else {
        return;
    };
    let Ok(Some(attachment)) = Attachment::read(variable) else {
        return;
    };
    let event = AddEvent::new(
        &attachment.pod,
        attachment.uid.as_ref(),
        attachment.netns,
        &addresses,
    );
    // The agent reads what the plugin writes.
    let written = serde_json::to_string(&event).unwrap();
    let read: AddEvent = serde_json::from_str(&written).unwrap();
    assert_eq!(read, event);
    assert_eq!(read.addresses().len(), addresses.len());
});
