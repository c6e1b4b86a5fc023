//! A backend that does what the user's message says.
//!
//! A message is a list of steps, separated by `|`:
//! `say TEXT` streams a chunk, `wait MILLISECONDS` waits by the clock, `hold` waits forever,
//! `fail` fails, `panic` panics, `end` ends the stream without a reply, `think TEXT` and `act NAME`
//! set thought and actions, `history` streams the conversation so far as the agent sees it,
//! `spend INPUT OUTPUT` reports these tokens, `long BYTES` streams this many bytes, `words TEXT`
//! replies with the whole text, one chunk per word. `muse TEXT` reports a piece of thinking, `tool
//! NAME STATE` a tool, `flood COUNT` this many pieces of thinking. The streamed text is the reply, or
//! else an echo of the message.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use sessiond::agents::backend::{Backend, BackendError, Piece, ReplyStream, TurnRequest};
use sessiond::agents::reply_info::{ReplyInfo, Usage};
use sessiond::clock::Clock;
use sessiond::domain::activity::{Activity, ActivityKind, ActivityState};
use sessiond::domain::failure::FailureReason;
use sessiond::domain::turn::{ContextNeeds, HistoryNeeds, Reply};
use sessiond::json;

/// Does what the message says.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    clock: Clock,
}

struct Script {
    clock: Clock,
    steps: std::vec::IntoIter<String>,
    request: Arc<TurnRequest>,
    reply: Reply,
    actions: Vec<String>,
    echo: String,
}

impl Scripted {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock }
    }
}

impl Backend for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn context_needs(&self) -> ContextNeeds {
        ContextNeeds {
            history: HistoryNeeds::Messages(40),
            remote_session: false,
        }
    }

    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream {
        let echo = request.message.body.content.clone();
        let steps = echo.split('|').map(str::trim).flat_map(|step| {
            let flood = step.strip_prefix("flood ").and_then(|it| it.parse().ok());
            let step = flood.map_or(step, |_| "muse 0123456789");
            std::iter::repeat_n(step.to_owned(), flood.unwrap_or(1))
        });
        let steps: Vec<String> = steps.collect();
        let script = Script {
            clock: self.clock.clone(),
            steps: steps.into_iter(),
            request,
            reply: Reply::default(),
            actions: Vec::new(),
            echo,
        };
        stream::unfold(Some(script), |script| async move {
            let mut script = script?;
            let piece = script.next_piece().await?;
            let has_more = matches!(
                piece,
                Ok(Piece::Chunk(_) | Piece::Activity(_) | Piece::Info(_))
            );
            Some((piece, has_more.then_some(script)))
        })
        .boxed()
    }
}

impl Script {
    async fn next_piece(&mut self) -> Option<Result<Piece, BackendError>> {
        while let Some(step) = self.steps.next() {
            let (verb, rest) = step.split_once(' ').unwrap_or((step.as_str(), ""));
            match verb {
                "say" => return Some(Ok(self.say(rest.to_owned()))),
                "history" => {
                    let conversation = self.conversation();
                    return Some(Ok(self.say(conversation)));
                }
                "long" => return Some(Ok(self.say("é".repeat(rest.parse().unwrap_or(0) / 2)))),
                "spend" => return Some(Ok(spent(rest))),
                "wait" => {
                    let span = Duration::from_millis(rest.parse().unwrap_or(0));
                    self.clock.sleep(span).await;
                }
                "hold" => std::future::pending().await,
                "fail" => {
                    return Some(Err(BackendError::new(
                        FailureReason::Internal,
                        "the script says so",
                    )));
                }
                #[allow(clippy::panic, reason = "the test wants one")]
                "panic" => panic!("the script says so"),
                "end" => return None,
                "words" => return Some(Ok(words(rest))),
                "muse" => {
                    let thinking = Activity::thinking(rest.to_owned());
                    return Some(Ok(Piece::Activity(thinking)));
                }
                "tool" => return Some(Ok(Piece::Activity(tool(rest)))),
                "think" => self.reply.thought = Some(rest.to_owned()),
                "act" => self.actions.push(rest.to_owned()),
                _ => {}
            }
        }
        if self.reply.body.content.is_empty() {
            self.reply.body.content.clone_from(&self.echo);
        }
        if !self.actions.is_empty() {
            self.reply.actions = Some(json::text(&self.actions));
        }
        Some(Ok(Piece::done(std::mem::take(&mut self.reply))))
    }

    fn say(&mut self, text: String) -> Piece {
        self.reply.body.content.push_str(&text);
        Piece::Chunk(text)
    }

    fn conversation(&self) -> String {
        let mut turns: Vec<Vec<&str>> = Vec::new();
        for message in self.request.history.messages() {
            let content = message.body.content.as_str();
            match turns.last_mut().filter(|_| message.is_agent()) {
                Some(turn) => turn.push(content),
                None => turns.push(vec![content]),
            }
        }
        let turns = turns.iter().map(|turn| match turn.as_slice() {
            [unanswered] => format!("{unanswered} > -"),
            turn => turn.join(" > "),
        });
        turns.collect::<Vec<_>>().join("; ")
    }
}

fn spent(text: &str) -> Piece {
    let mut tokens = text.split(' ').map(|number| number.parse().unwrap_or(0));
    let mut next = || tokens.next().unwrap_or(0);
    Piece::Info(ReplyInfo {
        usage: Some(Usage {
            input_tokens: next(),
            output_tokens: next(),
        }),
        ..ReplyInfo::default()
    })
}

fn words(text: &str) -> Piece {
    let ends = text.match_indices(' ').map(|(at, _)| at + 1);
    Piece::Done(Reply::text(text.to_owned()), ends.collect())
}

fn tool(text: &str) -> Activity {
    let (name, state) = text.split_once(' ').unwrap_or((text, "started"));
    let state = ActivityState::parse(state).unwrap_or(ActivityState::Started);
    Activity::new(ActivityKind::Tool, None)
        .with_name(name.to_owned())
        .with_state(state)
}
