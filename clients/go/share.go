// Package share shares the sessions of a coding agent through the brutus-share relay on the same machine.
//
// A [Manager] is all there is. The agent hands it a session's conversation, as the slice of messages that it keeps
// anyway, and gets a link:
//
//	manager := share.NewManager(share.Options{})
//	shared, err := manager.Create(ctx, sessionID, conversation)
//
// After that each change is one call that never waits, [Manager.Update]. The relay keeps the secrets, finds out what is
// new, and sends it; what it has taken arrives, whatever happens to the network or to the relay.
//
// Messages are encoded by encoding/json as they are. The relay knows the shapes of OpenAI, Anthropic and Gemini, and
// the fields Role, Content, ToolCalls (ID, Name, Input) and ToolResults (ID, Content, IsError) without tags. A session
// is any string of 1 to 256 characters, by which the agent tells its sessions apart.
package share

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	defaultRelay = "127.0.0.1:8091"
	// maxAnswer is the longest answer of a relay that is read, in bytes. A list of shares is the longest.
	maxAnswer = 16 << 20
	// sendTimeout is how long one conversation may take to reach the relay in the background.
	sendTimeout = 30 * time.Second
	// minRetry and maxRetry are the first and the longest pause before what could not be sent is sent again.
	minRetry = 250 * time.Millisecond
	maxRetry = 30 * time.Second
)

var (
	// ErrNoRelay says that no relay answers, or that none has ever run here.
	ErrNoRelay = errors.New("no relay answers: start one with `brutus-share relay`")
	// ErrNotShared says that the session is not shared.
	ErrNotShared = errors.New("the session is not shared")
	// ErrUnknownSession says that the relay knows nothing of a session that was to be shared without a conversation.
	ErrUnknownSession = errors.New("the relay does not know the session")
	// ErrRemoving says that an unshare holds, nothing more of the session is sent, and the share server has not
	// confirmed yet that the share is gone. The relay asks it until it has.
	ErrRemoving = errors.New("the share server has not confirmed yet that the share is deleted")
)

var errNotTheRelay = errors.New("what answers there is something else")

// Error is a refusal by the relay. Those that a program acts upon are also ErrNotShared or ErrUnknownSession. With the
// status 202 it is a refusal of some messages or events alone: the others were taken.
type Error struct {
	Status  int    // HTTP status
	Code    string // what programs match on, such as "server_unreachable"
	Message string // what was wrong and what is expected, for people; one line
}

func (e *Error) Error() string {
	return fmt.Sprintf("share: %s (%s)", e.Message, e.Code)
}

// Is tells which of this package's errors a refusal is.
func (e *Error) Is(target error) bool {
	return target == ErrNotShared && e.Code == "not_shared" ||
		target == ErrUnknownSession && e.Code == "unknown_session"
}

// Share is a shared session. All but the first four fields are known from [Manager.List] alone.
type Share struct {
	ID        string
	SessionID string
	URL       string // whoever has it can watch the session
	CreatedAt time.Time

	ExpiresAt time.Time // zero when the share does not end by itself
	Server    string    // the share server that made it
	State     string    // "active", "retrying", "paused", "ended" or "removing"
	Pending   int       // items that wait to be sent
	SetAside  int       // items that the share server refused for good
	LastSync  time.Time // when something last arrived; zero before
	LastError string    // why the last try failed
}

// State says what an agent is doing.
type State string

// What an agent may be doing. A last answer counts as finished when the agent is Idle or Gone.
const (
	Busy    State = "busy"
	Idle    State = "idle"
	Waiting State = "waiting" // for its user's permission or answer
	Gone    State = "gone"
)

// Conversation is a list of messages with what else is known of its session. It may stand wherever messages are asked
// for; all fields but Messages may be empty.
type Conversation struct {
	Messages  any    `json:"messages"`
	Title     string `json:"title,omitempty"` // by default the first prompt
	Directory string `json:"directory,omitempty"`
	Agent     string `json:"agent,omitempty"` // the agent's name
	Model     string `json:"model,omitempty"`
	Status    State  `json:"status,omitempty"`
}

// Options say where the relay is. The zero value finds it as the brutus-share program does.
type Options struct {
	// Relay is `http://ADDRESS:PORT` or `unix:PATH`. By default it is $BRUTUS_SHARE_RELAY, else what a running relay
	// has written into LocalDir, else http://127.0.0.1:8091. The token is given to this machine alone.
	Relay string
	// LocalDir is the relay's directory, where its token stands: by default $BRUTUS_SHARE_LOCAL_DIR, else
	// brutus-share/relay in the user's state directory.
	LocalDir string
	// OnError is told what [Manager.Update] could not send; a failure that goes on is told once. That no relay answers
	// is told of sessions that this Manager has shared: others miss nothing. It is called from another goroutine, and
	// nothing is sent until it returns.
	OnError func(sessionID string, err error)
}

