//go:build tools

// Package tools names the API server that the tests run against, so that its modules are pinned.
package tools

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
