//! Failures of a model's server, and whether a shorter conversation may succeed.

use crate::agents::backend::BackendError;
use crate::agents::client::http_client::{ErrorResponse, Repeat};
use crate::agents::client::redact::Redactor;
use crate::agents::client::reported_error::{ReportedError, reported_error};
use crate::domain::failure::FailureReason;

/// How much of an answer is searched for the cause, in bytes.
const MAX_SEARCHED_BYTES: usize = 16 * 1024;

/// Error codes that mean a full context: of llama.cpp, `OpenAI` (also vLLM, Groq, `DeepSeek` and
/// llama-cpp-python), `LiteLLM`, and GitHub Models.
const CODES: [&str; 5] = [
    "exceed_context_size_error",
    "context_length_exceeded",
    "contextwindowexceeded",
    "context_window_exceeded",
    "tokens_limit_reached",
];

/// Phrases that mean the same, of servers without a code.
const PHRASES: [&str; 22] = [
    // OpenAI, vLLM, DeepSeek, OpenRouter and SGLang: "maximum context length is"; LM Studio:
    // "loaded with context length of", "Reached context length of".
    "context length",
    // llama.cpp: "exceeds the available context size".
    "context size",
    // Anthropic and others: "exceed context window".
    "context window",
    // LM Studio: "Trying to keep the first … tokens when context the overflows".
    "context the overflows",
    "context overflow",
    // Mistral: "too large for model with … maximum context length"; older: "Prompt contains".
    "prompt contains",
    // vLLM: "longer than the maximum model length of".
    "maximum model length",
    "max_model_len",
    // xAI: "maximum prompt length is".
    "maximum prompt length",
    // Anthropic and Fireworks.
    "prompt is too long",
    // Ollama: "prompt too long; exceeded max context length by … tokens".
    "prompt too long",
    // Bedrock.
    "input is too long",
    // Gemini: "input token count (…) exceeds the maximum number of tokens allowed".
    "input token count",
    "maximum number of tokens",
    // Text Generation Inference and Together.
    "max_new_tokens` must be",
    // Cohere.
    "too many tokens",
    // OpenAI, Groq.
    "reduce the length of the messages",
    // Moonshot: "exceeded model token limit".
    "model token limit",
    // Alibaba: "Range of input length should be"; SGLang: "exceeds the maximum allowed length".
    "input length",
    // GitHub Copilot: "prompt token count of … exceeds the limit of".
    "prompt token count",
    // NVIDIA and others: "tokens in request more than max tokens allowed".
    "max tokens allowed",
    "maximum allowed length",
];

/// Returns the hint for a server that is not a model's, or not at this address.
pub(super) fn hint(address: &str) -> &'static str {
    let last = address.rsplit('/').next().unwrap_or_default();
    let version = last.strip_prefix('v').unwrap_or_default();
    if version.starts_with(|c: char| c.is_ascii_digit()) {
        "is baseUrl the address of the model's API?"
    } else {
        "does baseUrl end in /v1?"
    }
}

/// Why a model did not reply.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refused the request.
    Refused(ErrorResponse),
    /// The answer, or an event of it, reports a failure.
    Reported(String),
    Other(BackendError),
}

impl Failure {
    /// Returns whether the request exceeded the model's context, so that a shorter one may succeed.
    pub(super) fn is_context_full(&self) -> bool {
        let body = match self {
            Self::Refused(response) => match response.status.as_u16() {
                // A smaller request may be accepted, whatever the limit is.
                413 => return true,
                // Gateways forward the errors of other servers under a status of their own.
                400 | 422 | 500 => response.body.as_slice(),
                _ => return false,
            },
            Self::Reported(text) => text.as_bytes(),
            Self::Other(_) => return false,
        };
        let body = &body[..body.len().min(MAX_SEARCHED_BYTES)];
        let raw = String::from_utf8_lossy(body).to_ascii_lowercase();
        // The rest of the body may repeat the conversation.
        let message = ReportedError::parse(body).message.to_ascii_lowercase();
        CODES.iter().any(|code| raw.contains(code))
            || PHRASES.iter().any(|phrase| message.contains(phrase))
    }

    /// Returns the error for the log.
    pub(super) fn into_error(self, redactor: &Redactor) -> BackendError {
        match self {
            Self::Refused(response) => response.into_error(redactor, Repeat::Harmless),
            Self::Reported(text) => reported_error(&text, redactor),
            Self::Other(error) => error,
        }
    }

    /// Returns the error of a request that cannot be changed so that it succeeds.
    pub(super) fn into_final_error(self, redactor: &Redactor) -> BackendError {
        if !self.is_context_full() {
            return self.into_error(redactor);
        }
        let cause = self.into_error(redactor);
        let cause = format!("the message without any history exceeds the model's context: {cause}");
        BackendError::new(FailureReason::TooLong, cause)
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self::Other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(text: &str) -> Failure {
        Failure::Reported(text.to_owned())
    }

    #[test]
    fn the_hint_depends_on_the_address() {
        for (address, part) in [
            ("http://h", "/v1?"),
            ("http://h/api", "/v1?"),
            ("http://h/vault", "/v1?"),
            ("http://h/v1", "model's API?"),
            ("http://h/v1beta/openai/v2", "model's API?"),
        ] {
            assert!(hint(address).ends_with(part), "{address}");
        }
    }

    #[test]
    fn a_full_context_is_recognised_by_code_or_phrase() {
        for body in [
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5092,"n_ctx":1024}}"#,
            r#"{"error":{"message":"x","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens","type":"BadRequestError","param":null,"code":400}"#,
            r#"{"error":{"message":"litellm.ContextWindowExceededError: x","type":null,"param":null,"code":"400"}}"#,
            r#"{"error":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens"}"#,
            r#"{"object":"error","message":"Prompt contains 36533 tokens and 0 draft tokens, too large for model with 32768 maximum context length","type":"invalid_request_prompt","param":null,"code":"3051"}"#,
            r#"{"error":{"message":"Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)"}}"#,
            r#"{"error":{"message":"<400> InternalError: Range of input length should be [1, 30720]"}}"#,
            r#"{"error":{"message":"prompt token count of 9000 exceeds the limit of 8000"}}"#,
            r#"{"object":"error","message":"Input length (9000 tokens) exceeds the maximum allowed length (8192 tokens)"}"#,
            r#"[{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#,
        ] {
            assert!(reported(body).is_context_full(), "{body}");
        }
        for body in [
            r#"{"error":{"message":"model not found","code":"model_not_found"}}"#,
            r#"{"error":{"message":"Invalid role"},"input":"what is a context window?"}"#,
            "",
        ] {
            assert!(!reported(body).is_context_full(), "{body}");
        }
    }
}
