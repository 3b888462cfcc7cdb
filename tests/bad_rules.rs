//! Rule files with errors: each gives a message with its place.

use mesh_migrate::input::files::{Text, read_texts};
use mesh_migrate::precheck::{load_rules, precheck};
use rules::Rule;
use std::fs;

const GOOD: &str = "\
id: ACME1001
name: own-rule
title: A policy of ours
severity: warning
resolved-by: you
applies-to: policy
missing: give the policies
condition: policy.action == \"DENY\"
evidence: '\"policy \" + policy.name'
at: l7
why: because
fix: do it
source: us
docs: https://example.com
";

const FILE: &str = "ACME1001-own-rule.yaml";

#[test]
fn errors_have_a_place_and_say_what_is_wrong() {
    for (line, replacement, expected) in [
        (
            "severity: warning",
            "severity: fatal",
            "4:11: severity: expected one of `info` `warning` `blocker`, found `fatal`",
        ),
        ("severity: warning\n", "", "1:1: `severity` is missing"),
        (
            "resolved-by: you",
            "resolved_by: you",
            "5:1: unknown field `resolved_by`; did you mean `resolved-by`?",
        ),
        ("why: because\n", "", "1:1: `why` is missing"),
        ("fix: do it", "fix: ''", "12:6: `fix` is missing"),
        (
            "id: ACME1001",
            "id: acme",
            "1:5: `id` must be capital letters and a number, such as `ACME1001`, not `acme`",
        ),
        (
            "name: own-rule",
            "name: other",
            "1:5: the file must be called `ACME1001-other.yaml`",
        ),
        (
            "title: A policy of ours",
            "title: A policy.",
            "3:8: `title` must not end with a full stop",
        ),
        (
            "applies-to: policy",
            "applies-to: polices",
            "6:13: there is no subject `polices`; did you mean `policy`?",
        ),
        (
            "at: l7",
            "at: l77",
            "10:5: `policy` has no fact `l77`; did you mean `l7`?",
        ),
        (
            "policy.action ==",
            "policy.acton ==",
            "8:18: `policy` has no fact `acton`; did you mean `action`?",
        ),
        (
            "policy.action == \"DENY\"",
            "polcy.action == \"DENY\"",
            "8:12: there is no `polcy` here; this rule may speak of `policy`, `mesh`",
        ),
        (
            "policy.action == \"DENY\"",
            "policy.action == 3",
            "8:29: expected string, found int",
        ),
        (
            "policy.action == \"DENY\"",
            "policy.name",
            "8:18: expected bool, found string",
        ),
        (
            "policy.action == \"DENY\"",
            "policy.targeted && size(policy.action) == 0 || policy.l7",
            "8:65: expected bool, found list<string>",
        ),
        (
            "policy.action == \"DENY\"",
            "policy.l7.exists(field, field.startsWith(1))",
            "8:53: expected string, found int",
        ),
        (
            "policy.action == \"DENY\"",
            "policy.l7.exists(field, field.startWith('a'))",
            "8:51: there is no function `startWith` on string with 1 arguments; did you mean `startsWith`?",
        ),
        (
            "policy.action == \"DENY\"",
            "policy.l7.all(field, fild == '')",
            "8:33: there is no `fild` here; this rule may speak of `policy`, `mesh`, `field`",
        ),
        (
            "policy.action == \"DENY\"",
            "mesh.inClutser",
            "8:16: `mesh` has no fact `inClutser`; did you mean `inCluster`?",
        ),
        (
            "policy.action == \"DENY\"",
            "policy.action in [1]",
            "8:18: expected int, found string",
        ),
        (
            "policy.action == \"DENY\"",
            "policy.action == null",
            "8:29: no fact is ever null; compare with \"\", 0 or []",
        ),
        (
            "policy.action == \"DENY\"",
            "policy.l7.first == ''",
            "8:21: `.first` on list<string>, which has no fields",
        ),
        (
            "condition: policy.action == \"DENY\"",
            "condition: >-\n  policy.targeted\n  && policy.nme == ''",
            "10:12: `policy` has no fact `nme`; did you mean `name`?",
        ),
        (
            "condition: policy.action == \"DENY\"",
            "condition: '!policy.targeted && policy.nme == '''''",
            "8:39: `policy` has no fact `nme`; did you mean `name`?",
        ),
        (
            "'\"policy \" + policy.name'",
            "policy.l7",
            "9:17: expected string, found list<string>",
        ),
        (
            "'\"policy \" + policy.name'",
            "string(policy.l7)",
            "9:24: list<string> cannot be made a string; `listed` does it for lists",
        ),
        (
            "why: because",
            "why: [because]",
            "11:6: why: expected text, found a list",
        ),
        (
            "why: because",
            "why: a\nwhy: b",
            "12:1: the key `why` stands twice in one mapping; the first is on line 11",
        ),
    ] {
        assert!(GOOD.contains(line), "{line}");
        let error = Rule::parse(FILE, &GOOD.replacen(line, replacement, 1)).expect_err(replacement);
        assert_eq!(error.to_string(), format!("{FILE}:{expected}"), "{replacement}");
    }
}