// Manager shares sessions. All of its methods may be called at the same time. It keeps no connection open, and looks
// for the relay anew at each call, so that neither has to be started first.
type Manager struct {
	options Options

	start   sync.Once
	stop    sync.Once
	wake    chan struct{} // holds a value when something is pending
	closing chan struct{} // closed by Close
	stopped chan struct{} // closed when the sender has ended
	ctx     context.Context
	cancel  context.CancelFunc
	left    error // what the sender could not send before it ended; read after stopped

	mu      sync.Mutex
	pending map[string]update // the newest conversation of each session that is not with the relay
	shared  map[string]bool   // what this Manager has shared
	told    map[string]string // what OnError was last told of a session
}

// NewManager makes a Manager. It does not need a relay yet.
func NewManager(options Options) *Manager {
	ctx, cancel := context.WithCancel(context.Background())
	return &Manager{
		options: options,
		wake:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
		ctx:     ctx,
		cancel:  cancel,
		pending: make(map[string]update),
		shared:  make(map[string]bool),
		told:    make(map[string]string),
	}
}

// Create shares a session with its conversation so far, and gives the link. A session that is shared already keeps its
// link, and is brought up to date. With nil for messages the relay shares what it knows of the session, and answers
// ErrUnknownSession when that is nothing; an empty slice is a session that has not begun.
func (m *Manager) Create(ctx context.Context, sessionID string, messages any) (*Share, error) {
	body := []byte("{}")
	if messages != nil {
		conversation, err := encode(messages)
		if err != nil {
			return nil, err
		}
		whole := struct {
			Conversation
			Empty bool `json:"empty"`
		}{conversation, true}
		if body, err = json.Marshal(whole); err != nil {
			return nil, fmt.Errorf("share: %w", err)
		}
	}
	var created listed
	if _, err := m.ask(ctx, http.MethodPost, session(sessionID, "share"), body, &created); err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.shared[sessionID] = true
	m.mu.Unlock()

	shared := created.share()
	shared.SessionID = sessionID
	// When it was made is in the list. The link counts more: it is given in any case.
	if shares, err := m.List(ctx); err == nil {
		for _, known := range shares {
			if known.ID == shared.ID {
				shared = known
			}
		}
	}
	return &shared, nil
}

// Remove takes a session's share away, with all that is on its server. ErrRemoving says that the server has not
// confirmed it yet, ErrNotShared that there is no share.
func (m *Manager) Remove(ctx context.Context, sessionID string) error {
	status, err := m.ask(ctx, http.MethodDelete, session(sessionID, "share"), nil, nil)
	if err != nil {
		return err
	}
	m.mu.Lock()
	delete(m.shared, sessionID)
	m.mu.Unlock()
	if status == http.StatusAccepted {
		return fmt.Errorf("share: %w", ErrRemoving)
	}
	return nil
}

// Messages gives the relay a session's whole conversation. What it has already changes nothing, and what was missed
// comes along. When this returns without an error, what is new of a shared session is safe on the disk. Of a session
// that is not shared the relay keeps the last conversation in memory, so that it can be shared from elsewhere.
func (m *Manager) Messages(ctx context.Context, sessionID string, messages any) error {
	return m.messages(ctx, http.MethodPost, sessionID, messages)
}

// Replace is Messages for a conversation that was rewritten: what is not in it any more is removed from the share.
func (m *Manager) Replace(ctx context.Context, sessionID string, messages any) error {
	return m.messages(ctx, http.MethodPut, sessionID, messages)
}

func (m *Manager) messages(ctx context.Context, method, sessionID string, messages any) error {
	conversation, err := encode(messages)
	if err != nil {
		return err
	}
	return m.send(ctx, method, sessionID, conversation)
}

func (m *Manager) send(ctx context.Context, method, sessionID string, conversation Conversation) error {
	return m.give(ctx, method, session(sessionID, "messages"), conversation)
}

