//! What different servers send for the same short reply: as a stream in `NAME.sse`, whole in
//! `NAME.json`.

use std::path::Path;

/// Servers with the text of the reply and its metadata, without the session's id.
pub(super) const SERVERS: [(&str, &str, &str); 13] = [
    (
        "openai",
        "Yes.",
        r#"{ "model": "gpt-4o-2024-08-06", "finishReason": "stop",
             "usage": { "inputTokens": 19, "outputTokens": 10 } }"#,
    ),
    // It begins without a choice and without a name, and a filter cuts the text.
    (
        "azure",
        "Yes.",
        r#"{ "model": "gpt-4o-2024-08-06", "finishReason": "content_filter", "truncated": true,
             "usage": { "inputTokens": 8, "outputTokens": 3 } }"#,
    ),
    // With comments, reasoning in two forms, and the cost.
    (
        "openrouter",
        "Yes.",
        r#"{ "thought": "Hm.", "model": "deepseek/deepseek-r1", "finishReason": "stop",
             "usage": { "inputTokens": 12, "outputTokens": 34 } }"#,
    ),
    // Its content is a list while it thinks.
    (
        "mistral",
        "Yes.",
        r#"{ "thought": "Hm.", "model": "magistral-medium-2509", "finishReason": "stop",
             "usage": { "inputTokens": 9, "outputTokens": 42 } }"#,
    ),
    // It also counts the tokens in its cache.
    (
        "deepseek",
        "Yes.",
        r#"{ "thought": "Hm.", "model": "deepseek-reasoner", "finishReason": "stop",
             "usage": { "inputTokens": 9, "outputTokens": 25 } }"#,
    ),
    (
        "ollama",
        "Yes.",
        r#"{ "thought": "Hm.", "model": "gpt-oss:20b", "finishReason": "stop",
             "usage": { "inputTokens": 72, "outputTokens": 30 } }"#,
    ),
    // With the usage so far in each event, and cut off at its limit.
    (
        "vllm",
        "Yes",
        r#"{ "thought": "Hm.", "model": "Qwen/Qwen3-8B", "finishReason": "length",
             "truncated": true, "usage": { "inputTokens": 11, "outputTokens": 5 } }"#,
    ),
    (
        "lmstudio",
        "Yes.",
        r#"{ "thought": "Hm.", "model": "qwen/qwen3-8b", "finishReason": "stop",
             "usage": { "inputTokens": 14, "outputTokens": 21 } }"#,
    ),
    // In front of Anthropic's API.
    (
        "litellm",
        "Yes.",
        r#"{ "thought": "Hm.", "model": "claude-sonnet-4-5", "finishReason": "stop",
             "usage": { "inputTokens": 21, "outputTokens": 18 } }"#,
    ),
    // It counts tokens in its timings, those of the cache apart.
    (
        "llamacpp",
        "Yes.",
        r#"{ "model": "gemma-3-270m-it-Q4_K_M.gguf", "finishReason": "stop",
             "usage": { "inputTokens": 10, "outputTokens": 3 } }"#,
    ),
    // It has the usage in a member of its own.
    (
        "groq",
        "Yes.",
        r#"{ "model": "llama-3.3-70b-versatile", "finishReason": "stop",
             "usage": { "inputTokens": 40, "outputTokens": 3 } }"#,
    ),
    // It has the usage in the choice.
    (
        "moonshot",
        "Yes.",
        r#"{ "thought": "Hm.", "model": "kimi-k2-thinking", "finishReason": "stop",
             "usage": { "inputTokens": 19, "outputTokens": 13 } }"#,
    ),
    // Its last event has the text and the reason.
    (
        "gemini",
        "Yes.",
        r#"{ "model": "gemini-2.5-flash", "finishReason": "stop",
             "usage": { "inputTokens": 7, "outputTokens": 2 } }"#,
    ),
];

/// Returns the body that a server sends; `form` is `sse` or `json`.
pub(super) fn body(server: &str, form: &str) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents/streams");
    std::fs::read_to_string(directory.join(server).with_extension(form)).unwrap()
}
