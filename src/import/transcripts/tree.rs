//! The records of a session as a tree: who goes back to an earlier prompt begins a branch, and the last record says
//! which branch is the conversation.

use std::collections::HashMap;

use super::conversation::Conversation;
use super::text::{Fingerprint, fingerprint};

/// The records that are links of the chain, shown or not.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    ids: HashMap<Fingerprint, usize>,
    /// The last record of the path that was walked last.
    tip: Option<usize>,
    /// How many records there were then.
    settled: usize,
    /// In how many shown records each message stands.
    shown: HashMap<usize, usize>,
}

#[derive(Debug)]
struct Node {
    /// The record before it, which is always an earlier one: so there are no cycles.
    parent: Option<usize>,
    /// The messages that it adds to.
    messages: Vec<usize>,
    is_prompt: bool,
    is_on_path: bool,
    is_hidden: bool,
}

/// What a record says of the one before it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Parent<'a> {
    /// There is none: a conversation begins.
    None,
    /// Its id. When there is no such record, it is the one before in the file: else all before would be lost.
    Id(&'a str),
    /// The one before in the file.
    Before,
}

impl Tree {
    /// Adds a record; `None` when it is known already.
    pub(super) fn add(&mut self, id: &str, parent: Parent) -> Option<usize> {
        let node = self.nodes.len();
        let before = node.checked_sub(1);
        let parent = match parent {
            Parent::None => None,
            Parent::Before => before,
            Parent::Id(id) => self.find(id).or(before),
        };
        if self.ids.contains_key(&fingerprint(&[id])) {
            return None;
        }
        self.ids.insert(fingerprint(&[id]), node);
        self.nodes.push(Node {
            parent,
            messages: Vec::new(),
            is_prompt: false,
            is_on_path: false,
            is_hidden: false,
        });
        Some(node)
    }

    /// The record of an id.
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        self.ids.get(&fingerprint(&[id])).copied()
    }

    /// Says to which message a record adds, and whether it is a prompt, with which a branch may begin.
    pub(super) fn attach(&mut self, node: usize, message: usize, is_prompt: bool) {
        let node = &mut self.nodes[node];
        if !node.messages.contains(&message) {
            node.messages.push(message);
        }
        node.is_prompt |= is_prompt;
    }

    /// Walks from the last record back to the first, and hides the messages of the branches that were left.
    ///
    /// Off the path stand results of parallel calls, too, and what was typed while the agent worked; so a branch was
    /// left only when it begins with a prompt. The walk ends where it meets the path that was walked before.
    pub(super) fn settle(&mut self, conversation: &mut Conversation) {
        let Some(tip) = self.nodes.len().checked_sub(1) else { return };
        let (mut is_new_branch, mut at) = (false, Some(tip));
        while let Some(node) = at.filter(|node| !self.nodes[*node].is_on_path) {
            self.nodes[node].is_on_path = true;
            is_new_branch |=
                node < self.settled && (self.nodes[node].is_prompt || self.nodes[node].is_hidden);
            at = self.nodes[node].parent;
        }
        let fork = at;
        let mut at = self.tip.filter(|old| Some(*old) != fork);
        while let Some(node) = at.filter(|node| Some(*node) != fork) {
            self.nodes[node].is_on_path = false;
            is_new_branch |= self.nodes[node].is_prompt;
            at = self.nodes[node].parent;
        }
        self.tip = Some(tip);
        let first = if is_new_branch { 0 } else { self.settled };
        if is_new_branch {
            self.shown.clear();
        }
        let mut seen = Vec::new();
        for node in first..self.nodes.len() {
            let Node { parent, is_prompt, is_on_path, .. } = self.nodes[node];
            let is_hidden =
                !is_on_path && (is_prompt || parent.is_some_and(|parent| self.nodes[parent].is_hidden));
            self.nodes[node].is_hidden = is_hidden;
            for message in &self.nodes[node].messages {
                *self.shown.entry(*message).or_default() += usize::from(!is_hidden);
                seen.push(*message);
            }
        }
        for message in seen {
            conversation.hide(message, self.shown.get(&message).copied() == Some(0));
        }
        self.settled = self.nodes.len();
    }
}
