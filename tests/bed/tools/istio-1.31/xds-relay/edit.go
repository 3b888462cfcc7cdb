package main

import (
	"log"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	// Every message that may be inside of a listener must be known to be looked into.
	_ "github.com/cncf/xds/go/udpa/type/v1"
	_ "github.com/cncf/xds/go/xds/type/v3"
	_ "istio.io/istio/pkg/config/xds"
)

const listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"

// Filters that only Istio's build of Envoy has, by the type of their configuration.
var lackingFilters = []string{
	"io.istio.http.peer_metadata.Config",
	"envoy.extensions.network_filters.peer_metadata.Config",
	"envoy.extensions.network_filters.peer_metadata.UpstreamConfig",
	"stats.PluginConfig",
	"istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
}

// Listeners that cannot work without such a filter, by name: the second tunnel between networks.
var lackingListeners = []string{"inner_connect_originate"}

// A factory of Istio's, and the one of upstream's that does the same.
const istioString, upstreamString = "istio.hashable_string", "envoy.hashable_string"

// Edits the listeners of an answer; everything else is left alone.
func editResponse(response *discovery.DeltaDiscoveryResponse) error {
	if response.GetTypeUrl() != listenerType {
		return nil
	}
	var kept []*discovery.Resource
	for _, resource := range response.GetResources() {
		if contains(lackingListeners, resource.GetName()) {
			note("listener " + resource.GetName())
			continue
		}
		if err := editAny(resource.GetResource()); err != nil {
			return err
		}
		kept = append(kept, resource)
	}
	response.Resources = kept
	return nil
}

// Edits the message inside, if it is of a known type.
func editAny(packed *anypb.Any) error {
	if packed == nil {
		return nil
	}
	inner, err := packed.UnmarshalNew()
	if err != nil {
		// Not known: nothing of what is looked for lies in it.
		return nil
	}
	if err := editMessage(inner.ProtoReflect()); err != nil {
		return err
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(inner)
	if err != nil {
		return err
	}
	packed.Value = value
	return nil
}

// Edits a message and all that it holds.
func editMessage(message protoreflect.Message) error {
	if packed, ok := message.Interface().(*anypb.Any); ok {
		return editAny(packed)
	}
	var failed error
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		failed = editField(message, field, value)
		return failed == nil
	})
	return failed
}

func editField(message protoreflect.Message, field protoreflect.FieldDescriptor, value protoreflect.Value) error {
	switch {
	case field.IsMap():
		return editMap(field, value.Map())
	case field.IsList() && field.Message() != nil:
		return editList(value.List())
	case field.Message() != nil:
		return editMessage(value.Message())
	case field.Kind() == protoreflect.StringKind && !field.IsList() && value.String() == istioString:
		note("factory " + istioString + " (" + upstreamString + " instead)")
		message.Set(field, protoreflect.ValueOfString(upstreamString))
	}
	return nil
}

func editMap(field protoreflect.FieldDescriptor, values protoreflect.Map) error {
	if field.MapValue().Message() == nil {
		return nil
	}
	var failed error
	values.Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
		failed = editMessage(value.Message())
		return failed == nil
	})
	return failed
}

// Takes the filters out that are lacking, and edits the rest.
func editList(list protoreflect.List) error {
	kept := 0
	for i := 0; i < list.Len(); i++ {
		item := list.Get(i)
		if filter, ok := item.Message().Interface().(configured); ok && isLacking(filter.GetTypedConfig()) {
			note("filter " + filter.GetName() + " (" + filter.GetTypedConfig().GetTypeUrl() + ")")
			continue
		}
		if err := editMessage(item.Message()); err != nil {
			return err
		}
		list.Set(kept, item)
		kept++
	}
	list.Truncate(kept)
	return nil
}

// A filter of HTTP, of the network or of a listener.
type configured interface {
	GetName() string
	GetTypedConfig() *anypb.Any
}

var _ configured = (*listener.Filter)(nil)

func isLacking(config *anypb.Any) bool {
	if config == nil {
		return false
	}
	if contains(lackingFilters, typeName(config.GetTypeUrl())) {
		return true
	}
	inner, err := config.UnmarshalNew()
	if err != nil {
		return false
	}
	// A configuration whose type only the receiver knows travels with that type's name.
	named, ok := inner.(interface{ GetTypeUrl() string })
	return ok && contains(lackingFilters, typeName(named.GetTypeUrl()))
}

func typeName(url string) string {
	return url[strings.LastIndexByte(url, '/')+1:]
}

func contains(all []string, one string) bool {
	for _, each := range all {
		if each == one {
			return true
		}
	}
	return false
}

var noted sync.Map

// Says what was taken out, once for each thing.
func note(what string) {
	if _, before := noted.LoadOrStore(what, true); !before {
		log.Printf("without %s", what)
	}
}
