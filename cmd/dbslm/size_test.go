package main

import "testing"

func TestSize(t *testing.T) {
	for written, want := range map[string]int64{"0": 0, "17": 17, "3KiB": 3 << 10, "512MiB": 512 << 20, "1 GiB": 1 << 30, "2TiB": 2 << 40} {
		var s size
		if err := s.Set(written); err != nil || int64(s) != want {
			t.Errorf("%q is %d, %v; want %d", written, s, err, want)
		}
		var again size
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%q is written %q, which is %d, %v", written, s.String(), again, err)
		}
	}
	for _, written := range []string{"", "MiB", "-1", "1.5GiB", "1MB", "99999999TiB", "x"} {
		var s size
		if err := s.Set(written); err == nil {
			t.Errorf("%q is taken for %d", written, s)
		}
	}
}
