// Brutus is a stand-in for BRUTUS: its loop, its message and its tools in a few lines of our own, to show what such an
// agent needs to be shared. That is all in share_commands.go.
//
//	brutus-share serve & brutus-share relay &
//	go run . -model-url http://127.0.0.1:8080
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	share "github.com/jperrello/brutus-share/clients/go"
)

// Agent is a conversation with a model that uses tools.
type Agent struct {
	model        Model
	tools        []Tool
	dir          string
	out          io.Writer
	conversation []Message

	// For share_commands.go.
	sessionID string
	shares    *share.Manager
}

func main() {
	url := flag.String("model-url", "http://127.0.0.1:8080", "an OpenAI-compatible endpoint, without /v1")
	name := flag.String("model", "", "the model's name")
	flag.Parse()
	dir, err := os.Getwd()
	if err == nil {
		agent := &Agent{model: Model{base: *url, name: *name}, tools: tools(), dir: dir, out: os.Stdout}
		err = agent.Run(context.Background(), os.Stdin)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Run takes a prompt or a command from each line, until there are no more.
func (a *Agent) Run(ctx context.Context, in io.Reader) error {
	a.initSharing()
	defer func() {
		a.changed(share.Gone)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		a.shares.Close(ctx)
	}()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		switch line := strings.TrimSpace(lines.Text()); line {
		case "":
		case "/exit":
			return nil
		case "/share":
			a.command(a.shareSession(share.Idle))
		case "/unshare":
			a.command(a.unshareSession())
		default:
			if err := a.turn(ctx, line); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

func (a *Agent) command(result string, err error) {
	if err != nil {
		a.say("%v", err)
	} else {
		a.say("%s", result)
	}
}

// turn answers a prompt: the model is asked, and what it wants to know from its tools is told, until it wants no more.
func (a *Agent) turn(ctx context.Context, prompt string) error {
	a.add(Message{Role: "user", Content: prompt}, share.Busy)
	for {
		answer, err := a.model.Answer(ctx, a.conversation, a.tools)
		if err != nil {
			return err
		}
		if len(answer.ToolCalls) == 0 {
			a.add(answer, share.Idle)
			a.say("%s", answer.Content)
			return nil
		}
		a.add(answer, share.Busy)
		results := Message{Role: "user"}
		for _, call := range answer.ToolCalls {
			a.say("[%s]", call.Name)
			results.ToolResults = append(results.ToolResults, a.use(call))
		}
		a.add(results, share.Busy)
	}
}

func (a *Agent) use(call ToolCall) ToolResult {
	for _, tool := range a.tools {
		if tool.Name == call.Name {
			content, err := tool.Run(call.Input)
			if err != nil {
				return ToolResult{ID: call.ID, Content: err.Error(), IsError: true}
			}
			return ToolResult{ID: call.ID, Content: content}
		}
	}
	return ToolResult{ID: call.ID, Content: "there is no such tool", IsError: true}
}

func (a *Agent) add(message Message, state share.State) {
	a.conversation = append(a.conversation, message)
	a.changed(state)
}

func (a *Agent) say(format string, args ...any) {
	fmt.Fprintf(a.out, format+"\n", args...)
}
