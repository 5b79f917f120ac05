//go:build !unix

package spill

// mapTemporary maps nothing, where the system cannot.
func mapTemporary(int) (data []byte, unmap func(), err error) { return nil, nil, nil }
