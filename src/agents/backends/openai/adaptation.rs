//! Requests that a server refused, changed so that it may accept them.

use super::failure::Failure;
use crate::agents::backends::history::Window;
use crate::agents::client::reported_error::ReportedError;

/// Statuses of requests that a server does not understand.
const INVALID: [u16; 3] = [400, 415, 422];

/// What a server calls unknown fields: those built with Pydantic, `serde`, Go and JSON Schema.
const UNKNOWN_FIELD: [&str; 9] = [
    "extra_forbidden",
    "extra inputs are not permitted",
    "extra fields not permitted",
    "unknown field",
    "unknown parameter",
    "unrecognized",
    "unsupported parameter",
    "additional properties",
    "unexpected keyword",
];

/// What servers say about images: llama.cpp ("image input is not supported", "you may need to
/// provide the mmproj"), vLLM ("is not a multimodal model"), `OpenRouter` ("support image input"),
/// `DeepSeek` ("unknown variant `image_url`"), Ollama ("missing data required for image input").
const ABOUT_IMAGES: [&str; 5] = ["image", "multimodal", "multi-modal", "vision", "mmproj"];

/// What a request has beside the message.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestShape<'a> {
    pub(super) window: Window<'a>,
    /// Whether it asks for the usage.
    pub(super) with_usage: bool,
    /// Whether the message's images are images, and not mentioned in its text.
    pub(super) with_images: bool,
}

/// How a request differs from the refused one. Each change makes it smaller, so that they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    HalfOfHistory,
    WithoutUsage,
    WithoutImages,
}

impl RequestShape<'_> {
    /// Returns the shape of another request that may succeed.
    pub(super) fn after(self, failure: &Failure) -> Option<(Self, Change)> {
        if failure.is_context_full() {
            return self.with_half_of_history().or(self.without_images());
        }
        let (is_invalid, text) = match failure {
            Failure::Refused(response) => {
                let is_invalid = INVALID.contains(&response.status.as_u16());
                (is_invalid, ReportedError::parse(&response.body).message)
            }
            Failure::Reported(text) => (false, ReportedError::parse(text.as_bytes()).message),
            Failure::Other(_) => return None,
        };
        let text = text.to_ascii_lowercase();
        let mentions = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if is_invalid && mentions(&["stream_options", "include_usage"]) {
            return self.without_usage();
        }
        // Many servers describe an unexpected type instead of naming images.
        if is_invalid || mentions(&ABOUT_IMAGES) {
            let without_images = self.without_images();
            if without_images.is_some() {
                return without_images;
            }
        }
        if is_invalid && mentions(&UNKNOWN_FIELD) {
            return self.without_usage();
        }
        None
    }

    fn with_half_of_history(self) -> Option<(Self, Change)> {
        let window = self.window.halved()?;
        Some((Self { window, ..self }, Change::HalfOfHistory))
    }

    fn without_usage(self) -> Option<(Self, Change)> {
        let with_usage = false;
        self.with_usage
            .then_some((Self { with_usage, ..self }, Change::WithoutUsage))
    }

    fn without_images(self) -> Option<(Self, Change)> {
        let with_images = false;
        self.with_images.then_some((
            Self {
                with_images,
                ..self
            },
            Change::WithoutImages,
        ))
    }
}
