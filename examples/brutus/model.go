package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Message is a message of the conversation, in the shape that BRUTUS gives it: no JSON tags, and the results of tools
// in a message of the user.
type Message struct {
	Role        string // "user" or "assistant"
	Content     string
	ToolCalls   []ToolCall
	ToolResults []ToolResult
}

// ToolCall is the model's wish to use a tool.
type ToolCall struct {
	ID    string
	Name  string
	Input json.RawMessage // as the model wrote it; it may be no JSON
}

// ToolResult is what a tool answered.
type ToolResult struct {
	ID      string // the call's
	Content string
	IsError bool
}

// Model is a language model behind an OpenAI-compatible endpoint. Answers come whole.
type Model struct {
	base string // the URL before /v1
	name string
}

// chatMessage is a message as the endpoint has it.
type chatMessage struct {
	Role       string     `json:"role"`
	Content    string     `json:"content"`
	ToolCalls  []chatCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

type chatCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function chatFunction `json:"function"`
}

type chatFunction struct {
	Name        string         `json:"name"`
	Arguments   string         `json:"arguments,omitempty"`
	Description string         `json:"description,omitempty"`
	Parameters  map[string]any `json:"parameters,omitempty"`
}

type chatTool struct {
	Type     string       `json:"type"`
	Function chatFunction `json:"function"`
}

// Answer gives the model's next message.
func (m Model) Answer(ctx context.Context, conversation []Message, tools []Tool) (Message, error) {
	question := struct {
		Model    string        `json:"model,omitempty"`
		Messages []chatMessage `json:"messages"`
		Tools    []chatTool    `json:"tools"`
	}{Model: m.name}
	for _, message := range conversation {
		question.Messages = append(question.Messages, chatMessages(message)...)
	}
	for _, tool := range tools {
		function := chatFunction{Name: tool.Name, Description: tool.Description, Parameters: tool.parameters()}
		question.Tools = append(question.Tools, chatTool{Type: "function", Function: function})
	}
	body, err := json.Marshal(question)
	if err != nil {
		return Message{}, err
	}
	url := strings.TrimSuffix(m.base, "/") + "/v1/chat/completions"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Message{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Message{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return Message{}, err
	}
	if response.StatusCode != http.StatusOK {
		return Message{}, fmt.Errorf("the model answers %s: %s", response.Status, text)
	}
	var answer struct {
		Choices []struct{ Message chatMessage }
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return Message{}, fmt.Errorf("the model's answer: %w", err)
	}
	if len(answer.Choices) == 0 {
		return Message{}, fmt.Errorf("the model gives no answer: %s", text)
	}
	said := answer.Choices[0].Message
	message := Message{Role: "assistant", Content: said.Content}
	for _, call := range said.ToolCalls {
		input := json.RawMessage(call.Function.Arguments)
		message.ToolCalls = append(message.ToolCalls, ToolCall{ID: call.ID, Name: call.Function.Name, Input: input})
	}
	return message, nil
}

// chatMessages is a message in the endpoint's words: each result of a tool is a message of its own there.
func chatMessages(message Message) []chatMessage {
	var results []chatMessage
	for _, result := range message.ToolResults {
		results = append(results, chatMessage{Role: "tool", Content: result.Content, ToolCallID: result.ID})
	}
	if results != nil {
		return results
	}
	chat := chatMessage{Role: message.Role, Content: message.Content}
	for _, call := range message.ToolCalls {
		function := chatFunction{Name: call.Name, Arguments: string(call.Input)}
		chat.ToolCalls = append(chat.ToolCalls, chatCall{ID: call.ID, Type: "function", Function: function})
	}
	return []chatMessage{chat}
}
