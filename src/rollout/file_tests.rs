use super::*;

const PLAN: &str = "\
apiVersion: mesh-migrate.io/v1alpha1
kind: MigrationPlan
source: by hand
dataPlane: stock
waves: []
steps:
  - id: 01-bind
    title: bind web
    phase: bind
    writes:
      - op: set
        manifest:
          apiVersion: v1
          kind: Service
          metadata: {name: web, namespace: shop, labels: {istio.io/use-waypoint: waypoint}}
    checks:
      - check: settled
        seconds: 1
    undo: as ever
    proof: {states: 2, requests: 10}
state: {}
";

#[test]
fn a_plan_is_read_as_yaml_and_as_json() {
    let plan = parse("plan.yaml", PLAN).unwrap();
    assert_eq!(plan.steps.len(), 1);
    let json = serde_json::to_string_pretty(&plan).unwrap();
    assert_eq!(parse("plan.json", &json).unwrap(), plan);
}

#[test]
fn what_is_wrong_has_its_place_and_an_advice() {
    for (from, to, message, advice) in [
        (
            "kind: MigrationPlan",
            "kind: Deployment",
            "plan.yaml:2:7: this is not a plan: `kind` is `Deployment`, not `MigrationPlan`",
            ANEW,
        ),
        (
            "mesh-migrate.io/v1alpha1",
            "mesh-migrate.io/v9",
            "plan.yaml:1:13: the plan is of the form `mesh-migrate.io/v9`, which this program does not know",
            "this program reads `mesh-migrate.io/v1alpha1`",
        ),
        (
            "    title: bind",
            "    tilte: bind",
            "plan.yaml:8:5: unknown field `tilte`",
            "did you mean `title`?",
        ),
        (
            "op: set",
            "op: sit",
            "plan.yaml:11:9: unknown variant `sit`",
            "did you mean `set`?",
        ),
        (
            "        seconds: 1",
            "        second: 1",
            "plan.yaml:18:9: unknown field `second`",
            "did you mean `seconds`?",
        ),
        (
            "seconds: 1",
            "seconds: soon",
            "plan.yaml:17:9: invalid type",
            ANEW,
        ),
        (
            "source: by hand\n",
            "",
            "plan.yaml:1:1: missing field `source`",
            ANEW,
        ),
        ("steps:", "steps: [", "plan.yaml:", "at this place"),
        (
            "kind: Service",
            "kind: ''",
            "plan.yaml:11:9: the write does not name its object",
            ANEW,
        ),
        (
            "state: {}",
            "state: {}\n---\na: b",
            "plan.yaml:22:1: a second document begins",
            ANEW,
        ),
        (
            "waves: []",
            "waves: []\nfoo: 1",
            "plan.yaml:6:1: unknown field `foo`",
            "remove the field",
        ),
    ] {
        let text = PLAN.replacen(from, to, 1);
        assert_ne!(text, PLAN, "{from}");
        let error = parse("plan.yaml", &text).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}\n{message}");
        assert!(error.advice.contains(advice), "{to}: {}", error.advice);
    }
}
