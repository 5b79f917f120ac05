package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"dbslm"
	"dbslm/examples/provider/wall"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
)

// wallAddress is where bot.yaml says that the tool wall listens.
const wallAddress = "127.0.0.1:7490"

// serveWall starts the payload provider of the bot on a free port. Stop ends it and waits.
func serveWall(ctx context.Context) (address string, stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	listening, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- wall.Serve(ctx, "127.0.0.1:0", func(address string) { listening <- address }) }()
	select {
	case address = <-listening:
		return address, func() error { cancel(); return <-ended }, nil
	case err = <-ended:
		cancel()
		return "", nil, err
	}
}

// register makes the bot what bot.yaml says, as `dbslm concepts apply` does, with the wall at an address. What is there already
// stays as it is.
func register(ctx context.Context, out io.Writer, system *dbslm.System, address string) error {
	file, err := files.ReadFile("bot.yaml")
	if err != nil {
		return err
	}
	if _, err := conceptv1.NewBotServiceClient(system.Conn()).ApplyBot(ctx, &conceptv1.ApplyBotRequest{Bot: model, File: strings.ReplaceAll(string(file), wallAddress, address)}); err != nil {
		return fmt.Errorf("bot.yaml: %w", err)
	}
	var concepts, templates int
	var examples uint64
	catalogue := conceptv1.NewCatalogueServiceClient(system.Conn())
	list, err := catalogue.ListConcepts(ctx, &conceptv1.ListConceptsRequest{Bot: model, PageSize: 1000})
	if err != nil {
		return err
	}
	for _, c := range list.Concepts {
		if c.BuiltIn {
			continue
		}
		full, err := catalogue.GetConcept(ctx, &conceptv1.GetConceptRequest{Bot: model, Name: c.Name})
		if err != nil {
			return err
		}
		concepts, templates, examples = concepts+1, templates+len(full.Templates), examples+full.Examples
	}
	fmt.Fprintf(out, "%d concepts with %d templates and %d examples\n\n", concepts, templates, examples)
	return nil
}
