package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"dbslm/pkg/errors"
	conceptv1 "dbslm/proto/dbslm/concept/v1"
	gatewayv1 "dbslm/proto/dbslm/gateway/v1"
	memoryv1 "dbslm/proto/dbslm/memory/v1"
	ngramv1 "dbslm/proto/dbslm/ngram/v1"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// chatOptions are the flags of chat.
type chatOptions struct {
	prompt, conversation, user, agent, model, bot, language string
	tags                                                    []string
	profile                                                 string
	maxTurns                                                int
	seed                                                    uint64
	seeded, json                                            bool
}

func newChat(a *app) *cobra.Command {
	var o chatOptions
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Hold a conversation",
		Long: `Hold a conversation with a model, at a terminal or line by line from standard input; or answer one --prompt.

Commands in a conversation: ` + strings.Join(commandNames(), " ") + `.
:help tells what they do. Ctrl-C stops a reply; Ctrl-D leaves, and so does Ctrl-C while nothing is said.`,
		Example: `  dbslm chat
  dbslm chat --prompt "Remind me what we discussed." --conversation 0193e4a1-…
  dbslm chat --server 127.0.0.1:7400 --seed 7
  dbslm chat --json < questions.txt`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.seeded = cmd.Flags().Changed("seed")
			if cmd.Flags().Changed("prompt") && strings.TrimSpace(o.prompt) == "" {
				return usagef("--prompt is empty; say something")
			}
			if o.maxTurns < 0 {
				return usagef("--max-turns %d is impossible; 0 has no limit", o.maxTurns)
			}
			if o.json && o.prompt == "" && terminal(a.in) {
				return usagef("--json is for programs: it needs --prompt, or lines on standard input")
			}
			if err := checkSaid(o.prompt); err != nil {
				return usagef("--prompt: %v", err)
			}
			return a.with(cmd.Context(), false, func(conn *connection) error { return a.chat(cmd.Context(), conn, o) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.prompt, "prompt", "", "answer this one `text` and leave")
	flags.StringVar(&o.conversation, "conversation", "", "resume the conversation with this `id`")
	flags.StringVar(&o.user, "user", "cli-user", "`name` of who speaks")
	flags.StringVar(&o.agent, "agent", "db-slm", "`name` of who answers")
	flags.StringVar(&o.model, "model", "", "`name` of the language model (default \"default\")")
	flags.StringVar(&o.bot, "bot", "", "`name` of the bot whose concepts may speak (default \"default\")")
	flags.StringSliceVar(&o.tags, "tags", nil, "`tags` of the templates that are preferred, such as formal,short")
	flags.StringVar(&o.language, "language", "", "`code` of the language in which concepts speak, such as pt-BR")
	flags.StringVar(&o.profile, "profile", "", "`name` of the decode profile (default \"default\")")
	flags.IntVar(&o.maxTurns, "max-turns", 0, "leave after `N` turns; 0 has no limit")
	flags.Uint64Var(&o.seed, "seed", 0, "`number` from which replies are drawn: the same number, conversation and build give the same replies")
	flags.BoolVar(&o.json, "json", false, "print the reply to --prompt as JSON, or for each line of standard input a line of JSON")
	return cmd
}

// chat is one conversation in progress.
type chat struct {
	*app
	conn         *connection
	options      chatOptions
	conversation *memoryv1.Conversation
	turns        int
	last         string          // id of the newest reply; empty before the first one
	noted        map[string]bool // degradations that the person knows of
}

func (a *app) chat(ctx context.Context, conn *connection, o chatOptions) error {
	c := &chat{app: a, conn: conn, options: o, noted: map[string]bool{}}
	if err := c.begin(ctx); err != nil {
		return err
	}
	if o.prompt != "" {
		return c.once(ctx)
	}
	if o.json {
		return c.lines(ctx)
	}
	fmt.Fprintf(a.out, "Using conversation: %s\n", c.conversation.ConversationId)
	err := c.loop(ctx)
	fmt.Fprintf(a.out, "Conversation ended after %s.\n", plural(c.turns, "turn", "turns"))
	return err
}

// begin starts a conversation or resumes the one asked for. A model or a bot asked for by name must exist.
func (c *chat) begin(ctx context.Context) error {
	if c.options.model != "" {
		_, err := ngramv1.NewModelServiceClient(c.conn).GetModel(ctx, &ngramv1.GetModelRequest{Tenant: c.tenant, Model: c.options.model})
		if kind := errors.KindOf(err); err != nil && (kind == errors.NotFound || kind == errors.InvalidArgument) {
			return err // level 1 out of reach is another matter: concepts may answer
		}
	}
	if c.options.bot != "" {
		_, err := conceptv1.NewPredictionServiceClient(c.conn).GetDecidingBuild(ctx, &conceptv1.GetDecidingBuildRequest{Tenant: c.tenant, Bot: c.options.bot})
		if kind := errors.KindOf(err); err != nil && (kind == errors.NotFound || kind == errors.InvalidArgument) {
			return err // without level 3 the model still answers
		}
	}
	if c.options.conversation == "" {
		resp, err := c.conn.gateway.StartConversation(ctx, &gatewayv1.StartConversationRequest{
			Tenant: c.tenant, UserId: c.options.user, AgentId: c.options.agent,
		})
		if err != nil {
			return err
		}
		c.conversation = resp.Conversation
		return nil
	}
	resp, err := memoryv1.NewConversationServiceClient(c.conn).GetConversation(ctx, &memoryv1.GetConversationRequest{
		Tenant: c.tenant, ConversationId: c.options.conversation,
	})
	if err != nil {
		return err
	}
	c.conversation = resp.Conversation
	return nil
}

// maxSaid is the longest message, in bytes, as the gateway's API says it.
const maxSaid = 1 << 20

// checkSaid refuses what no message may hold, before anything is stored.
func checkSaid(text string) error {
	switch {
	case len(text) > maxSaid:
		return usagef("the text has %s bytes; the longest message has %s: shorten it", count(len(text)), count(maxSaid))
	case strings.ContainsRune(text, 0):
		return usagef("the text has a NUL byte at byte offset %d; remove it", strings.IndexByte(text, 0))
	case !utf8.ValidString(text):
		return usagef("the text is not valid UTF-8 at byte offset %d; is the terminal set to another encoding?", firstInvalid(text))
	}
	return nil
}

// firstInvalid is the offset of the first byte that is not UTF-8.
func firstInvalid(text string) int {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") {
			return i
		}
	}
	return len(text)
}

