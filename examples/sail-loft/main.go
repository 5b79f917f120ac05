// Sail-loft is a small program around DB-SLM: the help desk of the Old Sail Loft, a tool library and repair café
// in the invented harbour town of Port Aldren.
//
//	corpus/*.txt ── train ──▶ level 1   what the house sounds like
//	bot.yaml ────── register ─▶ level 3   what it knows for certain, and asks the tool wall (a payload provider) for
//	conversation.json ─ talk ─▶ level 2   what was said and what was corrected
//
// It opens the three levels in its own process, trains, registers its concepts, holds the conversation, and then
// shows where one of its replies came from. Running it again changes nothing in the model and gives the same
// conversation.
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"dbslm"
)

// model is the language model and the bot of this program.
const model = "sail-loft"

//go:embed corpus bot.yaml conversation.json
var files embed.FS

func main() {
	db := flag.String("db", "var/demo", "where the data live: a directory, :memory: or mysql://user:password@host:3306/")
	seed := flag.Uint64("seed", 129, "seed of the conversation; another seed gives other words")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *db, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "sail-loft:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, db string, seed uint64) (err error) {
	system, err := dbslm.Open(ctx, dbslm.Config{DB: db, Create: true})
	if err != nil {
		return err
	}
	defer func() {
		if closing := system.Close(); err == nil {
			err = closing
		}
	}()
	address, stop, err := serveWall(ctx)
	if err != nil {
		return fmt.Errorf("tool wall: %w", err)
	}
	defer func() {
		if stopping := stop(); err == nil {
			err = stopping
		}
	}()
	if err := train(ctx, out, system); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if err := register(ctx, out, system, address); err != nil {
		return fmt.Errorf("register concepts: %w", err)
	}
	replies, err := talk(ctx, out, system, seed)
	if err != nil {
		return fmt.Errorf("talk: %w", err)
	}
	if err := explain(ctx, out, system, replies); err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	return nil
}
