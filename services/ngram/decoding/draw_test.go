package decoding

import "testing"

func TestSourceIsPinned(t *testing.T) {
	reference := Source{state: 1234567} // vectors of the public-domain reference implementation by Vigna
	for i, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821} {
		if got := reference.Uint64(); got != want {
			t.Errorf("value %d is %d, want %d", i, got, want)
		}
	}
	for _, pinned := range []struct {
		seed uint64
		step int
		want uint64
	}{
		{0, 0, 2558736989570252433},
		{0, 1, 3391245575278488096},
		{1, 0, 12793040940332582595},
		{42, 7, 146974938868952004},
		{9223372036854775808, 4095, 558210332245940455},
	} {
		source := NewSource(pinned.seed, pinned.step)
		if got := source.Uint64(); got != pinned.want {
			t.Errorf("seed %d step %d gives %d, want %d", pinned.seed, pinned.step, got, pinned.want)
		}
	}
}

func TestBelow(t *testing.T) {
	source := NewSource(1, 0)
	if got := source.Below(0); got != 0 {
		t.Errorf("below 0 is %d", got)
	}
	if got := source.Below(1); got != 0 {
		t.Errorf("below 1 is %d", got)
	}
	counts := [5]int{}
	for range 50_000 {
		counts[source.Below(5)]++
	}
	for value, count := range counts {
		if count < 9_500 || count > 10_500 {
			t.Errorf("%d came %d of 50000 times", value, count)
		}
	}
	if got := source.Below(1 << 63); got >= 1<<63 {
		t.Errorf("below 2^63 is %d", got)
	}
}
