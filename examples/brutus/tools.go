package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Tool is what the model may use. A tool gets its input and nothing else: neither the agent nor the session.
type Tool struct {
	Name        string
	Description string
	Inputs      []string // their names; all are strings
	Run         func(input json.RawMessage) (string, error)
}

// parameters is the schema of a tool's input.
func (t Tool) parameters() map[string]any {
	properties := map[string]any{}
	for _, name := range t.Inputs {
		properties[name] = map[string]string{"type": "string"}
	}
	return map[string]any{"type": "object", "properties": properties}
}

// tools are BRUTUS's, as far as this example needs them.
func tools() []Tool {
	return []Tool{
		{"read_file", "Read a file.", []string{"path"}, typed(readFile)},
		{"edit_file", "Replace old_str by new_str.", []string{"path", "old_str", "new_str"}, typed(editFile)},
		{"bash", "Run a command.", []string{"command"}, typed(bash)},
		{"code_search", "Find lines by a regular expression.", []string{"pattern", "path"}, typed(codeSearch)},
	}
}

// typed makes a tool of a function with an input of its own type.
func typed[Input any](run func(Input) (string, error)) func(json.RawMessage) (string, error) {
	return func(raw json.RawMessage) (string, error) {
		var input Input
		if err := json.Unmarshal(raw, &input); err != nil {
			return "", fmt.Errorf("the input: %w", err)
		}
		return run(input)
	}
}

func readFile(input struct{ Path string }) (string, error) {
	text, err := os.ReadFile(input.Path)
	return string(text), err
}

type edit struct {
	Path string
	Old  string `json:"old_str"`
	New  string `json:"new_str"`
}

func editFile(input edit) (string, error) {
	if input.Old == "" {
		return "OK", os.WriteFile(input.Path, []byte(input.New), 0o644)
	}
	text, err := os.ReadFile(input.Path)
	if err != nil {
		return "", err
	}
	if strings.Count(string(text), input.Old) != 1 {
		return "", errors.New("old_str has to be in the file once")
	}
	return "OK", os.WriteFile(input.Path, []byte(strings.Replace(string(text), input.Old, input.New, 1)), 0o644)
}

// bash reports a command that fails as a text, not as an error: the model goes on from it.
func bash(input struct{ Command string }) (string, error) {
	output, err := exec.Command("bash", "-c", input.Command).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("Command failed: %v\n%s", err, output), nil
	}
	return string(output), nil
}

func codeSearch(input struct{ Pattern, Path string }) (string, error) {
	pattern, err := regexp.Compile(input.Pattern)
	if err != nil {
		return "", err
	}
	var found strings.Builder
	err = filepath.WalkDir(filepath.Clean(input.Path), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		for i, line := range strings.Split(string(text), "\n") {
			if pattern.MatchString(line) {
				fmt.Fprintf(&found, "%s:%d:%s\n", path, i+1, line)
			}
		}
		return err
	})
	return found.String(), err
}
