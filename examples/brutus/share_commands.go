package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"

	share "github.com/jperrello/brutus-share/clients/go"
)

// This file is what an agent like BRUTUS needs for `/share`, `/unshare` and a `share_session` tool. Its conversation
// is a field of the agent, and its loop calls changed after each message.

// initSharing begins a session that can be shared.
func (a *Agent) initSharing() {
	a.sessionID = "ses_" + rand.Text()
	a.shares = share.NewManager(share.Options{OnError: func(_ string, err error) { a.say("%v", err) }})
	a.shares.Init()
	a.tools = append(a.tools, Tool{
		Name:        "share_session",
		Description: "Create a link by which anybody who has it can watch this session, and give it to the user.",
		Run:         func(json.RawMessage) (string, error) { return a.shareSession(share.Busy) },
	})
}

// changed is called after each message, and with Gone at the end. It waits for nothing.
func (a *Agent) changed(state share.State) {
	a.shares.Update(a.sessionID, a.shareable(state))
}

func (a *Agent) shareable(state share.State) share.Conversation {
	return share.Conversation{Messages: a.conversation, Directory: a.dir, Agent: "BRUTUS", Status: state}
}

func (a *Agent) shareSession(state share.State) (string, error) {
	shared, err := a.shares.Create(context.Background(), a.sessionID, a.shareable(state))
	if err != nil {
		return "", err
	}
	return "Session shared: " + shared.URL, nil
}

func (a *Agent) unshareSession() (string, error) {
	err := a.shares.Remove(context.Background(), a.sessionID)
	if errors.Is(err, share.ErrRemoving) {
		return "Nothing more is sent. The share server has NOT confirmed yet that the share is gone.", nil
	}
	return "Session unshared", err
}
