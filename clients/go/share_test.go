package share_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	share "github.com/jperrello/brutus-share/clients/go"
)

// patience is longer than anything takes on a slow machine. It is reached only when something is broken.
const patience = 60 * time.Second

// Message is a message of an agent without JSON tags.
type Message struct {
	Role        string
	Content     string
	ToolCalls   []ToolCall
	ToolResults []ToolResult
}

type ToolCall struct {
	ID, Name string
	Input    json.RawMessage
}

type ToolResult struct {
	ID, Content string
	IsError     bool
}

func prompt(text string) Message { return Message{Role: "user", Content: text} }
func answer(text string) Message { return Message{Role: "assistant", Content: text} }

func TestASessionIsSharedAndUnshared(t *testing.T) {
	_, relay := startBoth(t)
	manager := relay.manager(share.Options{})

	before := time.Now().Add(-time.Minute)
	shared, err := manager.Create(t.Context(), "ses/1 ü", []Message{prompt("Fix the parser"), answer("It is fixed.")})
	if err != nil {
		t.Fatal(err)
	}
	if shared.SessionID != "ses/1 ü" || shared.ID == "" || !strings.HasSuffix(shared.URL, "/s/"+shared.ID) ||
		shared.CreatedAt.Before(before) || shared.CreatedAt.After(time.Now().Add(time.Minute)) {
		t.Errorf("the share: %+v", shared)
	}
	eventuallyShows(t, shared, "Fix the parser", "It is fixed.")

	again, err := manager.Create(t.Context(), "ses/1 ü", []Message{prompt("Fix the parser"), answer("It is fixed.")})
	if err != nil || again.URL != shared.URL || !again.CreatedAt.Equal(shared.CreatedAt) {
		t.Errorf("shared again: %+v, %v", again, err)
	}
	shares, err := manager.List(t.Context())
	if err != nil || len(shares) != 1 || shares[0].ID != shared.ID || shares[0].State != "active" {
		t.Errorf("the list: %+v, %v", shares, err)
	}

	if err := manager.Remove(t.Context(), "ses/1 ü"); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, shared.URL+".md"); status != http.StatusNotFound {
		t.Errorf("after the unshare the link is answered %d", status)
	}
	if err := manager.Remove(t.Context(), "ses/1 ü"); !errors.Is(err, share.ErrNotShared) {
		t.Errorf("unshared again: %v", err)
	}
	if err := manager.Flush(t.Context(), "ses/1 ü"); !errors.Is(err, share.ErrNotShared) {
		t.Errorf("flushed: %v", err)
	}
}

func TestASessionThatIsKnownIsSharedWithoutItsMessages(t *testing.T) {
	_, relay := startBoth(t)
	manager := relay.manager(share.Options{})
	if _, err := manager.Create(t.Context(), "ses_1", nil); !errors.Is(err, share.ErrUnknownSession) {
		t.Errorf("of an unknown session: %v", err)
	}
	if err := manager.Messages(t.Context(), "ses_1", []Message{prompt("Known before")}); err != nil {
		t.Fatal(err)
	}
	shared, err := manager.Create(t.Context(), "ses_1", nil)
	if err != nil {
		t.Fatal(err)
	}
	eventuallyShows(t, shared, "Known before")

	var none []Message
	if _, err := manager.Create(t.Context(), "ses_2", none); err != nil {
		t.Errorf("a session that has not begun: %v", err)
	}
}

