package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// patience is longer than anything takes on a slow machine. It is reached only when something is broken.
const patience = 60 * time.Second

func TestASessionWithToolsIsShared(t *testing.T) {
	server := startDaemon(t, "serve", "--data-dir")
	relay := startDaemon(t, "relay", "--api-url", server.url, "--interval", "50ms", "--local-dir")
	project := t.TempDir()
	t.Chdir(project)
	write(t, "greeting.go", "package greeting\n\nconst Text = \"helo\"\n\nfunc Greet() string { return Text }\n")

	agent := start(t, relay,
		say("", call("read_file", `{"path":"greeting.go"}`)),
		say("The word is wrong.", call("edit_file",
			`{"path":"greeting.go","old_str":"const Text = \"helo\"","new_str":"const Text = \"hello\""}`)),
		say("", call("bash", `{"command":"echo 1 test fails >&2; exit 3"}`),
			call("code_search", `{"pattern":"func Greet","path":"."}`)),
		say("The greeting is fixed."),

		// Models leave out what has nothing in it.
		say("", call("share_session", ``)),
		say("It is shared."),

		say("Nobody hears this yet."),
		say("And now they do."),
	)
	agent.prompt("Fix the greeting", "The greeting is fixed.")
	agent.prompt("Share this session", "It is shared.")
	link := agent.modelHeard(regexp.MustCompile(`Session shared: (http://\S+/s/\w+)`))
	texts := append(toolsInMarkdown, "Fix the greeting", "The word is wrong.", "The greeting is fixed.", "It is shared.")
	markdown := eventuallyShows(t, link, texts...)
	showsDiff(t, markdown)

	relay.kill()
	agent.prompt("What if the relay is away?", "Nobody hears this yet.")
	relay.run("127.0.0.1:0")
	agent.prompt("And when it is back?", "And now they do.")
	texts = append(texts, "What if the relay is away?", "Nobody hears this yet.", "And when it is back?")
	eventuallyShows(t, link, append(texts, "And now they do.")...)

	agent.prompt("/share", "Session shared: "+link)
	agent.prompt("/unshare", "Session unshared")
	if status, _ := get(t, link+".md"); status != http.StatusNotFound {
		t.Errorf("after /unshare the link is answered %d", status)
	}
	agent.prompt("/unshare", "share: this session is not shared (not_shared)")
	agent.end()
}

// toolsInMarkdown is what the Markdown of a share shows of the tools: of read_file, bash and code_search.
var toolsInMarkdown = []string{
	"package greeting\n",
	"echo 1 test fails >&2; exit 3", "\n1 test fails\n",
	"func Greet", "greeting.go:5:func Greet() string",
}

// showsDiff looks for the edit's diff, which Markdown makes of its old and its new text.
func showsDiff(t *testing.T, markdown string) {
	t.Helper()
	if !strings.Contains(markdown, "\n-const Text = \"helo\"\n+const Text = \"hello\"\n") {
		t.Errorf("the share does not show the edit's diff:\n%s", markdown)
	}
}

func TestWithoutARelayTheAgentGoesOn(t *testing.T) {
	t.Setenv("BRUTUS_SHARE_LOCAL_DIR", t.TempDir())
	agent := start(t, nil, say("Hello yourself."))
	agent.prompt("Hello", "Hello yourself.")
	agent.prompt("/share", "no relay answers: start one with `brutus-share relay`")
	agent.end()
}

// An answer of the scripted model.
type step struct {
	content string
	calls   []chatCall
}

func say(content string, calls ...chatCall) step { return step{content, calls} }

func call(name, arguments string) chatCall {
	return chatCall{Type: "function", Function: chatFunction{Name: name, Arguments: arguments}}
}

// running is the agent at work, with a model that plays a script.
type running struct {
	t     *testing.T
	in    *io.PipeWriter
	out   *bufio.Scanner
	ended chan error
	heard []byte // what the model was asked last
}

