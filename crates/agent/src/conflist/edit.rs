//! Editing a CNI configuration as text: what belongs to others stays byte for byte.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::ops::Range;

/// The name that a list gets which is made of a single plugin's configuration.
const CONVERTED_NAME: &str = "k8s-pod-network";
/// The version that such a list gets if the single configuration has none.
const CONVERTED_VERSION: &str = "0.3.1";

/// Why a text cannot be edited.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It is not JSON of the right shape.
    #[error("not a CNI configuration: {0}")]
    Json(#[from] serde_json::Error),
    /// It is neither a list of plugins nor one plugin.
    #[error("not a CNI configuration: neither `plugins` nor `type`")]
    Neither,
    /// It is a list without any plugin but ours.
    #[error("the list has no plugin that makes the pod's network")]
    NoOther,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    plugins: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// The whole configuration, as far as its kind shows.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    plugins: Option<&'a RawValue>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "cniVersion")]
    version: Option<String>,
}

/// Puts `entry` at the end of the list, and takes away every other entry of its type. A single plugin's configuration
/// becomes a list. The same text comes back if nothing is to be done.
///
/// # Errors
/// If the text is no CNI configuration, or one without a plugin of others.
pub fn insert(text: &str, entry: &Map<String, Value>) -> Result<String, EditError> {
    let outline: Outline<'_> = serde_json::from_str(text)?;
    if outline.plugins.is_none() {
        return convert(text, &outline, entry);
    }
    let own = entry.get("type").and_then(Value::as_str).unwrap_or_default();
    let list: List<'_> = serde_json::from_str(text)?;
    let owns = list
        .plugins
        .iter()
        .map(|plugin| is_of(plugin, own))
        .collect::<Result<Vec<_>, _>>()?;
    if owns.iter().all(|own| *own) {
        return Err(EditError::NoOther);
    }
    let in_place = owns.iter().filter(|own| **own).count() == 1 && owns.last() == Some(&true);
    if in_place && list.plugins.last().is_some_and(|last| same(last, entry)) {
        return Ok(text.to_owned());
    }
    let cleaned = cut(text, &list, &owns);
    let list: List<'_> = serde_json::from_str(&cleaned)?;
    let Some(last) = list.plugins.last() else {
        return Err(EditError::NoOther);
    };
    let end = span(&cleaned, last).end;
    let written = Value::Object(entry.clone()).to_string();
    let before = separator(&cleaned, &list);
    Ok(splice(&cleaned, end..end, &format!(",{before}{written}")))
}

/// Takes away every entry of type `own`. The same text comes back if there is none.
///
/// # Errors
/// If the text is no CNI configuration.
pub fn remove(text: &str, own: &str) -> Result<String, EditError> {
    let outline: Outline<'_> = serde_json::from_str(text)?;
    if outline.plugins.is_none() {
        return if outline.kind.is_some() {
            Ok(text.to_owned())
        } else {
            Err(EditError::Neither)
        };
    }
    let list: List<'_> = serde_json::from_str(text)?;
    let owns = list
        .plugins
        .iter()
        .map(|plugin| is_of(plugin, own))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(cut(text, &list, &owns))
}

/// Makes a list of a single plugin's configuration, which stands in it as it was written.
fn convert(text: &str, outline: &Outline<'_>, entry: &Map<String, Value>) -> Result<String, EditError> {
    if outline.kind.is_none() {
        return Err(EditError::Neither);
    }
    let version = outline.version.as_deref().unwrap_or(CONVERTED_VERSION);
    let (name, version) = (json!(CONVERTED_NAME), json!(version));
    let (first, own) = (text.trim(), Value::Object(entry.clone()));
    Ok(format!(
        "{{\n  \"cniVersion\": {version},\n  \"name\": {name},\n  \"plugins\": [\n{first},\n    {own}\n  ]\n}}\n"
    ))
}

fn is_of(plugin: &RawValue, own: &str) -> Result<bool, EditError> {
    let head: Head = serde_json::from_str(plugin.get())?;
    Ok(head.kind.as_deref() == Some(own))
}

