//! What an answer used, as providers count it.

use serde_json::{Map, Value, json};

/// Tokens, each counted once, and what they cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Usage {
    /// Read, but for those out of a cache.
    input: u64,
    /// Written, but for those of reasoning.
    output: u64,
    reasoning: u64,
    cache_read: u64,
    cache_write: u64,
    /// In dollars.
    pub(super) cost: Option<f64>,
}

impl Usage {
    /// What a message says of it: beside the message, or where its provider says so.
    pub(super) fn of(message: &Map<String, Value>) -> Option<Self> {
        let usage =
            ["usage", "Usage", "usageMetadata", "usage_metadata"].iter().find_map(|name| message.get(*name));
        let cost = ["cost", "total_cost"].iter().find_map(|name| {
            usage.and_then(|usage| usage[*name].as_f64()).or_else(|| message.get(*name)?.as_f64())
        });
        let Some(usage) = usage.filter(|usage| usage.is_object()) else {
            return cost.map(|cost| Self { cost: Some(cost), ..Self::default() });
        };
        let count =
            |paths: &[&str]| paths.iter().find_map(|path| usage.pointer(path)?.as_u64()).unwrap_or_default();
        let input =
            count(&["/prompt_tokens", "/input_tokens", "/promptTokenCount", "/inputTokens", "/input"]);
        let output = count(&[
            "/completion_tokens",
            "/output_tokens",
            "/candidatesTokenCount",
            "/outputTokens",
            "/output",
        ]);
        // Anthropic counts what comes out of its cache beside the rest; the others count it in.
        let beside = count(&["/cache_read_input_tokens", "/cacheRead", "/cache/read"]);
        let within = count(&[
            "/prompt_tokens_details/cached_tokens",
            "/input_tokens_details/cached_tokens",
            "/cachedContentTokenCount",
            "/cachedInputTokens",
        ]);
        let reasoning = count(&[
            "/completion_tokens_details/reasoning_tokens",
            "/output_tokens_details/reasoning_tokens",
            "/reasoningTokens",
        ]);
        // Gemini counts thoughts beside the answer.
        let thoughts = count(&["/thoughtsTokenCount", "/reasoning"]);
        Some(Self {
            input: input.saturating_sub(within),
            output: output.saturating_sub(reasoning),
            reasoning: reasoning + thoughts,
            cache_read: beside + within,
            cache_write: count(&["/cache_creation_input_tokens", "/cacheWrite", "/cache/write"]),
            cost,
        })
    }

    /// As a message has it.
    pub(super) fn tokens(&self) -> Value {
        json!({
            "input": self.input,
            "output": self.output,
            "reasoning": self.reasoning,
            "cache": {"read": self.cache_read, "write": self.cache_write},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_counted_once() {
        for (usage, tokens) in [
            (
                json!({"prompt_tokens": 100, "completion_tokens": 30, "prompt_tokens_details": {"cached_tokens": 60},
                    "completion_tokens_details": {"reasoning_tokens": 10}}),
                [40, 20, 10, 60, 0],
            ),
            (
                json!({"input_tokens": 100, "output_tokens": 30, "input_tokens_details": {"cached_tokens": 60},
                    "output_tokens_details": {"reasoning_tokens": 10}}),
                [40, 20, 10, 60, 0],
            ),
            (
                json!({"input_tokens": 40, "output_tokens": 30, "cache_read_input_tokens": 60,
                    "cache_creation_input_tokens": 7}),
                [40, 30, 0, 60, 7],
            ),
            (
                json!({"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 10,
                    "cachedContentTokenCount": 60}),
                [40, 20, 10, 60, 0],
            ),
            (json!({"input_tokens": -1, "output_tokens": "7"}), [0, 0, 0, 0, 0]),
        ] {
            let message = json!({"usage": usage});
            let [input, output, reasoning, read, write] = tokens;
            let expected = json!({"input": input, "output": output, "reasoning": reasoning,
                "cache": {"read": read, "write": write}});
            assert_eq!(Usage::of(message.as_object().unwrap()).unwrap().tokens(), expected, "{message}");
        }
        let cost = |message: Value| Usage::of(message.as_object().unwrap()).and_then(|usage| usage.cost);
        assert_eq!(cost(json!({"usage": {"cost": 0.5}})), Some(0.5));
        assert_eq!(cost(json!({"cost": 0.25})), Some(0.25));
        assert_eq!(cost(json!({"usage": 7})), None);
    }
}
