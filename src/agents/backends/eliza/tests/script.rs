use crate::agents::backends::eliza::parse::{SOURCES, parse, script};
use crate::agents::backends::eliza::script::{Element, Reassembly};

#[test]
fn every_reply_of_the_script_is_valid() {
    assert_eq!(parse(SOURCES).err(), None);
    let script = script();
    for keyword in &script.keywords {
        assert!(!keyword.rules.is_empty());
        for rule in &keyword.rules {
            assert!(
                !rule.replies.is_empty(),
                "rule {} has no replies",
                rule.number
            );
            for reply in &rule.replies {
                match reply {
                    Reassembly::Next => {}
                    Reassembly::Link(heading) => {
                        assert!(script.heading(heading).is_some(), "{heading}");
                    }
                    Reassembly::Say(template) => {
                        assert_template(template, &rule.pattern);
                    }
                }
            }
        }
    }
    for word in &script.words {
        // A word that is replaced on input cannot be a keyword; the marks of the format are not
        // words.
        assert!(word.replacement.is_empty() || word.keywords.is_empty() && word.classes == 0);
        assert!(
            !word
                .spelling
                .contains(['?', '*', '$', '@', '{', '}', '[', ']', '<']),
            "{}",
            word.spelling
        );
    }
}

fn assert_template(template: &str, pattern: &[Element]) {
    assert!(template.ends_with(['.', '?', '!']), "{template}");
    assert!(
        template.starts_with(|c: char| c.is_uppercase() || c == '$'),
        "{template}"
    );
    let mut longest = template.len();
    for mark in template.split('$').skip(1) {
        let number: String = mark.chars().take_while(char::is_ascii_digit).collect();
        let part = number
            .parse::<usize>()
            .ok()
            .and_then(|n| pattern.get(n - 1));
        assert!(part.is_some() || mark.starts_with("name"), "{template}");
        longest += match part {
            Some(Element::Words(_) | Element::Class(_)) => 20,
            _ => 200,
        };
    }
    assert!(longest <= 600, "{template} may get too long");
}
