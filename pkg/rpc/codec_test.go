package rpc

import (
	"testing"

	"dbslm/pkg/errors"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

func FuzzServerCodec(f *testing.F) {
	for _, seed := range []string{"", "\x0a\x01x", "\x0a\x02\xff\xfe", "\x0a\x20x", "\xfa\xff\xff\xff\x0f\x03bad", "\xff"} {
		f.Add([]byte(seed))
	}
	codec := newServerCodec()
	f.Fuzz(func(t *testing.T, body []byte) {
		got, want := text(""), text("")
		if err := codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(body)}, got); err != nil {
			t.Fatalf("the codec failed: %v", err)
		}
		refused := malformed(got)
		if plain := proto.Unmarshal(body, want); plain != nil {
			if errors.KindOf(refused) != errors.InvalidArgument {
				t.Fatalf("%v became %v", plain, refused)
			}
			return
		}
		if refused == nil && !proto.Equal(got, want) {
			t.Fatalf("decoded %v, want %v", got, want)
		}
	})
}
