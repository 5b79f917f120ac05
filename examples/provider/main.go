// Command provider serves the payload provider of package wall. A concept names it by its address (`provider: 127.0.0.1:7490` in a
// bot's file), and the gateway asks it once in a turn, for at most two seconds and again while it answers UNAVAILABLE. What it does
// not know it leaves out: the concept then asks other sources, or another concept speaks.
//
//	go run ./examples/provider 127.0.0.1:7490
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"dbslm/examples/provider/wall"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: provider HOST:PORT")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := wall.Serve(ctx, os.Args[1], func(address string) { fmt.Println("listening on", address) }); err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}