// once answers the prompt.
func (c *chat) once(ctx context.Context) error {
	if c.options.json {
		reply, err := c.spoken(ctx, c.options.prompt)
		if err != nil {
			return err
		}
		return printJSON(c.out, reply)
	}
	fmt.Fprintf(c.out, "Using conversation: %s\n", c.conversation.ConversationId)
	fmt.Fprintf(c.out, "user> %s\n", c.options.prompt)
	return c.answer(ctx, c.options.prompt)
}

// loop answers line by line until the input, the turns or the person's patience end.
func (c *chat) loop(ctx context.Context) error {
	lines := newLineReader(c.streams, "you> ")
	defer lines.close()
	for c.options.maxTurns == 0 || c.turns < c.options.maxTurns {
		line, err := c.listen(ctx, lines)
		if err == io.EOF || ctx.Err() != nil {
			return nil // Ctrl-D and Ctrl-C leave cleanly
		}
		if errors.Is(err, errLongLine) {
			c.report(err)
			continue
		}
		if err != nil {
			return err
		}
		answering, heard := lines.untilCtrlC(ctx)
		leave, err := c.said(answering, strings.TrimSpace(line))
		stopped := answering.Err() != nil
		heard()
		if leave || ctx.Err() != nil {
			return nil
		}
		if stopped { // by Ctrl-C, while something was said: what was stored of it stays, and the conversation goes on
			c.last = ""
			fmt.Fprintln(c.err, "stopped; Ctrl-D leaves")
			continue
		}
		c.report(err)
	}
	return nil
}