fn same(plugin: &RawValue, entry: &Map<String, Value>) -> bool {
    serde_json::from_str::<Map<String, Value>>(plugin.get()).is_ok_and(|written| written == *entry)
}

/// Where a value that was read from `text` stands in it.
fn span(text: &str, value: &RawValue) -> Range<usize> {
    let start = (value.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + value.get().len()
}

fn splice(text: &str, range: Range<usize>, new: &str) -> String {
    let before = text.get(..range.start).unwrap_or_default();
    let after = text.get(range.end..).unwrap_or_default();
    format!("{before}{new}{after}")
}

/// The white space between the list's last two entries, or before its only one.
fn separator(text: &str, list: &List<'_>) -> String {
    let Some(last) = list.plugins.last() else {
        return String::new();
    };
    let start = span(text, last).start;
    let before = text.get(..start).unwrap_or_default();
    before
        .get(before.trim_end().len()..)
        .unwrap_or_default()
        .to_owned()
}

/// The text without the entries that `owns` marks, each with the comma that it no longer needs.
fn cut(text: &str, list: &List<'_>, owns: &[bool]) -> String {
    let spans: Vec<_> = list.plugins.iter().map(|plugin| span(text, plugin)).collect();
    let mut cuts = Vec::new();
    let mut kept_before = None;
    for (at, (range, own)) in spans.iter().zip(owns).enumerate() {
        if !own {
            kept_before = Some(range.end);
            continue;
        }
        let start = match cuts.last() {
            // Follows an entry that is cut as well.
            Some(Range { end, .. }) if at > 0 && owns.get(at - 1) == Some(&true) => *end,
            _ => kept_before.unwrap_or(range.start),
        };
        let next = spans.get(at + 1).map(|next| next.start);
        let end = if kept_before.is_none() {
            next.unwrap_or(range.end)
        } else {
            range.end
        };
        cuts.push(start..end);
    }
    let mut edited = text.to_owned();
    for range in cuts.into_iter().rev() {
        edited.replace_range(range, "");
    }
    edited
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> Map<String, Value> {
        let entry = json!({"type": "mesh-agent", "name": "mesh-agent", "cni_agent_run_dir": "/run/a"});
        entry.as_object().unwrap().clone()
    }

    const OWN: &str = r#"{"type":"mesh-agent","name":"mesh-agent","cni_agent_run_dir":"/run/a"}"#;

    #[test]
    fn the_entry_is_put_last_and_nothing_else_changes() {
        for (before, after) in [
            (r#"{"plugins":[{"type":"a"}]}"#.to_owned(), format!(r#"{{"plugins":[{{"type":"a"}},{OWN}]}}"#)),
            (
                "{\n  \"name\": \"x\",\n  \"plugins\": [\n    { \"type\": \"a\", \"mtu\": 1.50e3 },\n    {\"type\": \"\\u0062\"}\n  ], \"z\": 1\n}\n".into(),
                format!("{{\n  \"name\": \"x\",\n  \"plugins\": [\n    {{ \"type\": \"a\", \"mtu\": 1.50e3 }},\n    {{\"type\": \"\\u0062\"}},\n    {OWN}\n  ], \"z\": 1\n}}\n"),
            ),
            // An older entry of ours, in front of another plugin and with other settings.
            (
                r#"{"plugins":[{"type":"a"}, {"type":"mesh-agent"}, {"type":"b"}]}"#.into(),
                format!(r#"{{"plugins":[{{"type":"a"}}, {{"type":"b"}}, {OWN}]}}"#),
            ),
            (
                r#"{"plugins":[{"type":"mesh-agent"},{"type":"mesh-agent"},{"type":"a"},{"type":"mesh-agent"}]}"#.into(),
                format!(r#"{{"plugins":[{{"type":"a"}},{OWN}]}}"#),
            ),
            // The entry of a stock agent is another's.
            (
                r#"{"plugins":[{"type":"a"},{"type":"istio-cni"}]}"#.into(),
                format!(r#"{{"plugins":[{{"type":"a"}},{{"type":"istio-cni"}},{OWN}]}}"#),
            ),
            (
                "{\"type\":\"a\", \"name\":\"n\",\"cniVersion\":\"1.0.0\"}\n".into(),
                format!("{{\n  \"cniVersion\": \"1.0.0\",\n  \"name\": \"k8s-pod-network\",\n  \"plugins\": [\n{{\"type\":\"a\", \"name\":\"n\",\"cniVersion\":\"1.0.0\"}},\n    {OWN}\n  ]\n}}\n"),
            ),
        ] {
            let inserted = insert(&before, &entry()).unwrap();
            assert_eq!(inserted, after);
            assert_eq!(insert(&inserted, &entry()).unwrap(), after, "twice");
        }
    }

    #[test]
    fn the_entry_is_removed_and_nothing_else_changes() {
        for (before, after) in [
            (
                format!(r#"{{"plugins":[{{"type":"a"}},  {OWN} ]}}"#),
                r#"{"plugins":[{"type":"a"} ]}"#,
            ),
            (
                format!(r#"{{"plugins":[{OWN} , {{"type":"a"}}]}}"#),
                r#"{"plugins":[{"type":"a"}]}"#,
            ),
            (format!(r#"{{"plugins":[{OWN}]}}"#), r#"{"plugins":[]}"#),
            (
                r#"{"plugins":[{"type":"a"}]}"#.into(),
                r#"{"plugins":[{"type":"a"}]}"#,
            ),
            (r#"{"type":"a"}"#.into(), r#"{"type":"a"}"#),
        ] {
            assert_eq!(remove(&before, "mesh-agent").unwrap(), after);
        }
    }

    #[test]
    fn what_is_no_configuration_is_left_alone() {
        for text in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"plugins":{}}"#,
            r#"{"plugins":[1]}"#,
            r#"{"plugins":[],"plugins":[]}"#,
        ] {
            assert!(insert(text, &entry()).is_err(), "{text}");
        }
        assert!(matches!(
            insert(r#"{"plugins":[]}"#, &entry()),
            Err(EditError::NoOther)
        ));
        assert!(matches!(
            insert(&format!(r#"{{"plugins":[{OWN}]}}"#), &entry()),
            Err(EditError::NoOther)
        ));
    }

    fn plugin() -> impl Strategy<Value = String> {
        let extra = prop_oneof![
            Just(""),
            Just(",\"x\":[1, 2]"),
            Just(", \"y\":{\"type\":\"mesh-agent\"}"),
            Just(",\"é\":\"],{\"")
        ];
        (prop_oneof![Just("a"), Just("bridge"), Just("istio-cni")], extra)
            .prop_map(|(kind, extra)| format!("{{\"type\":\"{kind}\"{extra}}}"))
    }

    proptest! {
        #[test]
        fn removal_undoes_insertion(
            plugins in prop::collection::vec(plugin(), 1..5),
            space in prop_oneof![Just(""), Just(" "), Just("\n\t"), Just("\r\n    ")],
            tail in prop_oneof![Just(""), Just(",\"plugin\":[]"), Just(",\"disableCheck\":true\n")],
        ) {
            let list = plugins.join(&format!("{space},{space}"));
            let text = format!("{{\"name\":\"n\",\"plugins\":[{space}{list}{space}]{tail}}}");
            let inserted = insert(&text, &entry()).unwrap();
            prop_assert_eq!(&insert(&inserted, &entry()).unwrap(), &inserted);
            let value: Value = serde_json::from_str(&inserted).unwrap();
            prop_assert_eq!(value["plugins"].as_array().unwrap().last().unwrap(), &Value::Object(entry()));
            prop_assert_eq!(remove(&inserted, "mesh-agent").unwrap(), text);
        }

        #[test]
        fn foreign_text_never_panics(text in "[\\[\\]{},:\"a-z ]{0,40}") {
            let _ = (insert(&text, &entry()), remove(&text, "a"));
        }
    }
}