#[test]
fn bad_syntax_is_placed_where_the_parser_stops() {
    for (condition, expected) in [
        (
            "policy.action ==",
            "8:27: not a CEL expression: something is missing at the end",
        ),
        (
            "policy.action = 'a'",
            "8:26: not a CEL expression: token recognition error at: '= '",
        ),
        (
            "(policy.targeted",
            "8:27: not a CEL expression: missing ')' at the end",
        ),
    ] {
        let text = GOOD.replacen("policy.action == \"DENY\"", condition, 1);
        let error = Rule::parse(FILE, &text).expect_err(condition).to_string();
        assert_eq!(error, format!("{FILE}:{expected}"), "{condition}");
    }
}

#[test]
fn the_good_rule_is_good() {
    Rule::parse(FILE, GOOD).unwrap();
}

#[test]
fn a_users_rule_may_not_take_a_number_or_name_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let taken = GOOD.replace("ACME1001", "MM1101").replace("own-rule", "ours");
    fs::write(folder.path().join("MM1101-ours.yaml"), taken).unwrap();
    let errors = load_rules(&[folder.path().to_owned()]).unwrap_err();
    let message = errors[0].to_string();
    assert!(
        message.ends_with("MM1101-ours.yaml:1:1: `MM1101` is taken by MM1101-istio-cni-missing.yaml"),
        "{message}"
    );
}

#[test]
fn all_bad_files_of_a_folder_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("A.yaml"), "").unwrap();
    fs::write(folder.path().join("B.yaml"), "id: [").unwrap();
    assert_eq!(load_rules(&[folder.path().to_owned()]).unwrap_err().len(), 2);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(
        load_rules(&[empty.path().to_owned(), "/no/such/folder".into()])
            .unwrap_err()
            .len(),
        2
    );
}

#[test]
fn a_users_rule_is_judged_and_a_failing_one_is_not_passed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), GOOD).unwrap();
    let failing = GOOD
        .replace("ACME1001", "ACME1002")
        .replace("own-rule", "failing")
        .replace("policy.action == \"DENY\"", "policy.l7[3] == ''");
    fs::write(folder.path().join("ACME1002-failing.yaml"), failing).unwrap();
    let rules = load_rules(&[folder.path().to_owned()]).unwrap();
    let policy = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: b}
spec: {action: DENY, rules: [{}]}
";
    let text = Text {
        name: "a.yaml".into(),
        content: policy.to_owned(),
    };
    let answer = precheck(&read_texts(&[text]).mesh, &rules);
    let ours: Vec<_> = answer.findings.iter().filter(|f| f.code == "ACME1001").collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0].message, "policy a");
    let failed: Vec<_> = answer
        .not_checked
        .iter()
        .filter(|n| n.code == "ACME1002")
        .collect();
    assert!(failed[0].missing.contains("the rule itself failed"), "{failed:?}");
    assert!(failed[0].missing.contains("a.yaml:3:12"), "{failed:?}");
    assert!(!answer.passed.iter().any(|p| p.code == "ACME1002"));
}

#[test]
fn a_bad_rule_does_not_compile() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join(FILE), GOOD.replace("policy.name", "policy.nam")).unwrap();
    let error = rules::build::rule_table(&rules).unwrap_err().to_string();
    assert_eq!(
        error,
        "rules: \nrules/ACME1001-own-rule.yaml:9:30: `policy` has no fact `nam`; did you mean `name`?"
    );
}
