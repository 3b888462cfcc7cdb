package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

const deltaMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

// A listener with every filter of a large mesh is far below this.
const largestMessage = 512 << 20

// Listens on the relay's own socket, and serves until the process ends.
func serve(sockets socketPair) error {
	if err := os.Remove(sockets.own); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	socket, err := net.Listen("unix", sockets.own)
	if err != nil {
		return err
	}
	agent, err := grpc.NewClient(
		"unix:"+sockets.agent,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// Envoy comes again after a second or two; then the agent is to be tried again.
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second}}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(unread{}), grpc.MaxCallRecvMsgSize(largestMessage)),
	)
	if err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.ForceServerCodec(unread{}),
		grpc.MaxRecvMsgSize(largestMessage),
		grpc.UnknownServiceHandler(func(_ any, envoy grpc.ServerStream) error { return pass(envoy, agent) }),
	)
	go func() { log.Fatalf("relay: %v", server.Serve(socket)) }()
	return nil
}

// Passes one stream on in both directions until either side ends it.
func pass(envoy grpc.ServerStream, agent *grpc.ClientConn) error {
	method, _ := grpc.MethodFromServerStream(envoy)
	incoming, _ := metadata.FromIncomingContext(envoy.Context())
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(envoy.Context(), incoming.Copy()))
	defer cancel()
	description := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	upstream, err := agent.NewStream(ctx, description, method)
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() {
		err := copyMessages(upstream.SendMsg, envoy.RecvMsg, nil)
		if err == nil {
			err = upstream.CloseSend()
			if err == nil {
				// The answer's end decides.
				return
			}
		}
		ended <- err
	}()
	go func() {
		edit := editMessageBytes
		if method != deltaMethod {
			edit = nil
		}
		ended <- copyMessages(envoy.SendMsg, upstream.RecvMsg, edit)
	}()
	return <-ended
}

func copyMessages(send, receive func(any) error, edit func([]byte) ([]byte, error)) error {
	for {
		var message []byte
		if err := receive(&message); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if edit != nil {
			edited, err := edit(message)
			if err != nil {
				return err
			}
			message = edited
		}
		if err := send(&message); err != nil {
			return err
		}
	}
}

func editMessageBytes(message []byte) ([]byte, error) {
	var response discovery.DeltaDiscoveryResponse
	if err := proto.Unmarshal(message, &response); err != nil {
		return nil, err
	}
	changed, err := editResponse(&response)
	if err != nil {
		return nil, err
	}
	if !changed {
		return message, nil
	}
	return proto.Marshal(&response)
}

// Leaves messages as they are on the wire.
type unread struct{}

func (unread) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }
func (unread) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (unread) Name() string { return "proto" }