// start starts the agent, beside a relay or beside none.
func start(t *testing.T, relay *daemon, script ...step) *running {
	agent := &running{t: t, ended: make(chan error, 1)}
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/chat/completions" || len(script) == 0 {
			http.Error(w, "the script has no more", http.StatusInternalServerError)
			return
		}
		agent.heard = body
		next := chatMessage{Role: "assistant", Content: script[0].content, ToolCalls: script[0].calls}
		for i := range next.ToolCalls {
			next.ToolCalls[i].ID = fmt.Sprintf("call_%d_%d", len(script), i)
		}
		script = script[1:]
		json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"message": next}}})
	}))
	t.Cleanup(model.Close)
	if relay != nil {
		t.Setenv("BRUTUS_SHARE_RELAY", "")
		t.Setenv("BRUTUS_SHARE_LOCAL_DIR", relay.dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	in, typed := io.Pipe()
	said, out := io.Pipe()
	agent.in, agent.out = typed, bufio.NewScanner(said)
	brutus := &Agent{model: Model{base: model.URL, name: "scripted"}, tools: tools(), dir: dir, out: out}
	go func() {
		agent.ended <- brutus.Run(t.Context(), in)
		out.Close()
	}()
	return agent
}

// prompt types a line and waits for a line that holds the answer.
func (a *running) prompt(line, answer string) {
	a.t.Helper()
	fmt.Fprintln(a.in, line)
	for a.out.Scan() {
		if strings.Contains(a.out.Text(), answer) {
			return
		}
	}
	a.t.Fatalf("%q was not answered with %q: %v", line, answer, <-a.ended)
}

// modelHeard finds something in what the model was asked last.
func (a *running) modelHeard(pattern *regexp.Regexp) string {
	a.t.Helper()
	found := pattern.FindSubmatch(a.heard)
	if found == nil {
		a.t.Fatalf("the model did not hear %s: %s", pattern, a.heard)
	}
	return string(found[1])
}

func (a *running) end() {
	a.t.Helper()
	a.in.Close()
	for a.out.Scan() {
		a.t.Errorf("at the end: %s", a.out.Text())
	}
	if err := <-a.ended; err != nil {
		a.t.Error(err)
	}
}

// A daemon is a running `brutus-share serve` or `brutus-share relay`.
type daemon struct {
	t       *testing.T
	url     string
	dir     string
	args    []string
	process *exec.Cmd
	log     *bytes.Buffer // of the process; complete when it has ended
}

// startDaemon starts one on a free port; its last argument names the directory that it is given.
func startDaemon(t *testing.T, args ...string) *daemon {
	t.Helper()
	if os.Getenv("BRUTUS_SHARE_BIN") == "" {
		t.Skip("BRUTUS_SHARE_BIN names no program")
	}
	dir := filepath.Join(t.TempDir(), args[0])
	d := &daemon{t: t, dir: dir, args: append(args, dir)}
	d.run("127.0.0.1:0")
	t.Cleanup(d.kill)
	return d
}

func (d *daemon) run(listen string) {
	d.t.Helper()
	d.process = exec.Command(os.Getenv("BRUTUS_SHARE_BIN"), append(d.args, "--listen", listen)...)
	d.log = new(bytes.Buffer)
	d.process.Stderr = d.log
	stdout, err := d.process.StdoutPipe()
	if err == nil {
		err = d.process.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			d.url = url
			return
		}
	}
	d.process.Wait()
	d.t.Fatalf("%s does not listen:\n%s", d.args[0], d.log)
}

func (d *daemon) kill() {
	d.process.Process.Kill()
	d.process.Wait()
	if d.t.Failed() {
		d.t.Logf("%s:\n%s", d.args[0], d.log)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// eventuallyShows waits until a share's Markdown holds all texts, and gives it.
func eventuallyShows(t *testing.T, link string, texts ...string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		_, markdown := get(t, link+".md?full=1")
		missing := ""
		for _, text := range texts {
			if !strings.Contains(markdown, text) {
				missing = text
			}
		}
		if missing == "" {
			return markdown
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not show %q:\n%s", link, missing, markdown)
		}
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
