package main

import (
	"math"
	"strconv"
	"strings"
)

// size is a flag for bytes: a number, with KiB, MiB, GiB or TiB behind it or nothing for bytes.
type size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// Set implements pflag.Value.
func (s *size) Set(written string) error {
	for _, unit := range sizeUnits {
		number, found := strings.CutSuffix(written, unit.name)
		if !found {
			continue
		}
		value, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || value < 0 || value > math.MaxInt64/unit.bytes {
			break
		}
		*s = size(value * unit.bytes)
		return nil
	}
	return usagef("%q is not a size; write a whole number and KiB, MiB, GiB or TiB, such as 512MiB", written)
}

// String implements pflag.Value.
func (s *size) String() string {
	for _, unit := range sizeUnits {
		if *s != 0 && int64(*s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(*s)/unit.bytes, 10) + unit.name
		}
	}
	return "0"
}

// Type implements pflag.Value.
func (s *size) Type() string { return "size" }
