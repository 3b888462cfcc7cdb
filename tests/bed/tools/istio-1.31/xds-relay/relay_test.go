package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// Longer than any step here takes, even on a busy machine.
const patience = 20 * time.Second

// Stands where pilot-agent listens: tells what it was asked, and answers what it is given.
type agent struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	asked   chan *discovery.DeltaDiscoveryRequest
	node    chan string
	answers chan *discovery.DeltaDiscoveryResponse
	hangUp  chan error
}

func (a *agent) DeltaAggregatedResources(stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	headers, _ := metadata.FromIncomingContext(stream.Context())
	a.node <- first(headers.Get("x-node"))
	go func() {
		for {
			request, err := stream.Recv()
			if err != nil {
				return
			}
			a.asked <- request
		}
	}()
	for {
		select {
		case answer := <-a.answers:
			if err := stream.Send(answer); err != nil {
				return err
			}
		case err := <-a.hangUp:
			return err
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func listenAsAgent(t *testing.T, path string) (*agent, *grpc.Server) {
	t.Helper()
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{
		asked:   make(chan *discovery.DeltaDiscoveryRequest, 8),
		node:    make(chan string, 8),
		answers: make(chan *discovery.DeltaDiscoveryResponse, 8),
		hangUp:  make(chan error),
	}
	server := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(server, a)
	go func() { _ = server.Serve(socket) }()
	t.Cleanup(server.Stop)
	return a, server
}

// Both sockets in a folder with a short name: paths of sockets are limited to 107 bytes.
func sockets(t *testing.T) socketPair {
	t.Helper()
	folder, err := os.MkdirTemp("", "xds")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return socketPair{own: filepath.Join(folder, "XDS-relay"), agent: filepath.Join(folder, "XDS")}
}

type deltaStream = discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient

// Opens a stream as Envoy does; the function ends its connection.
func connectAsEnvoy(t *testing.T, path string) (deltaStream, func()) {
	t.Helper()
	connection, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "x-node", "n"), patience)
	t.Cleanup(cancel)
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stream, func() { _ = connection.Close() }
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func exchange(t *testing.T, a *agent, envoy deltaStream, request *discovery.DeltaDiscoveryRequest, answer *discovery.DeltaDiscoveryResponse) *discovery.DeltaDiscoveryResponse {
	t.Helper()
	if err := envoy.Send(request); err != nil {
		t.Fatal(err)
	}
	if got := next(t, a.asked); !proto.Equal(got, request) {
		t.Errorf("the agent was asked %v\nwant %v", got, request)
	}
	a.answers <- answer
	got, err := envoy.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRequestsPassAndListenersAreEdited(t *testing.T) {
	pair := sockets(t)
	a, _ := listenAsAgent(t, pair.agent)
	if err := serve(pair); err != nil {
		t.Fatal(err)
	}
	envoy, _ := connectAsEnvoy(t, pair.own)
	cluster := &discovery.DeltaDiscoveryResponse{
		TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster", Nonce: "1", RemovedResources: []string{"old"},
		Resources: []*discovery.Resource{{Name: "c", Resource: &anypb.Any{TypeUrl: "not/known", Value: []byte{0xff}}}},
	}
	ask := &discovery.DeltaDiscoveryRequest{TypeUrl: cluster.TypeUrl, ResourceNamesSubscribe: []string{"*"}}
	if got := exchange(t, a, envoy, ask, cluster); !proto.Equal(got, cluster) {
		t.Errorf("got %v\nwant %v", got, cluster)
	}
	if got := next(t, a.node); got != "n" {
		t.Errorf("header x-node %q", got)
	}
	refusal := &discovery.DeltaDiscoveryRequest{
		TypeUrl: cluster.TypeUrl, ResponseNonce: "1", ErrorDetail: &status.Status{Code: 13, Message: "no such filter"},
	}
	before := &discovery.DeltaDiscoveryResponse{
		TypeUrl: listenerType, Nonce: "2", RemovedResources: []string{"gone"},
		Resources: []*discovery.Resource{{Name: "l", Version: "7", Resource: httpListener(t, state(t, istioString))}},
	}
	want := proto.Clone(before).(*discovery.DeltaDiscoveryResponse)
	want.Resources[0].Resource = httpListener(t, state(t, upstreamString))
	if got := exchange(t, a, envoy, refusal, before); !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestEitherSideMayComeAgain(t *testing.T) {
	pair := sockets(t)
	a, server := listenAsAgent(t, pair.agent)
	if err := serve(pair); err != nil {
		t.Fatal(err)
	}
	ask := &discovery.DeltaDiscoveryRequest{TypeUrl: listenerType}
	answer := &discovery.DeltaDiscoveryResponse{TypeUrl: listenerType, Nonce: "1"}
	envoy, hangUp := connectAsEnvoy(t, pair.own)
	exchange(t, a, envoy, ask, answer)

	// The agent ends the stream: so does the relay.
	a.hangUp <- nil
	if _, err := envoy.Recv(); err == nil {
		t.Error("the stream goes on")
	}
	hangUp()
	envoy, hangUp = connectAsEnvoy(t, pair.own)
	exchange(t, a, envoy, ask, answer)

	// Envoy goes away: the relay leaves the agent, and serves the next one.
	hangUp()
	envoy, _ = connectAsEnvoy(t, pair.own)
	exchange(t, a, envoy, ask, answer)

	// The agent's socket is another's.
	server.Stop()
	if _, err := envoy.Recv(); err == nil {
		t.Error("the stream goes on")
	}
	a, _ = listenAsAgent(t, pair.agent)
	until := time.Now().Add(patience)
	for {
		// As Envoy, which tries until it is served.
		envoy, hangUp = connectAsEnvoy(t, pair.own)
		a.answers <- answer
		if _, err := envoy.Recv(); err == nil {
			return
		}
		hangUp()
		<-a.answers
		if time.Now().After(until) {
			t.Fatal("never served again")
		}
		time.Sleep(100 * time.Millisecond)
	}
}
