package contexthash_test

import (
	"testing"

	"dbslm/services/ngram/contexthash"
)

// The hashes are stored: these vectors must never change.
func TestVectors(t *testing.T) {
	for _, c := range []struct {
		context []uint32
		hash    int64
	}{
		{nil, -8484456787529832656},
		{[]uint32{0}, 8994572045077260332},
		{[]uint32{1}, 9113234131733649889},
		{[]uint32{1, 3}, -3646609679157099603},
		{[]uint32{3, 1}, -3233954195040528757},
		{[]uint32{1, 2, 3, 4}, -7411432396048153593},
		{[]uint32{4294967295, 0, 65536, 256, 7, 8, 9, 10, 11}, -7835976392627201200},
	} {
		if got := contexthash.Sum(c.context); got != c.hash {
			t.Errorf("Sum(%v) = %d, want %d", c.context, got, c.hash)
		}
	}
}

func TestNarrow(t *testing.T) {
	hash := contexthash.Narrow(4)
	seen := map[int64]bool{}
	for token := range uint32(1000) {
		seen[hash([]uint32{token})] = true
	}
	if len(seen) != 16 {
		t.Errorf("4 bits gave %d different hashes", len(seen))
	}
	if contexthash.Narrow(64)([]uint32{5}) != contexthash.Sum([]uint32{5}) {
		t.Error("64 bits are not the whole hash")
	}
}