// listen reads the next line. Ctrl-C ends it, as the end of the input does.
func (c *chat) listen(ctx context.Context, lines *lineReader) (string, error) {
	ctx, heard := lines.untilCtrlC(ctx)
	defer heard()
	line, err := lines.read(ctx)
	if ctx.Err() != nil {
		return "", io.EOF
	}
	return line, err
}

// said takes one line: a command, something to answer, or nothing.
func (c *chat) said(ctx context.Context, line string) (leave bool, err error) {
	if line == "" {
		return false, nil
	}
	if err := checkSaid(line); err != nil {
		return false, err
	}
	if strings.HasPrefix(line, ":") {
		return c.command(ctx, line)
	}
	return false, c.answer(ctx, line)
}

// report shows an error in a conversation, which goes on.
func (c *chat) report(err error) {
	if err != nil {
		fmt.Fprintln(c.err, "error: "+message(c.conn.explain(err)))
	}
}

func (c *chat) request(text string) *gatewayv1.RespondRequest {
	id, err := uuid.NewV7()
	req := &gatewayv1.RespondRequest{
		Tenant: c.tenant, ConversationId: c.conversation.ConversationId, Text: text,
		Model: c.options.model, Bot: c.options.bot, LanguageCode: c.options.language, TemplateTags: c.options.tags,
	}
	if err == nil {
		req.RequestId = id.String()
	}
	if c.options.seeded {
		seed := c.options.seed + c.conversation.Messages/2 + uint64(c.turns) // a resumed conversation goes on where it was
		req.Parameters = &ngramv1.DecodeParameters{Seed: &seed}
	}
	if c.options.profile != "" {
		if req.Parameters == nil {
			req.Parameters = &ngramv1.DecodeParameters{}
		}
		req.Parameters.Profile = c.options.profile
	}
	return req
}

// answer prints the reply as it comes.
func (c *chat) answer(ctx context.Context, text string) error {
	stream, err := c.conn.gateway.StreamRespond(ctx, &gatewayv1.StreamRespondRequest{Request: c.request(text)})
	if err != nil {
		return err
	}
	begun := false
	for {
		resp, err := stream.Recv()
		if err != nil {
			if begun {
				fmt.Fprintln(c.out)
			}
			if err == io.EOF {
				return errors.New(errors.Unavailable, "REPLY_CUT", "the server ended the reply without storing it; ask again")
			}
			return err
		}
		switch event := resp.Event.(type) {
		case *gatewayv1.StreamRespondResponse_Delta:
			if !begun {
				fmt.Fprint(c.out, "assistant> ")
				begun = true
			}
			fmt.Fprint(c.out, event.Delta.Text)
		case *gatewayv1.StreamRespondResponse_Finished:
			if !begun {
				fmt.Fprint(c.out, "assistant> ", event.Finished.Message.Content)
			}
			fmt.Fprintln(c.out)
			c.turns++
			c.last = event.Finished.Message.MessageId
			c.note(event.Finished.Trace)
			return nil
		}
	}
}

// note tells what a reply had to do without, once in a conversation.
func (c *chat) note(trace *gatewayv1.Trace) {
	for _, d := range trace.GetDegradations() {
		text := fmt.Sprintf("%s: %s (%s)", d.Service, d.Effect, d.Reason)
		if !c.noted[text] {
			c.noted[text] = true
			fmt.Fprintln(c.err, "note: "+oneLine(text))
		}
	}
}

func degradations(trace *gatewayv1.Trace) []string {
	out := []string{}
	for _, d := range trace.GetDegradations() {
		out = append(out, fmt.Sprintf("%s: %s (%s)", d.Service, d.Effect, d.Reason))
	}
	return out
}
