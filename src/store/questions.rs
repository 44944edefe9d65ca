//! Questions for heads: all that gather while one is under way are the next.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::records::Head;

/// Questions that wait for the one that is under way.
const QUESTIONS: usize = 4096;

/// What knows the heads of shares.
pub(super) trait Heads {
    /// The heads of some shares, but for those that are deleted.
    async fn heads(&self, nums: &[i64]) -> Result<HashMap<i64, Head>, StoreError>;
}

/// Where questions are asked.
#[derive(Clone)]
pub(super) struct Questions(mpsc::Sender<Question>);

/// What has been asked.
pub(super) struct Asked(mpsc::Receiver<Question>);

/// Which heads somebody asks for.
struct Question {
    nums: Vec<i64>,
    done: oneshot::Sender<Result<HashMap<i64, Head>, StoreError>>,
}

impl Questions {
    /// Where questions are asked, and what has to be run to have them answered.
    pub(super) fn new() -> (Self, Asked) {
        let (sender, asked) = mpsc::channel(QUESTIONS);
        (Self(sender), Asked(asked))
    }

    /// The heads of some shares, but for those that are deleted.
    pub(super) async fn ask(&self, nums: Vec<i64>) -> Result<HashMap<i64, Head>, StoreError> {
        let (done, answer) = oneshot::channel();
        self.0.try_send(Question { nums, done }).map_err(|_| StoreError::Busy)?;
        answer.await.unwrap_or(Err(StoreError::Unavailable))
    }
}

impl Asked {
    /// Answers all who ask for heads while one question is under way by the next.
    pub(super) async fn answer(mut self, database: impl Heads) {
        let mut asked = Vec::new();
        while self.0.recv_many(&mut asked, QUESTIONS).await > 0 {
            let mut nums: Vec<i64> = asked.iter().flat_map(|question| &question.nums).copied().collect();
            nums.sort_unstable();
            nums.dedup();
            let heads = database.heads(&nums).await;
            for Question { nums, done } in asked.drain(..) {
                let of = |heads: &HashMap<i64, Head>| {
                    nums.iter().filter_map(|num| heads.get(num).map(|head| (*num, *head))).collect()
                };
                // Who asked may have gone.
                let _ = done.send(heads.as_ref().map(of).map_err(|error| *error));
            }
        }
    }
}
