//! What different servers send for the same short reply.

/// Servers by name, with the data of their events, their text, and the metadata that is stored.
pub(super) const SERVERS: [(&str, &[&str], &str, &str); 8] = [
    (
        "llama.cpp",
        &[
            r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"created":1764400000,"id":"chatcmpl-x","model":"gemma-3-270m-it-Q4_K_M.gguf","system_fingerprint":"b7000-x","object":"chat.completion.chunk"}"#,
            r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Yes."}}],"created":1764400000,"id":"chatcmpl-x","model":"gemma-3-270m-it-Q4_K_M.gguf","object":"chat.completion.chunk"}"#,
            r#"{"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"created":1764400000,"id":"chatcmpl-x","model":"gemma-3-270m-it-Q4_K_M.gguf","object":"chat.completion.chunk","timings":{"cache_n":0,"prompt_n":10,"predicted_per_second":1e2}}"#,
            "[DONE]",
        ],
        "Yes.",
        r#"{ "model": "gemma-3-270m-it-Q4_K_M.gguf", "finishReason": "stop" }"#,
    ),
    (
        "OpenAI, with usage at the end",
        &[
            r#"{"id":"chatcmpl-x","object":"chat.completion.chunk","created":1764400000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_x","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x"}"#,
            r#"{"id":"chatcmpl-x","object":"chat.completion.chunk","created":1764400000,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{"content":"Yes."},"logprobs":null,"finish_reason":null}],"usage":null}"#,
            r#"{"id":"chatcmpl-x","object":"chat.completion.chunk","created":1764400000,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"#,
            r#"{"id":"chatcmpl-x","object":"chat.completion.chunk","created":1764400000,"model":"gpt-4o-2024-08-06","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#,
            "[DONE]",
        ],
        "Yes.",
        r#"{ "model": "gpt-4o-2024-08-06", "finishReason": "stop" }"#,
    ),
    (
        "Azure, which begins without a choice and without a name",
        &[
            r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}"#,
            r#"{"choices":[{"content_filter_results":{},"delta":{"content":"","refusal":null,"role":"assistant"},"finish_reason":null,"index":0,"logprobs":null}],"created":1764400000,"id":"chatcmpl-x","model":"gpt-4o-2024-08-06","object":"chat.completion.chunk","system_fingerprint":"fp_x"}"#,
            r#"{"choices":[{"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}},"delta":{"content":"Yes."},"finish_reason":null,"index":0,"logprobs":null}],"created":1764400000,"id":"chatcmpl-x","model":"gpt-4o-2024-08-06","object":"chat.completion.chunk"}"#,
            r#"{"choices":[{"content_filter_offsets":{"check_offset":1,"start_offset":1,"end_offset":2},"content_filter_results":{},"delta":{},"finish_reason":"content_filter","index":0}],"created":0,"id":"","model":"","object":""}"#,
            "[DONE]",
        ],
        "Yes.",
        r#"{ "model": "gpt-4o-2024-08-06", "finishReason": "content_filter", "truncated": true }"#,
    ),
    (
        "vLLM, cut off at its limit",
        &[
            r#"{"id":"chatcmpl-x","object":"chat.completion.chunk","created":1764400000,"model":"Qwen/Qwen3-8B","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null}"#,
            r#"{"id":"chatcmpl-x","object":"chat.completion.chunk","created":1764400000,"model":"Qwen/Qwen3-8B","choices":[{"index":0,"delta":{"reasoning":"Hm.","reasoning_content":"Hm."},"logprobs":null,"finish_reason":null,"token_ids":null}]}"#,
            r#"{"id":"chatcmpl-x","object":"chat.completion.chunk","created":1764400000,"model":"Qwen/Qwen3-8B","choices":[{"index":0,"delta":{"content":"\n\nYes"},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}]}"#,
            "[DONE]",
        ],
        "Yes",
        r#"{ "thought": "Hm.", "model": "Qwen/Qwen3-8B", "finishReason": "length", "truncated": true }"#,
    ),
    (
        "Ollama",
        &[
            r#"{"id":"chatcmpl-x","object":"chat.completion.chunk","created":1764400000,"model":"gpt-oss:20b","system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"Hm"},"finish_reason":null}]}"#,
            r#"{"id":"chatcmpl-x","object":"chat.completion.chunk","created":1764400000,"model":"gpt-oss:20b","system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":"Yes."},"finish_reason":null}]}"#,
            r#"{"id":"chatcmpl-x","object":"chat.completion.chunk","created":1764400000,"model":"gpt-oss:20b","system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#,
            "[DONE]",
        ],
        "Yes.",
        r#"{ "thought": "Hm", "model": "gpt-oss:20b", "finishReason": "stop" }"#,
    ),
    (
        "Mistral, whose content is a list while it thinks",
        &[
            r#"{"id":"x","object":"chat.completion.chunk","created":1764400000,"model":"magistral-medium-2509","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","created":1764400000,"model":"magistral-medium-2509","choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"H"}]}]},"finish_reason":null}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","created":1764400000,"model":"magistral-medium-2509","choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"m."}],"closed":true}]},"finish_reason":null}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","created":1764400000,"model":"magistral-medium-2509","choices":[{"index":0,"delta":{"content":[]},"finish_reason":null}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","created":1764400000,"model":"magistral-medium-2509","choices":[{"index":0,"delta":{"content":[{"type":"text","text":"Y"},{"type":"reference","reference_ids":[1]},{"type":"text","text":"es"},7,null]},"finish_reason":null}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","created":1764400000,"model":"magistral-medium-2509","choices":[{"index":0,"delta":{"content":"."},"finish_reason":"model_length"}],"usage":{"prompt_tokens":9,"total_tokens":11,"completion_tokens":2}}"#,
            "[DONE]",
        ],
        "Yes.",
        r#"{ "thought": "Hm.", "model": "magistral-medium-2509", "finishReason": "model_length", "truncated": true }"#,
    ),
    (
        "DeepSeek",
        &[
            r#"{"id":"x","object":"chat.completion.chunk","created":1764400000,"model":"deepseek-reasoner","system_fingerprint":"fp_x","choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":""},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","created":1764400000,"model":"deepseek-reasoner","choices":[{"index":0,"delta":{"content":null,"reasoning_content":"Hm."},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","created":1764400000,"model":"deepseek-reasoner","choices":[{"index":0,"delta":{"content":"Yes.","reasoning_content":null},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","created":1764400000,"model":"deepseek-reasoner","choices":[{"index":0,"delta":{"content":"","reasoning_content":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9}}"#,
            "[DONE]",
        ],
        "Yes.",
        r#"{ "thought": "Hm.", "model": "deepseek-reasoner", "finishReason": "stop" }"#,
    ),
    (
        "Gemini's endpoint for this protocol, whose last event has the text and the reason",
        &[
            r#"{"choices":[{"delta":{"content":"Y","role":"assistant"},"index":0}],"created":1764400000,"id":"x","model":"gemini-2.5-flash","object":"chat.completion.chunk"}"#,
            r#"{"choices":[{"delta":{"content":"es.","role":"assistant"},"finish_reason":"stop","index":0}],"created":1764400000,"id":"x","model":"gemini-2.5-flash","object":"chat.completion.chunk"}"#,
            "[DONE]",
        ],
        "Yes.",
        r#"{ "model": "gemini-2.5-flash", "finishReason": "stop" }"#,
    ),
];
