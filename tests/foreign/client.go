// Calls of grpc-go: client PORT
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Messages as bytes.
type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error)   { return *v.(*[]byte), nil }
func (raw) Unmarshal(d []byte, v interface{}) error { *v.(*[]byte) = append([]byte{}, d...); return nil }
func (raw) Name() string                            { return "proto" }
func (raw) String() string                          { return "proto" }

var connection *grpc.ClientConn

func unary(ctx context.Context, method string, body []byte, options ...grpc.CallOption) (string, *status.Status) {
	var answer []byte
	err := connection.Invoke(ctx, "/test.Service/"+method, &body, &answer, options...)
	found, _ := status.FromError(err)
	return string(answer), found
}

func stream() string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	description := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	call, err := connection.NewStream(ctx, description, "/test.Service/Both")
	if err != nil {
		return err.Error()
	}
	body, answer := []byte("a"), []byte{}
	call.SendMsg(&body)
	call.RecvMsg(&answer)
	time.Sleep(100 * time.Millisecond) // all are open at once
	call.CloseSend()
	rest := []byte{}
	return fmt.Sprint(string(answer), call.RecvMsg(&rest))
}

func main() {
	var err error
	connection, err = grpc.Dial("127.0.0.1:"+os.Args[1], grpc.WithInsecure(), grpc.WithMaxHeaderListSize(1<<20),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(1<<30), grpc.MaxCallSendMsgSize(1<<30)))
	if err != nil {
		panic(err)
	}
	all := context.Background()
	answer, _ := unary(all, "Unary", []byte("ab"))
	fmt.Println("echo", answer)
	answer, _ = unary(all, "Length", bytes.Repeat([]byte{0}, 100<<20))
	fmt.Println("large", answer)
	answer, _ = unary(all, "Length", bytes.Repeat([]byte{0}, 1000000), grpc.UseCompressor(gzip.Name))
	fmt.Println("gzip", answer)
	_, failed := unary(all, "Unary", []byte("abort"))
	fmt.Println("abort", int(failed.Code()), failed.Message())
	_, failed = unary(all, "Nothing", nil)
	fmt.Println("unknown", int(failed.Code()))
	short, _ := context.WithTimeout(all, 300*time.Millisecond)
	_, failed = unary(short, "Wait", nil)
	fmt.Println("deadline", int(failed.Code()))
	ended, cancel := context.WithCancel(all)
	time.AfterFunc(200*time.Millisecond, cancel)
	_, failed = unary(ended, "Wait", nil)
	fmt.Println("cancel", int(failed.Code()))
	long := metadata.AppendToOutgoingContext(all, "x-question", strings.Repeat("v", 100000))
	var trailer metadata.MD
	_, failed = unary(long, "Unary", []byte("ab"), grpc.Trailer(&trailer))
	fmt.Println("metadata", int(failed.Code()), len(trailer.Get("x-answer")[0]))
	var wait sync.WaitGroup
	answers := make([]string, 1000)
	for number := range answers {
		wait.Add(1)
		go func(number int) { answers[number] = stream(); wait.Done() }(number)
	}
	wait.Wait()
	good := 0
	for _, found := range answers {
		if found == "aaEOF" || found == "aa EOF" {
			good++
		}
	}
	fmt.Println("streams", good)
}