// give gives the relay a list of which it takes what it can read.
func (m *Manager) give(ctx context.Context, method, path string, list any) error {
	body, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("share: %w", err)
	}
	var taken struct {
		Bad []struct {
			Index   int
			Message string
		}
	}
	status, err := m.ask(ctx, method, path, body, &taken)
	if err != nil || len(taken.Bad) == 0 {
		return err
	}
	first := taken.Bad[0]
	return &Error{
		Status:  status,
		Code:    "malformed",
		Message: fmt.Sprintf("%d are not shared, the first at [%d]: %s", len(taken.Bad), first.Index, plain(first.Message)),
	}
}

// Status says what the agent is doing; label, which may be empty, says it in words.
func (m *Manager) Status(ctx context.Context, sessionID string, state State, label string) error {
	body, err := json.Marshal(struct {
		State State  `json:"state"`
		Label string `json:"label,omitempty"`
	}{state, label})
	if err != nil {
		return fmt.Errorf("share: %w", err)
	}
	_, err = m.ask(ctx, http.MethodPost, session(sessionID, "status"), body, nil)
	return err
}

// Report passes on events of an agent's bus: one event or a slice of them, as the relay's documentation has them. An
// agent that has its conversations at hand does not need it.
func (m *Manager) Report(ctx context.Context, events any) error {
	return m.give(ctx, http.MethodPost, "/v1/events", events)
}

// Flush returns when all that the relay has of a session is on the share server.
func (m *Manager) Flush(ctx context.Context, sessionID string) error {
	_, err := m.ask(ctx, http.MethodPost, session(sessionID, "flush"), nil, nil)
	return err
}

// List gives all shares that the relay knows, those of other agents too.
func (m *Manager) List(ctx context.Context) ([]Share, error) {
	var answer []listed
	if _, err := m.ask(ctx, http.MethodGet, "/v1/shares", nil, &answer); err != nil {
		return nil, err
	}
	shares := make([]Share, len(answer))
	for i, share := range answer {
		shares[i] = share.share()
	}
	return shares, nil
}

// Init starts to send what [Manager.Update] is given. Calling it again does nothing.
func (m *Manager) Init() {
	m.start.Do(func() { go m.run() })
}

