// The shop on grpc-go: main PORT FAULT, where the fault "sound" is none.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"math/rand"
	"net"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	pb "shop/pb"
)

var titles = []string{"rose", "fern", "moss"}

type shop struct {
	pb.UnimplementedShopServer
	fault   string
	mutex   sync.Mutex
	visits  map[string]int
	reading sync.RWMutex
	waiting atomic.Int32
	kept    [][]byte
	buffer  []byte
	broken  atomic.Bool
	places  chan struct{}
	pool    sync.Pool
	lines   chan []byte
}

func (s *shop) GetItem(ctx context.Context, request *pb.GetItemRequest) (*pb.Item, error) {
	if len(request.Id) > 1000 {
		return nil, status.Error(codes.InvalidArgument, "id: at most 1000 octets")
	}
	switch s.fault {
	case "takes-a-while":
		// As one that asks a database; who has called is not looked at.
		time.Sleep(20 * time.Millisecond)
	case "buffer-of-the-last-one":
		// Grows, and is not cut to what was read.
		s.mutex.Lock()
		s.buffer = append(s.buffer[:0], request.Id...)[:max(len(request.Id), len(s.buffer))]
		title := string(s.buffer)
		s.mutex.Unlock()
		return &pb.Item{Id: request.Id, Title: strings.ToValidUTF8(title, ""), Price: 1.5, Color: request.Color}, nil
	case "index":
		return &pb.Item{Id: request.Id, Title: titles[request.Color]}, nil
	case "concurrent-map":
		for range 200 {
			s.visits[request.Id]++
		}
	case "two-at-a-time":
		s.reading.RLock()
		s.waiting.Add(1)
		time.Sleep(time.Millisecond)
		if s.waiting.Load() > 1 {
			// Waits for the other reader, which waits here as well.
			s.reading.Lock()
			s.reading.Unlock()
		}
		s.waiting.Add(-1)
		s.reading.RUnlock()
	case "lock-kept-on-error":
		s.mutex.Lock()
		if strings.ContainsAny(request.Id, " \t\n") {
			return nil, status.Error(codes.InvalidArgument, "id: no white space")
		}
		s.mutex.Unlock()
	case "leak":
		s.kept = append(s.kept, make([]byte, 48<<10))
		for at := 0; at < 48<<10; at += 4096 {
			s.kept[len(s.kept)-1][at] = 1
		}
	case "metadata":
		if values := metadata.ValueFromIncomingContext(ctx, "x-request-id"); len(values) > 0 && len(values[0]) < 2 {
			panic("x-request-id: " + values[0][:2])
		}
	case "place-lost-on-cancel":
		select {
		case s.places <- struct{}{}:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		select {
		case <-time.After(3 * time.Millisecond):
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		<-s.places
	case "timer-for-each-call":
		kept := make([]byte, 48<<10)
		for at := range kept {
			kept[at] = 1
		}
		time.AfterFunc(time.Hour, func() { fmt.Fprint(io.Discard, kept[0]) })
	case "pooled":
		// What others have put into it stays in it.
		item, _ := s.pool.Get().(*pb.Item)
		if item == nil {
			item = &pb.Item{}
		}
		if request.Color != 0 {
			item.Color = request.Color
		}
		answer := &pb.Item{Id: request.Id, Title: "rose", Price: 1.5, Color: item.Color}
		s.pool.Put(item)
		return answer, nil
	case "cut-id":
		return &pb.Item{Id: request.Id[:min(len(request.Id), 3)], Title: "rose", Price: 1.5, Color: request.Color}, nil
	case "expires":
		if deadline, ok := ctx.Deadline(); ok {
			time.NewTicker(time.Until(deadline) - 50*time.Millisecond).Stop()
		}
	case "recovered":
		defer func() {
			if recover() != nil {
				s.mutex.Lock() // for the books
			}
		}()
		s.mutex.Lock()
		fmt.Fprint(io.Discard, titles[request.Color])
		s.mutex.Unlock()
	case "trace-in-details":
		if _, err := strconv.Atoi(request.Id); err != nil && request.Id != "" {
			return nil, status.Errorf(codes.InvalidArgument, "%v\n%s", err, debug.Stack())
		}
	}
	return &pb.Item{Id: request.Id, Title: "rose", Price: 1.5, Color: request.Color}, nil
}

func (s *shop) ListItems(_ context.Context, request *pb.ListItemsRequest) (*pb.ListItemsResponse, error) {
	size := request.PageSize
	if s.fault == "make-slice" {
		_ = make([]*pb.Item, 0, size)
	}
	if size < 0 && s.fault != "least-number" {
		return nil, status.Error(codes.InvalidArgument, "page_size: not below 0")
	}
	if s.fault == "token-is-an-index" {
		if begin, err := strconv.Atoi(request.PageToken); err == nil && begin >= 0 {
			_ = titles[begin:]
		}
	}
	if s.fault == "filter-is-compiled" && request.Filter != "" {
		_ = regexp.MustCompile(request.Filter)
	}
	if s.fault == "least-number" {
		number := size
		if number < 0 {
			number = -number
		}
		_ = titles[number%3]
	}
	answer := &pb.ListItemsResponse{NextPageToken: "MTAw"}
	for number := range min(size, 20) {
		answer.Items = append(answer.Items, &pb.Item{Id: strconv.Itoa(int(number)), Title: "rose"})
	}
	return answer, nil
}

func (s *shop) Quote(_ context.Context, order *pb.Order) (*pb.QuoteResponse, error) {
	if s.fault == "nil-message" {
		fmt.Fprint(io.Discard, order.Address.City)
	}
	if s.fault == "deliver-at" {
		_ = make([]byte, order.GetDeliverAt().GetNanos())
	}
	if s.fault == "notes-by-name" {
		if _, found := order.Notes[""]; found {
			panic("notes: no name")
		}
	}
	if s.fault == "year-in-json" && order.DeliverAt != nil {
		if _, err := json.Marshal(order.DeliverAt.AsTime()); err != nil {
			return nil, err
		}
	}
	if s.fault == "last-four" && order.GetCard() != "" {
		_ = order.GetCard()[len(order.GetCard())-4:]
	}
	switch s.fault {
	case "by-chance":
		if len(order.Lines) > 0 {
			_ = rand.Intn(int(order.Lines[0].Quantity))
		}
	case "voucher-is-an-exponent":
		_ = new(big.Int).Exp(big.NewInt(3), new(big.Int).SetUint64(order.GetVoucher()%(1<<24)), nil)
	case "tabulated":
		for _, line := range order.Lines {
			_ = strings.Repeat(" ", int(30-line.Quantity%61))
		}
	case "replaces-itself":
		for depth, at := 0, order; at != nil; at = at.Replaces {
			depth++
			if depth > 3 {
				_ = titles[depth]
			}
		}
	case "zip-of-five":
		if zip := strconv.FormatInt(order.GetAddress().GetZip(), 10); order.Address != nil {
			_ = zip[len(zip)-5:]
		}
	}
	if s.fault == "quadratic" {
		most := 0
		for _, one := range order.Lines {
			for _, other := range order.Lines {
				for range 40 {
					if one.Quantity == other.Quantity {
						most++
					}
				}
			}
		}
		_ = most
	}
	total := 0.0
	for _, line := range order.Lines {
		if line.Quantity <= 0 || line.Quantity >= 1_000_000 {
			return nil, status.Error(codes.InvalidArgument, "quantity: out of range")
		}
		total += 9.99 * float64(line.Quantity)
	}
	return &pb.QuoteResponse{Total: total, Lines: int32(len(order.Lines)), Text: order.GetAddress().GetCity()}, nil
}

func (s *shop) Watch(request *pb.WatchRequest, stream pb.Shop_WatchServer) error {
	if request.Count < 0 || request.Count > 1000 || len(request.Prefix) > 1000 {
		return status.Error(codes.InvalidArgument, "count: 0 to 1000; prefix: at most 1000 octets")
	}
	if s.fault == "goroutine-for-each-cancelled" {
		kept := make([]byte, 64<<10)
		for at := range kept {
			kept[at] = 1
		}
		done := make(chan []byte)
		go func() { done <- kept }()
		time.Sleep(3 * time.Millisecond)
		if stream.Context().Err() != nil {
			return stream.Context().Err()
		}
		<-done
	}
	if s.fault == "sends-on-closed" {
		items := make(chan *pb.Item)
		go func() {
			<-stream.Context().Done()
			close(items)
		}()
		go func() {
			time.Sleep(3 * time.Millisecond)
			items <- &pb.Item{}
		}()
		<-items
	}
	if s.fault == "sends-for-ever" {
		time.Sleep(3 * time.Millisecond)
		for number := 0; number < 5; {
			if stream.Send(&pb.Item{Id: request.Prefix}) == nil {
				number++
			}
		}
	}
	for number := range request.Count {
		if err := stream.Send(&pb.Item{Id: request.Prefix + strconv.Itoa(int(number))}); err != nil {
			return err
		}
	}
	return nil
}

func (s *shop) Upload(stream pb.Shop_UploadServer) error {
	answer := &pb.Summary{}
	if s.fault == "unlocks-twice" {
		s.mutex.Lock()
		defer s.mutex.Unlock()
	}
	for {
		chunk, err := stream.Recv()
		if err != nil && err != io.EOF && s.fault == "unlocks-twice" {
			s.mutex.Unlock()
		}
		if err == io.EOF {
			if s.fault == "empty-upload" {
				fmt.Fprint(io.Discard, answer.Size/int64(answer.Chunks))
			}
			return stream.SendAndClose(answer)
		}
		if err != nil {
			return err
		}
		if s.fault == "second-chunk" && answer.Chunks == 1 {
			_ = chunk.Data[answer.Size]
		}
		answer.Size += int64(len(chunk.Data))
		answer.Chunks++
	}
}

func (s *shop) Chat(stream pb.Shop_ChatServer) error {
	var said []string
	for {
		line, err := stream.Recv()
		if err == io.EOF && s.fault == "waits-after-half-close" {
			<-stream.Context().Done()
			return stream.Context().Err()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if s.fault == "goroutine-for-each-line" {
			kept := make([]byte, 16<<10)
			for at := range kept {
				kept[at] = 1
			}
			go func() { s.lines <- kept }()
		}
		if s.fault == "fourth-line" {
			said = append(said, line.Text)
			if len(said) == 4 {
				continue
			}
		}
		if s.fault == "one-mistake-for-all" {
			if line.Number < 0 {
				s.broken.Store(true)
			}
			if s.broken.Load() {
				return status.Error(codes.FailedPrecondition, "number: below 0")
			}
		}
		if len(line.Text) > 1000 {
			return status.Error(codes.InvalidArgument, "text: at most 1000 octets")
		}
		if err := stream.Send(&pb.Line{Text: line.Text, Number: line.Number}); err != nil {
			return err
		}
	}
}

// Refuses what a rule names, and lets in what none names: as an authorization policy with deny rules does.
func guard(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	method, _ := grpc.Method(ctx)
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if strings.HasPrefix(method, "/shop.v1.Shop/") && (len(values) != 1 || values[0] != "Bearer letmein") {
		return nil, status.Error(codes.Unauthenticated, "no")
	}
	return handler(ctx, request)
}

func main() {
	fault := os.Args[2]
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	options := []grpc.ServerOption{grpc.ConnectionTimeout(10 * time.Second)}
	if fault == "no-stream-limit" {
		options = append(options, grpc.MaxConcurrentStreams(1<<31))
	} else {
		options = append(options, grpc.MaxConcurrentStreams(100))
	}
	if fault == "deny-rules" {
		options = append(options, grpc.UnaryInterceptor(guard))
	}
	server := grpc.NewServer(options...)
	pb.RegisterShopServer(server, &shop{fault: fault, visits: map[string]int{}, places: make(chan struct{}, 8), lines: make(chan []byte)})
	reflection.Register(server)
	log.Fatal(server.Serve(listener))
}