func TestMessagesGrowAndAreReplaced(t *testing.T) {
	_, relay := startBoth(t)
	manager := relay.manager(share.Options{})
	conversation := []Message{prompt("First"), answer("Second")}
	shared, err := manager.Create(t.Context(), "ses_1", share.Conversation{
		Messages: conversation, Title: "A title of its own", Directory: "/src/parser", Agent: "tester", Model: "model-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	eventuallyShows(t, shared, "A title of its own", "First", "Second")

	conversation = append(conversation, prompt("Third"))
	if err := manager.Messages(t.Context(), "ses_1", conversation); err != nil {
		t.Fatal(err)
	}
	if err := manager.Status(t.Context(), "ses_1", share.Waiting, "for a word"); err != nil {
		t.Fatal(err)
	}
	if err := manager.Flush(t.Context(), "ses_1"); err != nil {
		t.Fatal(err)
	}
	eventuallyShows(t, shared, "First", "Second", "Third")
	_, items := get(t, shared.URL+".json")
	for _, told := range []string{"/src/parser", "tester", "model-1", "waiting", "for a word"} {
		if !strings.Contains(items, told) {
			t.Errorf("what was told is missing, %q:\n%s", told, items)
		}
	}

	if err := manager.Replace(t.Context(), "ses_1", []Message{prompt("First"), answer("Another second")}); err != nil {
		t.Fatal(err)
	}
	if err := manager.Flush(t.Context(), "ses_1"); err != nil {
		t.Fatal(err)
	}
	text := eventuallyShows(t, shared, "First", "Another second")
	if strings.Contains(text, "Third") {
		t.Errorf("what was replaced is there:\n%s", text)
	}
}

func TestEventsAreReported(t *testing.T) {
	_, relay := startBoth(t)
	manager := relay.manager(share.Options{})
	shared, err := manager.Create(t.Context(), "ses_1", []Message{})
	if err != nil {
		t.Fatal(err)
	}
	event := func(kind string, data map[string]any) map[string]any {
		return map[string]any{"type": kind, "sessionID": "ses_1", "data": data}
	}
	err = manager.Report(t.Context(), []any{
		event("message.updated", map[string]any{"id": "msg_1", "role": "user", "time": map[string]any{"created": 1}}),
		event("part.updated", map[string]any{"id": "prt_1", "messageID": "msg_1", "type": "text", "text": "From a bus"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	eventuallyShows(t, shared, "From a bus")
}

func TestArgumentsThatAreNoJSONStopNothing(t *testing.T) {
	_, relay := startBoth(t)
	manager := relay.manager(share.Options{})
	conversation := []Message{
		prompt("Share this"),
		{Role: "assistant", ToolCalls: []ToolCall{
			{ID: "call_1", Name: "share_session", Input: json.RawMessage("")},
			{ID: "call_2", Name: "read_file", Input: json.RawMessage(`{"path": "half-a-pa`)},
			{ID: "call_3", Name: "read_file", Input: json.RawMessage(`{"path": "whole.go"}`)},
		}},
		{Role: "user", ToolResults: []ToolResult{
			{ID: "call_1", Content: "shared"}, {ID: "call_2", Content: "no such file", IsError: true},
			{ID: "call_3", Content: "package whole"},
		}},
		answer("Done."),
	}
	shared, err := manager.Create(t.Context(), "ses_1", conversation)
	if err != nil {
		t.Fatal(err)
	}
	eventuallyShows(t, shared, "Share this", "whole.go", "no such file", "package whole", "Done.")
	if _, items := get(t, shared.URL+".json"); !strings.Contains(items, "half-a-pa") {
		t.Errorf("the half of an input is missing:\n%s", items)
	}
	if string(conversation[1].ToolCalls[1].Input) != `{"path": "half-a-pa` {
		t.Error("the agent's own messages were changed")
	}
}

func TestNothingIsMissingWhenTheRelayWasKilled(t *testing.T) {
	_, relay := startBoth(t)
	told := make(chan error, 100)
	manager := relay.manager(share.Options{OnError: func(_ string, err error) { told <- err }})
	manager.Init()

	conversation := []Message{prompt("Before")}
	shared, err := manager.Create(t.Context(), "ses_1", conversation)
	if err != nil {
		t.Fatal(err)
	}
	conversation = append(conversation, answer("While it ran"))
	manager.Update("ses_1", conversation)
	eventuallyShows(t, shared, "Before", "While it ran")

	relay.kill()
	conversation = append(conversation, prompt("While it was away"))
	manager.Update("ses_1", conversation)
	if err := <-told; !errors.Is(err, share.ErrNoRelay) {
		t.Errorf("told: %v", err)
	}
	if err := manager.Messages(t.Context(), "ses_1", conversation); !errors.Is(err, share.ErrNoRelay) {
		t.Errorf("without a relay: %v", err)
	}

	relay.run("127.0.0.1:0")
	// Elsewhere, and nobody says anything more: what waited is sent by itself.
	eventuallyShows(t, shared, "Before", "While it ran", "While it was away")
	conversation = append(conversation, answer("After"))
	manager.Update("ses_1", conversation)
	if err := manager.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventuallyShows(t, shared, "Before", "While it ran", "While it was away", "After")
}

func TestAnUnshareWaitsForItsServer(t *testing.T) {
	server, relay := startBoth(t)
	manager := relay.manager(share.Options{})
	if _, err := manager.Create(t.Context(), "ses_1", []Message{prompt("Hello")}); err != nil {
		t.Fatal(err)
	}
	server.kill()
	if err := manager.Remove(t.Context(), "ses_1"); !errors.Is(err, share.ErrRemoving) {
		t.Errorf("unshared while the server is away: %v", err)
	}
	var refusal *share.Error
	_, err := manager.Create(t.Context(), "ses_2", []Message{})
	if !errors.As(err, &refusal) || refusal.Code != "server_unreachable" || refusal.Status != http.StatusBadGateway {
		t.Errorf("shared while the server is away: %v", err)
	}
	server.run(strings.TrimPrefix(server.url, "http://"))
	eventually(t, "the share is gone", func() bool {
		shares, err := manager.List(t.Context())
		return err == nil && len(shares) == 0
	})
}

func TestNoRelay(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	never := share.NewManager(share.Options{Relay: closed.URL, LocalDir: t.TempDir()})
	stopped := share.NewManager(share.Options{Relay: closed.URL, LocalDir: localDir(t)})
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	other := share.NewManager(share.Options{Relay: web.URL, LocalDir: localDir(t)})
	for name, manager := range map[string]*share.Manager{"never": never, "stopped": stopped, "other": other} {
		_, err := manager.List(t.Context())
		if !errors.Is(err, share.ErrNoRelay) || !strings.Contains(err.Error(), "`brutus-share relay`") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhereTheRelayIs(t *testing.T) {
	t.Setenv("BRUTUS_SHARE_RELAY", "")
	t.Setenv("BRUTUS_SHARE_LOCAL_DIR", "")
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	dir := filepath.Join(state, "brutus-share", "relay")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "token"), token)
	empty := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[]") })
	finds := func(options share.Options) error {
		_, err := share.NewManager(options).List(t.Context())
		return err
	}

	first := httptest.NewServer(empty)
	defer first.Close()
	write(t, filepath.Join(dir, "relay.json"),
		fmt.Sprintf(`{"address":%q,"pid":1,"version":"0.1.0"}`, first.URL))
	if err := finds(share.Options{}); err != nil {
		t.Errorf("by relay.json: %v", err)
	}

	socket := filepath.Join(state, "relay.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	second := httptest.NewUnstartedServer(empty)
	second.Listener = listener
	second.Start()
	defer second.Close()
	first.Close()
	t.Setenv("BRUTUS_SHARE_RELAY", "unix:"+socket)
	if err := finds(share.Options{}); err != nil {
		t.Errorf("by the environment: %v", err)
	}

	foreign := []string{"http://192.0.2.1:8091", "https://127.0.0.1:8091", "http://localhost.example:1", "unix:", "x"}
	for _, foreign := range foreign {
		if err := finds(share.Options{Relay: foreign}); err == nil || errors.Is(err, share.ErrNoRelay) {
			t.Errorf("%s: %v", foreign, err)
		}
	}
	t.Setenv("BRUTUS_SHARE_LOCAL_DIR", t.TempDir())
	if err := finds(share.Options{}); !errors.Is(err, share.ErrNoRelay) {
		t.Errorf("in a directory where no relay was: %v", err)
	}
	if err := finds(share.Options{LocalDir: dir}); err != nil {
		t.Errorf("in the directory of the options: %v", err)
	}
}

func TestWhatTheRelayRefuses(t *testing.T) {
	manager := fake(t, share.Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			t.Errorf("the token that came: %q", r.Header.Get("Authorization"))
		}
		w.WriteHeader(http.StatusBadGateway)
		io.WriteString(w, `{"error":{"code":"server_unreachable","message":"a\u001b[31mb\nc\u202ed\u009b"}}`)
	})
	_, err := manager.Create(t.Context(), "ses_1", []Message{})
	var refusal *share.Error
	if !errors.As(err, &refusal) || refusal.Message != "a [31mb c d " || refusal.Code != "server_unreachable" {
		t.Fatalf("%#v", err)
	}
	if text := err.Error(); strings.Contains(text, token) || text != "share: a [31mb c d  (server_unreachable)" {
		t.Errorf("%q", text)
	}
}

func TestMessagesThatCannotBeReadAreTold(t *testing.T) {
	manager := fake(t, share.Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"accepted":3,"bad":[{"index":1,"message":"it has no role"},{"index":2,"message":"nor this"}]}`)
	})
	err := manager.Messages(t.Context(), "ses_1", []Message{})
	var refusal *share.Error
	if !errors.As(err, &refusal) || refusal.Status != http.StatusAccepted ||
		refusal.Message != "2 are not shared, the first at [1]: it has no role" {
		t.Errorf("%v", err)
	}
}

func TestAnswersAndWaitsAreBounded(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		manager := fake(t, share.Options{}, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
					return
				}
			}
		})
		if _, err := manager.List(t.Context()); err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Error(err)
		}
	})
	t.Run("time", func(t *testing.T) {
		asked := make(chan struct{})
		manager := fake(t, share.Options{}, func(_ http.ResponseWriter, r *http.Request) {
			close(asked)
			<-r.Context().Done()
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-asked
			cancel()
		}()
		if _, err := manager.List(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, share.ErrNoRelay) {
			t.Error(err)
		}
	})
}

func TestUpdateSendsTheNewestAlone(t *testing.T) {
	const last = 100
	var (
		mu       sync.Mutex
		contents []string
		underWay int
		first    = make(chan struct{})
		release  = make(chan struct{})
	)
	manager := fake(t, share.Options{}, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if underWay++; underWay > 1 {
			t.Error("more than one request is under way")
		}
		mu.Unlock()
		var body struct{ Messages []Message }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		mu.Lock()
		contents = append(contents, body.Messages[0].Content)
		if len(contents) == 1 {
			close(first)
		}
		mu.Unlock()
		<-release
		mu.Lock()
		underWay--
		mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"accepted":1}`)
	})
	manager.Init()
	conversation := []Message{prompt("0")}
	manager.Update("ses_1", conversation)
	<-first
	for i := range last {
		// It takes a copy: what the agent does to its messages afterwards changes nothing.
		conversation[0].Content = fmt.Sprint(i + 1)
		manager.Update("ses_1", conversation)
	}
	conversation[0].Content = "changed"
	close(release)
	if err := manager.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(contents, " "); got != "0 100" {
		t.Errorf("sent: %s", got)
	}
}

func TestAFailureThatGoesOnIsToldOnceAndTriedAgain(t *testing.T) {
	var told []string
	var tries atomic.Int32
	done := make(chan struct{})
	options := share.Options{OnError: func(sessionID string, err error) {
		told = append(told, sessionID+": "+err.Error())
	}}
	manager := fake(t, options, func(w http.ResponseWriter, _ *http.Request) {
		if tries.Add(1) < 3 {
			w.WriteHeader(http.StatusInsufficientStorage)
			io.WriteString(w, `{"error":{"code":"no_room","message":"the disk is full"}}`)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"accepted":1}`)
		close(done)
	})
	manager.Init()
	manager.Update("ses_1", []Message{prompt("Hello")})
	<-done
	if err := manager.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if want := "ses_1: share: the disk is full (no_room)"; len(told) != 1 || told[0] != want {
		t.Errorf("told: %q", told)
	}
}

func TestCloseTellsWhatIsLeft(t *testing.T) {
	told := make(chan error, 100)
	options := share.Options{LocalDir: t.TempDir(), OnError: func(_ string, err error) { told <- err }}
	manager := share.NewManager(options)
	manager.Update("ses_1", []Message{prompt("Hello")})
	manager.Update("ses_2", func() {})
	err := manager.Close(t.Context())
	if !errors.Is(err, share.ErrNoRelay) {
		t.Errorf("what is left: %v", err)
	}
	// A session that was not shared misses no relay.
	if err := <-told; errors.Is(err, share.ErrNoRelay) || len(told) > 0 {
		t.Errorf("told: %v and %d more", err, len(told))
	}
	if again := manager.Close(t.Context()); again == nil || again.Error() != err.Error() {
		t.Errorf("closed again: %v", again)
	}

	hangs := fake(t, share.Options{}, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then the server looks whether the client goes away
		<-r.Context().Done()
	})
	hangs.Update("ses_1", []Message{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := hangs.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a relay that says nothing: %v", err)
	}
}

const token = "7d5f1c1e-token"

// localDir is the directory of a relay that has been.
func localDir(t *testing.T) string {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), token)
	return dir
}

// fake is a Manager whose relay is a function.
func fake(t *testing.T, options share.Options, relay http.HandlerFunc) *share.Manager {
	server := httptest.NewServer(relay)
	t.Cleanup(server.Close)
	options.Relay, options.LocalDir = server.URL, localDir(t)
	return share.NewManager(options)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
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

// startBoth starts a share server and a relay.
func startBoth(t *testing.T) (server, relay *daemon) {
	server = startDaemon(t, "serve", "--data-dir")
	return server, startDaemon(t, "relay", "--api-url", server.url, "--interval", "50ms", "--max-backoff", "200ms",
		"--local-dir")
}

// startDaemon starts one on a free port; its last argument names the directory that it is given.
func startDaemon(t *testing.T, args ...string) *daemon {
	t.Helper()
	if os.Getenv("BRUTUS_SHARE_BIN") == "" {
		t.Skip("BRUTUS_SHARE_BIN names no program")
	}
	t.Setenv("BRUTUS_SHARE_RELAY", "")
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

// manager is a Manager that finds a relay by its directory.
func (d *daemon) manager(options share.Options) *share.Manager {
	options.LocalDir = d.dir
	return share.NewManager(options)
}

// eventuallyShows waits until a share's Markdown holds all texts, and gives it.
func eventuallyShows(t *testing.T, shared *share.Share, texts ...string) (markdown string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s shows %q", shared.URL, texts), func() bool {
		_, markdown = get(t, shared.URL+".md?full=1")
		for _, text := range texts {
			if !strings.Contains(markdown, text) {
				return false
			}
		}
		return true
	})
	return markdown
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
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