// Update gives the relay a session's conversation in the background, and is what an agent calls after each message. It
// takes a copy, and waits for nobody. While one conversation is under way, the newest of each session waits for its
// turn; when the relay is away it is tried again. Before Init it only waits; after Close it does nothing.
func (m *Manager) Update(sessionID string, messages any) {
	conversation, err := encode(messages)
	m.mu.Lock()
	m.pending[sessionID] = update{conversation, err}
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// update is what Update was given: a conversation, or why it is none.
type update struct {
	conversation Conversation
	err          error
}

// Close sends what waits, each conversation once more, and ends what Init began. It gives the reasons why something
// could not be sent, and gives up when ctx does.
func (m *Manager) Close(ctx context.Context) error {
	m.Init()
	defer context.AfterFunc(ctx, m.cancel)()
	m.stop.Do(func() { close(m.closing) })
	<-m.stopped
	m.cancel()
	return m.left
}

// run sends until Close: at once when something new comes, and what failed again after a pause.
func (m *Manager) run() {
	defer close(m.stopped)
	var retry <-chan time.Time
	pause := minRetry
	for {
		select {
		case <-m.wake:
		case <-retry:
		case <-m.closing:
			m.left = m.sendPending()
			return
		}
		if m.sendPending() == nil {
			retry, pause = nil, minRetry
		} else {
			retry, pause = time.After(pause), min(2*pause, maxRetry)
		}
	}
}

// sendPending sends what waits, one after the other. What the relay cannot take just now waits again, unless something
// newer does.
func (m *Manager) sendPending() error {
	m.mu.Lock()
	batch := m.pending
	m.pending = make(map[string]update)
	m.mu.Unlock()

	var failures []error
	for sessionID, update := range batch {
		err := update.err
		if err == nil {
			ctx, cancel := context.WithTimeout(m.ctx, sendTimeout)
			err = m.send(ctx, http.MethodPost, sessionID, update.conversation)
			cancel()
		}
		m.tell(sessionID, err)
		if err == nil {
			continue
		}
		failures = append(failures, err)
		m.mu.Lock()
		if _, newer := m.pending[sessionID]; !newer && temporary(err) {
			m.pending[sessionID] = update
		}
		m.mu.Unlock()
	}
	return errors.Join(failures...)
}

// temporary tells whether the same request may succeed later. One that Close broke off is tried once more, and then is
// what is left.
func temporary(err error) bool {
	var refusal *Error
	return errors.Is(err, ErrNoRelay) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.As(err, &refusal) && refusal.Status >= http.StatusInternalServerError
}

// tell tells the agent of a failure, unless it was told of it already or misses nothing.
func (m *Manager) tell(sessionID string, err error) {
	m.mu.Lock()
	if err == nil {
		delete(m.told, sessionID)
	}
	quiet := err == nil || m.told[sessionID] == err.Error() || errors.Is(err, ErrNoRelay) && !m.shared[sessionID]
	if !quiet {
		m.told[sessionID] = err.Error()
	}
	m.mu.Unlock()
	if !quiet && m.options.OnError != nil {
		m.options.OnError(sessionID, err)
	}
}

// encode takes a copy of messages: a Conversation whose messages are JSON.
func encode(messages any) (Conversation, error) {
	var conversation Conversation
	switch given := messages.(type) {
	case Conversation:
		conversation = given
	case *Conversation:
		conversation = *given
	default:
		conversation.Messages = given
	}
	list, err := json.Marshal(conversation.Messages)
	var broken *json.MarshalerError
	if errors.As(err, &broken) {
		list, err = json.Marshal(mend(reflect.ValueOf(conversation.Messages), 0).Interface())
	}
	if err != nil {
		return conversation, fmt.Errorf("share: the messages are not JSON: %w", err)
	}
	if string(list) == "null" {
		list = []byte("[]")
	}
	conversation.Messages = json.RawMessage(list)
	return conversation, nil
}

var rawMessage = reflect.TypeFor[json.RawMessage]()

// mend copies a value, and puts text in the place of raw JSON that is none: models leave the arguments of a tool empty
// or cut them off, and agents keep them as they came. It stops where no message is so deep: a value may contain itself.
func mend(value reflect.Value, depth int) reflect.Value {
	if !value.IsValid() || depth > 64 {
		return value
	}
	if value.Type() == rawMessage {
		raw := value.Bytes()
		switch {
		case json.Valid(raw) || raw == nil:
			return value
		case len(bytes.TrimSpace(raw)) == 0:
			return reflect.ValueOf(json.RawMessage("{}"))
		}
		text, _ := json.Marshal(string(raw)) // a string always is JSON
		return reflect.ValueOf(json.RawMessage(text))
	}
	mended := reflect.New(value.Type()).Elem()
	mended.Set(value)
	switch value.Kind() {
	case reflect.Interface:
		if !value.IsNil() {
			mended.Set(mend(value.Elem(), depth+1))
		}
	case reflect.Pointer:
		if !value.IsNil() {
			mended.Set(reflect.New(value.Type().Elem()))
			mended.Elem().Set(mend(value.Elem(), depth+1))
		}
	case reflect.Struct:
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				mended.Field(i).Set(mend(value.Field(i), depth+1))
			}
		}
	case reflect.Slice:
		if value.IsNil() || value.Type().Elem().Kind() == reflect.Uint8 {
			break
		}
		mended.Set(reflect.MakeSlice(value.Type(), value.Len(), value.Len()))
		fallthrough
	case reflect.Array:
		for i := range value.Len() {
			mended.Index(i).Set(mend(value.Index(i), depth+1))
		}
	case reflect.Map:
		if !value.IsNil() {
			mended.Set(reflect.MakeMapWithSize(value.Type(), value.Len()))
			for entry := value.MapRange(); entry.Next(); {
				mended.SetMapIndex(entry.Key(), mend(entry.Value(), depth+1))
			}
		}
	}
	return mended
}

// listed is a share as the relay writes it, with times in milliseconds since 1970.
type listed struct {
	ID        string `json:"id"`
	SessionID string `json:"sessionID"`
	URL       string `json:"url"`
	CreatedAt int64  `json:"createdAt"`
	ExpiresAt int64  `json:"expiresAt"`
	Server    string `json:"server"`
	State     string `json:"state"`
	Pending   int    `json:"pending"`
	SetAside  int    `json:"setAside"`
	LastSync  int64  `json:"lastSync"`
	LastError string `json:"lastError"`
}

func (l listed) share() Share {
	at := func(ms int64) time.Time {
		if ms == 0 {
			return time.Time{}
		}
		return time.UnixMilli(ms)
	}
	return Share{
		ID: plain(l.ID), SessionID: l.SessionID, URL: plain(l.URL), CreatedAt: at(l.CreatedAt),
		ExpiresAt: at(l.ExpiresAt), Server: plain(l.Server), State: plain(l.State), Pending: l.Pending,
		SetAside: l.SetAside, LastSync: at(l.LastSync), LastError: plain(l.LastError),
	}
}

func session(id, what string) string {
	return "/v1/sessions/" + url.PathEscape(id) + "/" + what
}

