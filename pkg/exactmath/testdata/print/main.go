// Command print writes the bits of every function of exactmath over a fixed set of arguments, one per line:
// function, argument, result. The test compares the lines of this CPU and of an emulated one.
package main

import (
	"bufio"
	"fmt"
	"math"
	"os"

	"dbslm/pkg/exactmath"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	state := uint64(1)
	random := func() uint64 { // xorshift64*, so that the arguments need no library
		state ^= state >> 12
		state ^= state << 25
		state ^= state >> 27
		return state * 0x2545f4914f6cdd1d
	}
	unit := func() float64 { return float64(random()>>11) * 0x1p-53 }
	write := func(name string, f func(float64) float64, x float64) {
		fmt.Fprintf(out, "%s %016x %016x\n", name, math.Float64bits(x), math.Float64bits(f(x)))
	}
	for _, x := range []float64{0, 1, -1, -2.5, -7, 2, 300, -300, -307.6, -320.5, -400, 308.25, 309, 0.5, -0.3010299956639812, 1e-20, math.Inf(1), math.Inf(-1)} {
		write("pow10", exactmath.Pow10, x)
		write("exp", exactmath.Exp, x)
	}
	for _, x := range []float64{0, 1, 2, 10, 100, 1e-7, 1e-300, 5e-324, 1e-310, math.MaxFloat64, math.Sqrt2, math.Sqrt2 / 2, 0.99999999, 1.00000001, math.Inf(1)} {
		write("log", exactmath.Log, x)
		write("log10", exactmath.Log10, x)
	}
	for range 400 {
		write("pow10", exactmath.Pow10, -8*unit())
		write("pow10", exactmath.Pow10, float64(600*unit())-300)
		write("exp", exactmath.Exp, -20*unit())
		write("exp", exactmath.Exp, float64(1400*unit())-700)
		write("log", exactmath.Log, unit())
		write("log10", exactmath.Log10, unit())
		write("log", exactmath.Log, math.Float64frombits(random()&(1<<63-1)%(0x7ff<<52)))
		write("log10", exactmath.Log10, math.Float64frombits(random()&(1<<63-1)%(0x7ff<<52)))
	}
}
