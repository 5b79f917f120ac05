package exactmath_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dbslm/pkg/exactmath"
)

var functions = map[string]func(float64) float64{
	"exp": exactmath.Exp, "pow10": exactmath.Pow10, "log": exactmath.Log, "log10": exactmath.Log10,
}

// testdata/vectors.txt has a line per call: function, bits of the argument, bits of our result, bits of the correctly
// rounded result (computed with 300 bits). The first pins what a stored model and a seed give; the second bounds the
// error.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 3000 {
		t.Fatalf("only %d vectors", len(lines))
	}
	for _, line := range lines {
		var name string
		var x, want, rounded uint64
		if _, err := fmt.Sscanf(line, "%s %x %x %x", &name, &x, &want, &rounded); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got := math.Float64bits(functions[name](math.Float64frombits(x)))
		if got != want {
			t.Errorf("%s(%g) has the bits %016x, pinned are %016x", name, math.Float64frombits(x), got, want)
		}
		if distance := max(got, rounded) - min(got, rounded); distance > 1 {
			t.Errorf("%s(%g) is %d units in the last place away from the true value", name, math.Float64frombits(x), distance)
		}
	}
}

func TestSpecialValues(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		name    string
		x, want float64
	}{
		{"exp", 0, 1},
		{"exp", -inf, 0},
		{"exp", inf, inf},
		{"exp", nan, nan},
		{"exp", 800, inf},
		{"exp", -800, 0},
		{"pow10", 0, 1},
		{"pow10", 1, 10},
		{"pow10", 2, 100},
		{"pow10", -inf, 0},
		{"pow10", inf, inf},
		{"pow10", nan, nan},
		{"pow10", 309, inf},
		{"pow10", -330, 0},
		{"log", 1, 0},
		{"log", 0, -inf},
		{"log", -1, nan},
		{"log", inf, inf},
		{"log", nan, nan},
		{"log10", 1, 0},
		{"log10", 10, 1},
		{"log10", 1000, 3},
		{"log10", 0, -inf},
		{"log10", -1, nan},
		{"log10", inf, inf},
		{"log10", nan, nan},
	} {
		if got := functions[c.name](c.x); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s(%g) = %g, want %g", c.name, c.x, got, c.want)
		}
	}
}

func TestInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(-300, 300).Draw(t, "x")
		if back := exactmath.Log10(exactmath.Pow10(x)); math.Abs(back-x) > 1e-13 {
			t.Fatalf("log10(10^%g) = %g", x, back)
		}
	})
}

// TestEmulated runs the calls on an emulated arm64, where compilers fuse multiply and add. It is part of the
// suite where the emulator is installed (Debian: qemu-user-static).
func TestEmulated(t *testing.T) {
	emulator, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		return // nothing to run it with; TestVectors holds this CPU to the same bits
	}
	program := filepath.Join(t.TempDir(), "print-arm64")
	build := exec.Command("go", "build", "-o", program, "./testdata/print")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building for arm64: %v\n%s", err, out)
	}
	out, err := exec.Command(emulator, program).Output()
	if err != nil {
		t.Fatalf("running on arm64: %v", err)
	}
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	pinned := strings.Split(strings.TrimSpace(string(text)), "\n")
	got := strings.Split(strings.TrimSpace(string(bytes.TrimSpace(out))), "\n")
	if len(got) != len(pinned) {
		t.Fatalf("%d lines, want %d", len(got), len(pinned))
	}
	for i := range got {
		if !strings.HasPrefix(pinned[i], got[i]) {
			t.Errorf("arm64 gives %q, pinned is %q", got[i], pinned[i])
		}
	}
}
