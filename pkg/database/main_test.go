package database_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" { // this binary is the second process of a test
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}
