mod hostile;
mod script;

use std::collections::HashSet;

use super::parse::script;
use super::text::Statement;
use super::{assemble, respond};

/// Checks a conversation, written as statements after `>`, each followed by its answer.
fn converse(conversation: &str) {
    let lines: Vec<&str> = conversation.trim().lines().collect();
    let mut earlier = Vec::new();
    for exchange in lines.chunks(2) {
        let statement = exchange[0].trim_start_matches("> ");
        assert_eq!(
            respond(&earlier, statement),
            exchange[1],
            "to {statement:?}"
        );
        earlier.push(statement);
    }
}

#[test]
fn a_conversation_makes_sense() {
    converse(
        "
> Hi there!
Hello! What would you like to talk about?
> my name is ada
Hello, Ada. It's nice to meet you. What would you like to talk about?
> What are you?
I'm a small rule engine built into this server. I look for words I know and answer by pattern, with no language model behind me, so I work offline. Characters with other backends can be configured here.
> I'm a bit worried about my exam on Friday.
What is the worst that your exam on Friday could bring?
> My brother never studies, and he always passes.
What is it like for you that your brother never studies?
> That is so unfair
What makes you say so?
> I wish I were more like him.
What would be different if you were more like him?
> Can you help me with it?
I can try, mostly by asking back. What do you need help with?
> I can't sleep because I keep thinking about it
What keeps you awake?
> why?
What would be your own best guess?
> Maybe you're right.
What would make you more certain?
> Tell me a joke!
Why did the regular expression go home early? It had found its match.
> Haha, thanks 😂
You're welcome! Is there anything else on your mind?
> Lorem ipsum dolor sit amet
Earlier you said that you are a bit worried about your exam on Friday. Shall we come back to that?
> I think you don't understand me...
That may well be, I only match patterns. Could you put it another way?
> Goodbye!
Goodbye, Ada. Thanks for the conversation.
",
    );
}

#[test]
fn a_repeated_statement_cycles_through_the_replies() {
    let said = ["I like trains"; 9];
    let replies: Vec<String> = (0..9)
        .map(|n| respond(&said[..n], "I like trains"))
        .collect();
    assert_eq!(replies[0], "What do you like most about trains?");
    assert_eq!(replies[1], "How did you first come across trains?");
    assert_eq!(replies.iter().collect::<HashSet<_>>().len(), 4);
    assert_eq!(replies[..4], replies[4..8]);
}

#[test]
fn answers_are_deterministic() {
    let earlier = ["Hi", "my name is ada", "I feel odd today", "hm hm hm"];
    let first = respond(&earlier, "My cat is odd, too.");
    for _ in 0..100 {
        assert_eq!(respond(&earlier, "My cat is odd, too."), first);
    }
}

#[test]
fn a_statement_without_a_keyword_recalls_an_earlier_one() {
    converse(
        "
> My sister lives in Oslo.
What should I know about your sister?
> I painted my bike green.
What do you use your bike for most?
> Lorem ipsum dolor.
Earlier you said that your sister lives in Oslo. Shall we come back to that?
> Lorem ipsum dolor.
I have no rule for that. Could you say it another way?
> Lorem ipsum dolor.
Earlier you said that you painted your bike green. Shall we come back to that?
> Lorem ipsum dolor.
Please go on.
> Lorem ipsum dolor.
What does that mean to you?
",
    );
}

#[test]
fn a_name_is_capitalised_and_remembered() {
    let named = |said: &str| respond(&[said], "What's my name?");
    assert_eq!(
        named("my name is ada"),
        "Your name is Ada, or so you told me."
    );
    assert_eq!(
        named("Hi, my name is Ada Lovelace and I like it"),
        "Your name is Ada Lovelace, or so you told me."
    );
    assert_eq!(
        named("my name's émile by the way"),
        "Your name is Émile, or so you told me."
    );
    assert_eq!(
        named("Call me Jan van der Berg!"),
        "Your name is Jan van der Berg, or so you told me."
    );
    assert_eq!(named("my name is not important"), named("hello"));
    assert!(named("hello").starts_with("You haven't told me yet."));
    assert_eq!(
        respond(&["my name is ada"], "bye"),
        "Goodbye, Ada. Thanks for the conversation."
    );
    assert_eq!(respond(&[], "bye"), "Goodbye! Thanks for the conversation.");
}

#[test]
fn words_are_reflected_to_the_agents_point_of_view() {
    let script = script();
    for (said, reflected) in [
        ("I lost my keys myself", "you lost your keys yourself"),
        ("I'm sure the car is mine", "you are sure the car is yours"),
        ("you are my friend", "I am your friend"),
        ("are you my friend", "am I your friend"),
        ("were you there", "was I there"),
        ("I was there and you weren't", "you were there and I wasn't"),
        ("I really was there", "you really were there"),
        (
            "I've seen it and I'd say I'll go",
            "you have seen it and you'd say you'll go",
        ),
        ("you help me", "I help you"),
        ("my dog likes you", "your dog likes me"),
        ("dogs trust you and your cat", "dogs trust me and my cat"),
        (
            "it was said to you by yourself",
            "it was said to me by myself",
        ),
        ("what do you mean", "what do I mean"),
        ("if you can", "if I can"),
        ("the world as we see it", "the world as we see it"),
    ] {
        let text = Statement::new(script, said);
        let part = assemble::part(script, &text.tokens, 0..text.tokens.len());
        assert_eq!(part, reflected);
    }
}

#[test]
fn capitals_quotes_and_missing_apostrophes_make_no_difference() {
    let expected = respond(&[], "I can't find it");
    assert_eq!(expected, "What happens when you try to find it?");
    for said in [
        "i cant find it!!!",
        "\"I can’t find it.\"",
        "Well, I CAN'T find it…",
        "(i cannot find it)",
    ] {
        assert_eq!(respond(&[], said), expected, "to {said:?}");
    }
}

#[test]
fn the_agent_says_that_it_is_a_rule_engine() {
    for said in [
        "What are you?",
        "are you an AI?",
        "Are you ChatGPT",
        "Who are you?",
        "which model are you?",
    ] {
        let reply = respond(&[], said);
        assert!(
            reply.contains("rule engine") && reply.contains("no language model"),
            "{reply}"
        );
        assert!(
            reply.contains("offline") && reply.contains("other backends"),
            "{reply}"
        );
    }
    let reply = respond(&[], "Are you human?");
    assert_eq!(
        reply,
        "No, I'm not a person. I'm a small rule engine built into this server."
    );
}

#[test]
fn self_harm_is_answered_with_where_to_find_help() {
    for said in [
        "I want to kill myself",
        "Hi! My name is Ada. I like tea, and music. i just want to die.",
        "I don’t want to live anymore",
        "im thinking about suicide",
        "I keep hurting myself",
        &format!(
            "{} and I want to end my life",
            "so I went on and on ".repeat(60)
        ),
    ] {
        for earlier in [&[][..], &[said], &[said, said]] {
            let reply = respond(earlier, said);
            assert!(
                reply.contains("program") && reply.contains("trust"),
                "{reply}"
            );
            assert!(
                reply.contains("crisis line") && reply.contains("emergency"),
                "{reply}"
            );
        }
        // The statement is not brought up again.
        assert!(!respond(&[said], "Lorem ipsum dolor.").contains("Earlier"));
    }
    for harmless in [
        "I was killing time",
        "I'm dying to see it",
        "My phone is dead",
        "I cut myself shaving",
    ] {
        assert!(!respond(&[], harmless).contains("crisis"), "{harmless}");
    }
}
