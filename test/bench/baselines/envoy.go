package main

import (
	"context"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// envoyLimiter asks the service over gRPC, as Envoy's filter does.
type envoyLimiter struct{ client pb.RateLimitServiceClient }

func newEnvoy(addr string) (*envoyLimiter, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &envoyLimiter{pb.NewRateLimitServiceClient(conn)}, nil
}

func (e *envoyLimiter) allow(ctx context.Context, name, key string) (bool, error) {
	answer, err := e.client.ShouldRateLimit(ctx, &pb.RateLimitRequest{
		Domain: "limits",
		Descriptors: []*common.RateLimitDescriptor{{
			Entries: []*common.RateLimitDescriptor_Entry{{Key: name, Value: key}},
		}},
	})
	if err != nil {
		return false, err
	}
	return answer.OverallCode == pb.RateLimitResponse_OK, nil
}
