package main

import (
	"fmt"
	"strings"

	gatewayv1 "dbslm/proto/dbslm/gateway/v1"

	"github.com/spf13/cobra"
)

func newContext(a *app) *cobra.Command {
	req := &gatewayv1.CompileContextRequest{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "context TEXT...",
		Short: "Print what is known for an answer, as a prompt for any other language model",
		Long: `Print what the database knows for an answer to a text in a conversation: the messages before it, the corrections that bear on it,
facts, and what a concept would say. Nothing is said, stored or claimed. The prompt is for any other language model; --json has
the same in parts.`,
		Example: `  dbslm context --conversation 0193e4a1-… "When does the market open?"
  dbslm context --conversation 0193e4a1-… "When does the market open?" --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Tenant, req.Text = a.tenant, strings.Join(args, " ")
			if strings.TrimSpace(req.Text) == "" {
				return usagef("the text is missing; see: %s --help", cmd.CommandPath())
			}
			if err := checkSaid(req.Text); err != nil {
				return err
			}
			if req.ConversationId == "" {
				return usagef("--conversation is missing; dbslm history lists conversations")
			}
			return a.with(cmd.Context(), false, func(conn *connection) error {
				resp, err := conn.gateway.CompileContext(cmd.Context(), req)
				if err != nil {
					return err
				}
				for _, d := range resp.Degradations {
					fmt.Fprintf(a.err, "note: %s: %s\n", d.Service, d.Effect)
				}
				if asJSON {
					return printJSON(a.out, protoJSON(resp))
				}
				_, err = fmt.Fprintln(a.out, resp.Prompt)
				return err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&req.ConversationId, "conversation", "", "`id` of the conversation")
	flags.StringVar(&req.Model, "model", "", "`name` of the model whose corrections and facts hold (default \"default\")")
	flags.StringVar(&req.Bot, "bot", "", "`name` of the bot whose concepts may speak (default \"default\")")
	flags.StringVar(&req.LanguageCode, "language", "", "`code` of the language in which concepts speak, such as pt-BR")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
