//go:build !unix

package resident

import "os"

// Map reads a file into memory, where the system cannot map it.
func Map(path string) (*Mapping, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return &Mapping{data}, nil
}

// lock does nothing where files cannot be locked.
func lock(*os.File) {}

// unlocked does not know.
func unlocked(string) bool { return false }
