use crate::agents::backends::eliza::respond;

/// Checks punctuation, capitals and length of an answer.
fn assert_well_formed(reply: &str, statement: &str) {
    let context = format!("{statement:.60?} was answered {reply:?}");
    assert!(reply.ends_with(['.', '?', '!']), "{context}");
    assert!(!reply.starts_with(char::is_lowercase), "{context}");
    assert!(reply.chars().count() <= 600, "{context}");
    assert!(!reply.contains(char::is_control), "{context}");
    for doubled in ["  ", "..", "??", "!!", "?.", ".?", ",?", " ?", " ,"] {
        assert!(!reply.contains(doubled), "{context}");
    }
}

#[test]
fn any_input_gets_a_sentence() {
    let long = |text: &str| text.repeat(4000 / text.chars().count());
    for said in [
        "",
        " \n\t ",
        "\0",
        "a\0b\u{7}c",
        "?!?",
        "...",
        "🙂",
        "👩‍👩‍👧 🏳️‍🌈",
        "\u{200d}\u{fe0f}",
        "42",
        "привет",
        "你好，世界。",
        "I",
        "my",
        "you",
        "I am",
        "my name is",
        "call me",
        "$1 $name",
        "I like $2 and {x}",
        "I like [name]",
        "'''",
        "' s'",
        "(((",
        "I like \u{202e}txet",
        "I like ...",
        "I feel ?",
        "my -",
        "e\u{301}\u{301}",
        "\u{301}",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(
        [
            "a",
            "I ",
            "my ",
            "i,",
            "?",
            "\0",
            " ",
            "日本",
            "👩‍👩‍👧",
            "e\u{301}",
            "I like my mother ",
            "want to ",
        ]
        .map(long),
    )
    .chain(
        ["my name is ", "I like ", "I feel ", "my ", "call me "]
            .map(|head| format!("{head}{}", "x".repeat(4000))),
    ) {
        for earlier in [
            &[][..],
            &["my cat sat", "lorem ipsum dolor"],
            &[&said, &said, &said],
        ] {
            assert_well_formed(&respond(earlier, &said), &said);
        }
    }
}

#[test]
fn a_long_quotation_is_cut_at_a_word_boundary() {
    let reply = respond(&[], &format!("I like {}", "trains ".repeat(500)));
    assert!(
        reply.starts_with("What do you like most about trains trains"),
        "{reply}"
    );
    assert!(reply.ends_with(" trains and so on?"), "{reply}");
    let reply = respond(&[], &format!("I like {}", "ä".repeat(4000)));
    assert!(reply.ends_with("ää…?"), "{reply}");
}

#[test]
fn words_of_any_script_and_emoji_are_repeated_unchanged() {
    for word in [
        "日本語",
        "Zürich",
        "наука",
        "עברית",
        "👩‍👩‍👧",
        "🏳️‍🌈",
        "C++",
        "main.rs",
        "3.5",
        "https://a.example/b?c=1,2",
    ] {
        let reply = respond(&[], &format!("I adore {word}."));
        assert_eq!(reply, format!("What do you like most about {word}?"));
    }
}