// ask sends a request to the relay, reads the answer into answer unless that is nil, and gives its status.
func (m *Manager) ask(ctx context.Context, method, path string, body []byte, answer any) (int, error) {
	network, address, token, err := m.relay()
	if err != nil {
		return 0, err
	}
	noRelay := func(reason error) error {
		if ctx.Err() != nil {
			return fmt.Errorf("share: %w", ctx.Err())
		}
		return fmt.Errorf("share: %w (at %s: %w)", ErrNoRelay, address, reason)
	}
	// The relay lets in who calls it by a name of this machine; where it really is, the dialer knows.
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("share: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{
		// No proxy, and no connection that is kept: one to a relay that has been restarted meanwhile would be dead.
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			},
			DisableKeepAlives: true,
		},
		// The relay sends nobody elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err
		}
		return 0, noRelay(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, noRelay(err)
	case len(text) > maxAnswer:
		return 0, fmt.Errorf("share: the relay's answer is longer than %d bytes", maxAnswer)
	case response.StatusCode == http.StatusOK || response.StatusCode == http.StatusAccepted:
		if answer == nil {
			answer = &struct{}{}
		}
		if err := json.Unmarshal(text, answer); err != nil {
			return 0, noRelay(errNotTheRelay)
		}
		return response.StatusCode, nil
	}
	var refused struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(text, &refused) != nil || refused.Error.Code == "" {
		return 0, noRelay(errNotTheRelay)
	}
	return 0, &Error{
		Status:  response.StatusCode,
		Code:    plain(refused.Error.Code),
		Message: plain(refused.Error.Message),
	}
}

// relay finds the relay: the network and the address that a dialer needs, and the token that it asks for.
func (m *Manager) relay() (network, address, token string, err error) {
	dir := cmp.Or(m.options.LocalDir, os.Getenv("BRUTUS_SHARE_LOCAL_DIR"))
	if dir == "" {
		if dir, err = stateDir(); err != nil {
			return "", "", "", fmt.Errorf("share: no directory for the relay's token is known: %w", err)
		}
	}
	where := cmp.Or(m.options.Relay, os.Getenv("BRUTUS_SHARE_RELAY"), announced(dir), defaultRelay)
	if network, address, err = parseRelay(where); err != nil {
		return "", "", "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, "token"))
	if errors.Is(err, os.ErrNotExist) {
		return "", "", "", fmt.Errorf("share: %w (none has run yet: %w)", ErrNoRelay, err)
	}
	if err != nil {
		return "", "", "", fmt.Errorf("share: the relay's token: %w", err)
	}
	token = strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", "", "", fmt.Errorf("share: there is no token in %s", filepath.Join(dir, "token"))
	}
	return network, address, token, nil
}

// announced is where the relay of a directory says that it listens; empty when it does not say.
func announced(dir string) string {
	var relay struct{ Address string }
	text, err := os.ReadFile(filepath.Join(dir, "relay.json"))
	if err != nil || json.Unmarshal(text, &relay) != nil {
		return ""
	}
	return relay.Address
}

// parseRelay reads where a relay is. The token opens all shares, so another machine is none.
func parseRelay(where string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(where, "unix:"); ok && path != "" {
		return "unix", path, nil
	}
	address = strings.TrimSuffix(strings.TrimPrefix(where, "http://"), "/")
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return "", "", fmt.Errorf("share: the relay is http://ADDRESS:PORT or unix:PATH, not %q", where)
	}
	if ip := net.ParseIP(host); !strings.EqualFold(host, "localhost") && (ip == nil || !ip.IsLoopback()) {
		return "", "", fmt.Errorf("share: a relay is on this machine alone, and %q is not", where)
	}
	return "tcp", address, nil
}

// stateDir is where a relay keeps its state by default, by the XDG rules: a relative path in the environment does not
// count.
func stateDir() (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "brutus-share", "relay"), nil
}

// plain is a relay's text as one line for a terminal: a space in the place of each control character, of line and
// paragraph separators, of marks that turn the direction of writing (Unicode UAX #9), and of invisible tags.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(hidden, r) {
			return ' '
		}
		return r
	}, text)
}

var hidden = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x061c, Hi: 0x061c, Stride: 1},
		{Lo: 0x200e, Hi: 0x200f, Stride: 1},
		{Lo: 0x2028, Hi: 0x202e, Stride: 1},
		{Lo: 0x2066, Hi: 0x2069, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0xe0000, Hi: 0xe007f, Stride: 1}},
}
