package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
)

// Two ends of the relay, as paths of Unix sockets.
type socketPair struct {
	// Where Envoy connects.
	own string
	// Where pilot-agent listens.
	agent string
}

// Writes a changed copy of the bootstrap beside the original; gives its path and the sockets.
func prepareBootstrap(path string) (string, socketPair, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", socketPair{}, err
	}
	changed, sockets, err := editBootstrap(text)
	if err != nil {
		return "", socketPair{}, err
	}
	target := strings.TrimSuffix(path, ".json") + "-stock.json"
	return target, sockets, os.WriteFile(target, changed, 0o600)
}

// Takes out the extensions that stock Envoy lacks, and leads the xDS cluster to the relay.
func editBootstrap(text []byte) ([]byte, socketPair, error) {
	var bootstrap map[string]any
	reader := json.NewDecoder(bytes.NewReader(text))
	// Numbers stay as written.
	reader.UseNumber()
	if err := reader.Decode(&bootstrap); err != nil {
		return nil, socketPair{}, err
	}
	if extensions, ok := bootstrap["bootstrap_extensions"].([]any); ok {
		kept := []any{}
		for _, extension := range extensions {
			fields, _ := extension.(map[string]any)
			if fields["name"] == "metadata_discovery" {
				note("bootstrap extension metadata_discovery")
				continue
			}
			kept = append(kept, extension)
		}
		bootstrap["bootstrap_extensions"] = kept
	}
	var sockets socketPair
	eachPipe(bootstrap, func(pipe map[string]any) {
		if path, _ := pipe["path"].(string); strings.HasSuffix(path, "/XDS") {
			sockets = socketPair{own: path + "-relay", agent: path}
			pipe["path"] = sockets.own
		}
	})
	if sockets.own == "" {
		return nil, sockets, errors.New("no cluster leads to pilot-agent's xDS socket")
	}
	changed, err := json.Marshal(bootstrap)
	return changed, sockets, err
}

// Visits every address of a Unix socket.
func eachPipe(value any, visit func(map[string]any)) {
	switch value := value.(type) {
	case map[string]any:
		if pipe, ok := value["pipe"].(map[string]any); ok {
			visit(pipe)
		}
		for _, field := range value {
			eachPipe(field, visit)
		}
	case []any:
		for _, item := range value {
			eachPipe(item, visit)
		}
	}
}
