package main

import (
	"log"
	"slices"
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
	// In every listener that ends or begins HBONE; no switch of istiod's leaves it out.
	"io.istio.http.peer_metadata.Config",
	// Switched off for the mesh, but a Telemetry object of a test brings it back.
	"stats.PluginConfig",
}

// A factory of Istio's, and the one of upstream's that does the same.
const istioString, upstreamString = "istio.hashable_string", "envoy.hashable_string"

// Edits the listeners of an answer; everything else is left alone. Says whether anything changed.
func editResponse(response *discovery.DeltaDiscoveryResponse) (bool, error) {
	if response.GetTypeUrl() != listenerType {
		return false, nil
	}
	changed := false
	for _, resource := range response.GetResources() {
		edited, err := editAny(resource.GetResource())
		if err != nil {
			return false, err
		}
		changed = changed || edited
	}
	return changed, nil
}

// Edits the message inside, if it is of a known type. What needs no edit keeps its bytes.
func editAny(packed *anypb.Any) (bool, error) {
	if packed == nil {
		return false, nil
	}
	inner, err := packed.UnmarshalNew()
	if err != nil {
		// Not known: nothing of what is looked for lies in it.
		return false, nil
	}
	changed, err := editMessage(inner.ProtoReflect())
	if err != nil || !changed {
		return false, err
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(inner)
	if err != nil {
		return false, err
	}
	packed.Value = value
	return true, nil
}

// Edits a message and all that it holds.
func editMessage(message protoreflect.Message) (bool, error) {
	if packed, ok := message.Interface().(*anypb.Any); ok {
		return editAny(packed)
	}
	changed := false
	var failed error
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		edited, err := editField(message, field, value)
		changed, failed = changed || edited, err
		return err == nil
	})
	return changed, failed
}

func editField(message protoreflect.Message, field protoreflect.FieldDescriptor, value protoreflect.Value) (bool, error) {
	switch {
	case field.IsMap():
		return editMap(field, value.Map())
	case field.IsList() && field.Message() != nil:
		return editList(value.List())
	case field.Message() != nil:
		return editMessage(value.Message())
	case field.Name() == "factory_key" && value.String() == istioString:
		note("factory " + istioString + " (" + upstreamString + " instead)")
		message.Set(field, protoreflect.ValueOfString(upstreamString))
		return true, nil
	}
	return false, nil
}

func editMap(field protoreflect.FieldDescriptor, values protoreflect.Map) (bool, error) {
	if field.MapValue().Message() == nil {
		return false, nil
	}
	changed := false
	var failed error
	values.Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
		edited, err := editMessage(value.Message())
		changed, failed = changed || edited, err
		return err == nil
	})
	return changed, failed
}

// Takes the filters out that are lacking, and edits the rest.
func editList(list protoreflect.List) (bool, error) {
	kept, changed := 0, false
	for i := 0; i < list.Len(); i++ {
		item := list.Get(i)
		if filter, ok := item.Message().Interface().(configured); ok {
			if lacking := lackingType(filter.GetTypedConfig()); lacking != "" {
				note("filter " + filter.GetName() + " (" + lacking + ")")
				continue
			}
		}
		edited, err := editMessage(item.Message())
		if err != nil {
			return false, err
		}
		changed = changed || edited
		list.Set(kept, item)
		kept++
	}
	changed = changed || kept < list.Len()
	list.Truncate(kept)
	return changed, nil
}

// A filter of HTTP, of the network or of a listener.
type configured interface {
	GetName() string
	GetTypedConfig() *anypb.Any
}

var _ configured = (*listener.Filter)(nil)

// The type of a configuration if only Istio's build knows it, else nothing.
func lackingType(config *anypb.Any) string {
	if config == nil {
		return ""
	}
	if name := typeName(config.GetTypeUrl()); slices.Contains(lackingFilters, name) {
		return name
	}
	inner, err := config.UnmarshalNew()
	if err != nil {
		return ""
	}
	// A configuration whose type only the receiver knows travels with that type's name.
	if named, ok := inner.(interface{ GetTypeUrl() string }); ok {
		if name := typeName(named.GetTypeUrl()); slices.Contains(lackingFilters, name) {
			return name
		}
	}
	return ""
}

func typeName(url string) string {
	return url[strings.LastIndexByte(url, '/')+1:]
}

var noted sync.Map

// Says what was taken out, once for each thing.
func note(what string) {
	if _, before := noted.LoadOrStore(what, true); !before {
		log.Printf("without %s", what)
	}
}
