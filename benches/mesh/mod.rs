//! A generated mesh of any size, in the shape of real ones: 50 services to a namespace, each with a
//! VirtualService of three rules and an AuthorizationPolicy of layer 7.

use std::fmt::Write as _;

/// Services, and so VirtualServices and policies, of one namespace.
const PER_NAMESPACE: usize = 50;

/// The manifests of a mesh with `size` VirtualServices and `size` policies, as one text.
#[must_use]
pub fn manifests(size: usize) -> String {
    let mut text = String::with_capacity(size * 2200);
    for index in 0..size {
        let (namespace, app) = (index / PER_NAMESPACE, index % PER_NAMESPACE);
        if app == 0 {
            let _ = write!(
                text,
                "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns-{namespace}\n  labels:\n    istio-injection: enabled\n---\n"
            );
        }
        let _ = write!(
            text,
            "apiVersion: v1
kind: Service
metadata:
  name: app-{app}
  namespace: ns-{namespace}
spec:
  selector:
    app: app-{app}
  ports:
  - name: http
    port: 80
    targetPort: 8080
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: app-{app}
  namespace: ns-{namespace}
spec:
  hosts:
  - app-{app}
  http:
  - match:
    - uri:
        prefix: /api/v1
      headers:
        end-user:
          exact: jason
    route:
    - destination:
        host: app-{app}
        port:
          number: 80
    timeout: 5s
  - match:
    - uri:
        exact: /old
    redirect:
      uri: /new
  - route:
    - destination:
        host: app-{app}
      weight: 90
    - destination:
        host: app-{other}
      weight: 10
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: app-{app}
  namespace: ns-{namespace}
spec:
  selector:
    matchLabels:
      app: app-{app}
  action: DENY
  rules:
  - from:
    - source:
        notNamespaces:
        - ns-{namespace}
    to:
    - operation:
        ports:
        - \"8080\"
        methods:
        - POST
        - DELETE
        paths:
        - /admin*
---
",
            other = (app + 1) % PER_NAMESPACE,
        );
    }
    text
}

/// A mesh whose workloads can all move: `size` Deployments, each with a Service; every other one lets in two callers by path, every
/// third one refuses a path to everybody.
#[must_use]
pub fn movable(size: usize) -> String {
    let mut text = String::from(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
         metadata: {name: default, namespace: istio-system}\nspec: {mtls: {mode: STRICT}}\n---\n",
    );
    for index in 0..size {
        let (namespace, app) = (index / PER_NAMESPACE, index % PER_NAMESPACE);
        if app == 0 {
            let _ = writeln!(
                text,
                "apiVersion: v1\nkind: Namespace\n\
                 metadata: {{name: ns-{namespace}, labels: {{istio-injection: enabled}}}}\n---"
            );
        }
        let _ = write!(
            text,
            "apiVersion: apps/v1
kind: Deployment
metadata: {{name: app-{app}, namespace: ns-{namespace}}}
spec:
  selector: {{matchLabels: {{app: app-{app}}}}}
  template:
    metadata: {{labels: {{app: app-{app}}}}}
    spec: {{serviceAccountName: app-{app}, containers: [{{name: app, image: app}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: app-{app}, namespace: ns-{namespace}}}
spec: {{selector: {{app: app-{app}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
"
        );
        if index % 2 == 0 {
            let (neighbour, beyond) = ((app + 1) % PER_NAMESPACE, namespace + 1);
            let _ = write!(
                text,
                "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: app-{app}, namespace: ns-{namespace}}}
spec:
  selector: {{matchLabels: {{app: app-{app}}}}}
  rules:
  - from:
    - source:
        principals:
        - cluster.local/ns/ns-{namespace}/sa/app-{neighbour}
        - cluster.local/ns/ns-{beyond}/sa/app-{app}
    to: [{{operation: {{methods: [GET], paths: [/api/*]}}}}]
---
"
            );
        }
        if index % 3 == 0 {
            let _ = write!(
                text,
                "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: deny-{app}, namespace: ns-{namespace}}}
spec:
  selector: {{matchLabels: {{app: app-{app}}}}}
  action: DENY
  rules: [{{to: [{{operation: {{paths: [/admin/*]}}}}]}}]
---
"
            );
        }
    }
    text
}
