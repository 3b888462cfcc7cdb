package main

import (
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
			"the listener of the second tunnel goes",
			[]*discovery.Resource{{Name: "inner_connect_originate", Resource: httpListener(t)}, {Name: "main", Resource: httpListener(t)}},
			[]*discovery.Resource{{Name: "main", Resource: httpListener(t)}},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := &discovery.DeltaDiscoveryResponse{TypeUrl: listenerType, Resources: c.before, Nonce: "n"}
			want := &discovery.DeltaDiscoveryResponse{TypeUrl: listenerType, Resources: c.after, Nonce: "n"}
			if err := editResponse(got); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
		})
	}
}

func TestOtherTypesAreLeftAlone(t *testing.T) {
	resource := &discovery.Resource{Name: "inner_connect_originate", Resource: httpListener(t, state(t, istioString))}
	got := &discovery.DeltaDiscoveryResponse{TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster", Resources: []*discovery.Resource{resource}}
	want := proto.Clone(got)
	if err := editResponse(got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestEditBootstrap(t *testing.T) {
	before := `{"bootstrap_extensions":[{"name":"metadata_discovery"},{"name":"other"}],` +
		`"static_resources":{"clusters":[{"name":"xds-grpc","path":{"pipe":{"path":"./etc/istio/proxy/XDS"}}},` +
		`{"name":"sds-grpc","path":{"pipe":{"path":"./socket"}}}]}}`
	want := `{"bootstrap_extensions":[{"name":"other"}],` +
		`"static_resources":{"clusters":[{"name":"xds-grpc","path":{"pipe":{"path":"./etc/istio/proxy/XDS-relay"}}},` +
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
