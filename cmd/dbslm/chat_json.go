package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"

	"dbslm/pkg/errors"
)

// spoken answers a text and returns what --json prints of the reply.
func (c *chat) spoken(ctx context.Context, text string) (map[string]any, error) {
	resp, err := c.conn.gateway.Respond(ctx, c.request(text))
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"conversation":  c.conversation.ConversationId,
		"message":       resp.Message.MessageId,
		"text":          resp.Message.Content,
		"finish_reason": resp.Message.FinishReason,
		"model":         resp.Trace.GetModel(),
		"build":         resp.Trace.GetNgramBuildId(),
		"seed":          resp.Trace.GetSeed(),
		"degradations":  degradations(resp.Trace),
	}, nil
}

// lines is the conversation of a program: for each line of standard input that is not empty one line of JSON, a reply or an error. Lines that
// begin with a colon are refused, so that none is said by mistake.
func (c *chat) lines(ctx context.Context) error {
	in := bufio.NewReaderSize(interruptible(ctx, c.in), 64<<10)
	out := json.NewEncoder(c.out)
	out.SetEscapeHTML(false)
	for c.options.maxTurns == 0 || c.turns < c.options.maxTurns {
		line, err := readLine(in)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return err
		}
		line = strings.TrimSpace(line)
		var reply map[string]any
		switch {
		case err != nil:
		case line == "":
			continue
		case strings.HasPrefix(line, ":"):
			err = usagef("with --json every line is said, and commands are not; take them at a terminal, or without --json")
		default:
			if err = checkSaid(line); err == nil {
				reply, err = c.spoken(ctx, line)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			reply = map[string]any{"error": message(c.conn.explain(err))}
		} else {
			c.turns++
		}
		if err := out.Encode(reply); err != nil {
			return err
		}
	}
	return nil
}
