package store

import "dbslm/pkg/database"

// orNull is 0 as it is stored: most contexts have followers of one class only.
func orNull(sum int64) any {
	if sum == 0 {
		return nil
	}
	return sum
}

// writeIdentity writes who a context of n-grams of order n is. The empty context has no parent, and that of one token has it.
func writeIdentity(w database.RowWriter, n int, hash, parent int64, oldest uint32) {
	w.Int(hash)
	if n <= 2 {
		w.Null()
	} else {
		w.Int(parent)
	}
	if n == 1 {
		w.Null()
	} else {
		w.Int(int64(oldest))
	}
}

// writeSums writes how many followers have the adjusted counts 1, 2, and 3 or more, and the sum of the last.
func writeSums(w database.RowWriter, total int64, followers [3]int64) {
	for _, sum := range [...]int64{followers[0], followers[1], followers[2], total - followers[0] - 2*followers[1]} {
		if sum == 0 {
			w.Null()
		} else {
			w.Int(sum)
		}
	}
}
