package main

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	udpa "github.com/cncf/xds/go/udpa/type/v1"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	filterstate "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	setfilterstate "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

func packed(t *testing.T, message proto.Message) *anypb.Any {
	t.Helper()
	result, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func httpFilter(name string, config *anypb.Any) *hcm.HttpFilter {
	return &hcm.HttpFilter{Name: name, ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: config}}
}

func state(t *testing.T, factory string) *hcm.HttpFilter {
	t.Helper()
	value := &filterstate.FilterStateValue{
		Key:        &filterstate.FilterStateValue_ObjectKey{ObjectKey: "peer"},
		FactoryKey: factory,
	}
	return httpFilter("state", packed(t, &setfilterstate.Config{OnRequestHeaders: []*filterstate.FilterStateValue{value}}))
}

func httpListener(t *testing.T, filters ...*hcm.HttpFilter) *anypb.Any {
	t.Helper()
	manager := packed(t, &hcm.HttpConnectionManager{HttpFilters: filters})
	return packed(t, &listener.Listener{
		FilterChains: []*listener.FilterChain{{
			Filters: []*listener.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listener.Filter_TypedConfig{TypedConfig: manager},
			}},
		}},
	})
}

func tcpListener(t *testing.T, types ...string) *anypb.Any {
	t.Helper()
	var filters []*listener.Filter
	for _, name := range types {
		config := &anypb.Any{TypeUrl: "type.googleapis.com/" + name}
		filters = append(filters, &listener.Filter{Name: name, ConfigType: &listener.Filter_TypedConfig{TypedConfig: config}})
	}
	return packed(t, &listener.Listener{DefaultFilterChain: &listener.FilterChain{Filters: filters}})
}

// Bytes that no encoder of ours would write: fields in another order, and one that is unknown.
func TestWhatNeedsNoEditKeepsItsBytes(t *testing.T) {
	value := []byte{
		0x2a, 0x00, // field 5, the limit of buffers, empty
		0x0a, 0x01, 'l', // field 1, name
		0xfa, 0xff, 0x03, 0x01, 'x', // field 8191, unknown
	}
	response := &discovery.DeltaDiscoveryResponse{
		TypeUrl:   listenerType,
		Resources: []*discovery.Resource{{Name: "l", Resource: &anypb.Any{TypeUrl: listenerType, Value: value}}},
	}
	message, err := proto.Marshal(response)
	if err != nil {
		t.Fatal(err)
	}
	edited, err := editMessageBytes(message)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(edited, message) {
		t.Errorf("got %x\nwant %x", edited, message)
	}
	if _, err := editMessageBytes([]byte{0xff}); err == nil {
		t.Error("an answer that cannot be read passed")
	}
}

func TestEditResponse(t *testing.T) {
	lacking := packed(t, &udpa.TypedStruct{TypeUrl: "type.googleapis.com/io.istio.http.peer_metadata.Config"})
	direct := &anypb.Any{TypeUrl: "type.googleapis.com/io.istio.http.peer_metadata.Config"}
	foreign := packed(t, &udpa.TypedStruct{TypeUrl: "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"})
	cases := []struct {
		name          string
		before, after []*discovery.Resource
	}{
		{
			"a filter of Istio's own goes, in whichever way it is packed, and others stay in their order",
			[]*discovery.Resource{{Name: "main", Resource: httpListener(t,
				httpFilter("a", foreign), httpFilter("gone", lacking), httpFilter("gone", direct), httpFilter("b", foreign))}},
			[]*discovery.Resource{{Name: "main", Resource: httpListener(t, httpFilter("a", foreign), httpFilter("b", foreign))}},
		},
		{
			"Istio's factory becomes upstream's, others stay",
			[]*discovery.Resource{{Name: "main", Resource: httpListener(t, state(t, istioString), state(t, "envoy.string"))}},
			[]*discovery.Resource{{Name: "main", Resource: httpListener(t, state(t, upstreamString), state(t, "envoy.string"))}},
		},
		{
			"so does one of the network, which a Telemetry object brings",
			[]*discovery.Resource{{Name: "main", Resource: tcpListener(t, "stats.PluginConfig", "envoy.config.other.v3.Other")}},
			[]*discovery.Resource{{Name: "main", Resource: tcpListener(t, "envoy.config.other.v3.Other")}},
		},
		{
			"a listener that cannot be read passes as it is",
			[]*discovery.Resource{{Name: "main", Resource: &anypb.Any{TypeUrl: listenerType, Value: []byte{0xff}}}},
			[]*discovery.Resource{{Name: "main", Resource: &anypb.Any{TypeUrl: listenerType, Value: []byte{0xff}}}},
		},
		{
			"an answer without resources stays empty, and what is deleted stays deleted",
			[]*discovery.Resource{{Name: "main"}},
			[]*discovery.Resource{{Name: "main"}},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := &discovery.DeltaDiscoveryResponse{TypeUrl: listenerType, Resources: c.before, Nonce: "n"}
			want := &discovery.DeltaDiscoveryResponse{TypeUrl: listenerType, Resources: c.after, Nonce: "n"}
			differs := !proto.Equal(got, want)
			changed, err := editResponse(got)
			if err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
			if changed != differs {
				t.Errorf("says changed: %v", changed)
			}
		})
	}
}

func TestOtherTypesAreLeftAlone(t *testing.T) {
	resource := &discovery.Resource{Name: "c", Resource: httpListener(t, state(t, istioString))}
	got := &discovery.DeltaDiscoveryResponse{TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster", Resources: []*discovery.Resource{resource}}
	want := proto.Clone(got)
	if _, err := editResponse(got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestEditBootstrap(t *testing.T) {
	before := `{"bootstrap_extensions":[{"name":"metadata_discovery"},{"name":"other"}],` +
		`"static_resources":{"clusters":[{"bytes":18446744073709551615,"name":"xds-grpc","path":{"pipe":{"path":"./etc/istio/proxy/XDS"}}},` +
		`{"name":"sds-grpc","path":{"pipe":{"path":"./socket"}}}]}}`
	want := `{"bootstrap_extensions":[{"name":"other"}],` +
		`"static_resources":{"clusters":[{"bytes":18446744073709551615,"name":"xds-grpc","path":{"pipe":{"path":"./etc/istio/proxy/XDS-relay"}}},` +
		`{"name":"sds-grpc","path":{"pipe":{"path":"./socket"}}}]}}`
	got, sockets, err := editBootstrap([]byte(before))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if sockets != (socketPair{own: "./etc/istio/proxy/XDS-relay", agent: "./etc/istio/proxy/XDS"}) {
		t.Errorf("sockets %v", sockets)
	}
	if _, _, err := editBootstrap([]byte(`{"static_resources":{}}`)); err == nil {
		t.Error("a bootstrap without xDS passed")
	}
}
