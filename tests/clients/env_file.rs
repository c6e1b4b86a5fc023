//! Compares how sessiond and npm's `dotenv` read `.env` files.
//!
//! This part generates files and reads them with sessiond's reader; `env-file.mjs` reads them with
//! `dotenv` and compares.

use std::fs;
use std::path::Path;
use std::process::Command;

use fastrand::Rng;
use serde_json::{Value, json};
use sessiond::settings::env_file::EnvFile;

use super::support::node::{self, run};
use super::{ONE_AT_A_TIME, TEST_LIMIT};

/// The variable that changes the seed, which is otherwise the same in every run.
const SEED: &str = "SESSIOND_ENV_FILE_SEED";

/// Number of generated files of each kind.
const FILES: usize = 20_000;

/// Realistic files, all of which are accepted.
const REALISTIC: [&str; 9] = [
    // Apostrophes in comments, which are not quotes.
    "LOG_FORMAT=json  # that's for the log\nELIZA_SERVER_AUTH_TOKEN=0123456789abcdef0123\n\
     SESSION_DEFAULT_TIMEOUT_MINUTES=45  # that's long\n",
    "ELIZA_SERVER_AUTH_TOKEN=$uperlongtoken0123456789\nDB_PASSWORD=Tr0ub4dor$Horse${X}\n\
     COMMAND=$(rm -rf /) `id`\n",
    // Windows line ends, a byte order mark, and no line end at the end.
    "\u{FEFF}# Settings\r\nSERVER_PORT=3000\r\n\r\nDATA_DIR=C:\\sessiond\\new\r\nNAME=\"two\r\nlines\"",
    "export A=1\nexport\tB = two words \n  export C='3'\nexport D=\nexport=4\n",
    "KEY=\"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC==\nQ1w2+/E3r4=\n\
     -----END PRIVATE KEY-----\n\" # the \"old\" one\nONE_LINE=\"-----BEGIN-----\\nMIIE\\r\\n-----END-----\"\n",
    "JSON='{\"a\": \"b # c\", \"d\": [1, 2]}'\nESCAPED=\"{\\\"a\\\": \\\"b\\\"}\"\n\
     LONG=\"{\n  \\\"a\\\": \\\"b\\\",\n  \\\"c\\\": \\\"d\\\"\n}\"\nMIXED=`it's \"quoted\"`\n",
    "URL=postgres://user:p%40ss@host:5432/db?ssl=true&x=1\nBASE64=c2VjcmV0Cg==\nTABS=\ta\tb\t# c\n\
     EMPTY=\nSPACES=   \nQUOTED=''\nTWICE=1\nTWICE=2\n",
    "# =====\n#A=1\n  # \"B=2\n\nPATTERN=^[a-z]+$\nGREETING=gr\u{FC}\u{DF} dich \u{1F44B}\nPATH_LIKE=/a:/b\n\
     QUESTION='what?'# why\n",
    "PREFIX='C:\\dir\\'\nOTHER=\"a\\tb\\\\c\"\nAPOSTROPHE=it's\nINCH=5\"\nRAW='a\\nb'\n",
];

#[test]
fn an_env_file_is_read_as_dotenv_reads_it() {
    let _turn = ONE_AT_A_TIME.lock();
    let directory = match node::prepare("clients") {
        Ok(directory) => directory,
        Err(reason) => return node::skip(&reason),
    };
    let seed = std::env::var(SEED).map_or(1, |seed| seed.parse().expect("a number"));
    let mut rng = Rng::with_seed(seed);
    let mut cases = Vec::new();
    cases.extend(REALISTIC.map(|text| case(text, true)));
    cases.push(case(&documented(), true));
    for _ in 0..FILES {
        cases.push(case(&well_formed(&mut rng), true));
        cases.push(case(&random_tokens(&mut rng), false));
        cases.push(case(&edited(&mut rng), false));
    }
    let file = directory.path().join("cases.json");
    let text = serde_json::to_string(&cases).expect("JSON");
    fs::write(&file, text).expect("a file can be written");
    let compared = run(
        Command::new("node")
            .args(["--test", "--test-reporter=spec", "env-file.mjs"])
            .current_dir(directory.path())
            .env("SESSIOND_ENV_FILE_CASES", &file),
        TEST_LIMIT,
    );
    if let Err(reason) = compared {
        panic!("seed {seed}: {reason}");
    }
}

/// Returns the example in the documentation.
fn documented() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let page = fs::read_to_string(page).expect("the page of the settings");
    let (_, rest) = page
        .split_once("A `.env` file is read as")
        .expect("its section");
    let (_, rest) = rest.split_once("```ini\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    example.to_owned()
}

/// Returns a file and what sessiond reads in it.
fn case(text: &str, is_sound: bool) -> Value {
    match EnvFile::parse(text.as_bytes()) {
        Ok(file) => {
            let values: serde_json::Map<_, _> = file
                .values()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            json!({ "text": text, "isSound": is_sound, "values": values })
        }
        Err(fault) => json!({
            "text": text,
            "isSound": is_sound,
            "refused": { "kind": format!("{:?}", fault.kind), "line": fault.line },
        }),
    }
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    rng.choice(from).copied().unwrap_or_default()
}

/// Returns random parts, in random number and order.
fn parts(rng: &mut Rng, most: usize, from: &[&str]) -> String {
    (0..rng.usize(0..=most)).map(|_| pick(rng, from)).collect()
}

/// Returns a file that follows the grammar.
fn well_formed(rng: &mut Rng) -> String {
    let end = pick(rng, &["\n", "\n", "\r\n", "\r"]);
    let mut text = pick(rng, &["", "", "\u{FEFF}"]).to_owned();
    for _ in 0..rng.usize(1..10) {
        let line = match rng.usize(0..6) {
            0 => blanks(rng),
            1 => blanks(rng) + "#" + &comment(rng),
            _ => assignment(rng),
        };
        text += &line;
        text += end;
    }
    if rng.bool() {
        text.truncate(text.len() - end.len());
    }
    text
}

fn assignment(rng: &mut Rng) -> String {
    let export = pick(rng, &["", "", "export ", "export\t ", " export  "]);
    let name = pick(
        rng,
        &[
            "A",
            "B_2",
            "SERVER_PORT",
            "a.b-c",
            "_",
            "9",
            "export",
            "exporter",
        ],
    );
    let [before, after] = [blanks(rng), blanks(rng)];
    let value = match rng.usize(0..4) {
        0 => quoted(rng, '\'', "\"` # = A=1 $x \\n"),
        1 => quoted(rng, '"', "'` # = A=1 $x"),
        2 => quoted(rng, '`', "'\" # = A=1 $x \\n"),
        _ => bare(rng),
    };
    let tail = match rng.usize(0..3) {
        0 => format!(
            "{}{}#{}",
            pick(rng, &[" ", "\t"]),
            blanks(rng),
            comment(rng)
        ),
        _ => blanks(rng),
    };
    format!("{export}{name}{before}={after}{value}{tail}")
}

fn bare(rng: &mut Rng) -> String {
    let first = pick(rng, &["", "a", "$b", "\\", "=", "\u{E9}"]);
    if first.is_empty() {
        return String::new();
    }
    let from = [
        "a",
        "b c",
        "'",
        "\"",
        "`",
        "$",
        "${A}",
        "\\n",
        "\\",
        "=",
        ":",
        ",",
        "\u{1F600}",
    ];
    format!("{first}{}", parts(rng, 6, &from))
}

/// Returns a quoted value of words, lines and escapes.
fn quoted(rng: &mut Rng, quote: char, words: &str) -> String {
    let mut from: Vec<&str> = words.split(' ').collect();
    let escaped = format!("\\{quote}a");
    from.extend([" ", "\n", "\r\n", "x", "\u{2028}", "\u{FC}", &escaped]);
    if quote == '"' {
        from.extend(["\\n", "\\r", "\\t", "\\\\n"]);
    }
    format!("{quote}{}{quote}", parts(rng, 8, &from))
}

fn blanks(rng: &mut Rng) -> String {
    parts(
        rng,
        2,
        &[" ", "\t", " ", "\t", "\u{A0}", "\u{FEFF}", "\u{C}"],
    )
}

fn comment(rng: &mut Rng) -> String {
    parts(
        rng,
        5,
        &[
            "it's",
            " \"",
            "`",
            "A=1",
            " #",
            "\\",
            "$",
            " export B=2",
            "C: 3",
            "\u{E9}",
        ],
    )
}

/// Returns a file of the grammar's tokens in random order.
fn random_tokens(rng: &mut Rng) -> String {
    let from = [
        "A", "B", "=", "=", "\n", "\n", "\n", "\r\n", "\r", "'", "\"", "`", "\\", "\\'", "\\\"",
        "#", " #", " ", "\t", "export ", ":", ": ", "a", "b", "$", "\\n", "\u{2028}", "\u{A0}",
        "\u{FEFF}", "\u{85}", "\u{E9}", "A=", "\nB='", "\nC=\"", "\nD=", "'\n", "\"\n",
    ];
    parts(rng, 25, &from)
}

/// Returns a realistic file with one or two random changes.
fn edited(rng: &mut Rng) -> String {
    let text = rng.choice(REALISTIC).unwrap_or_default();
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(0..=text.len());
        match rng.usize(0..3) {
            0 => drop(text.drain(at..(at + rng.usize(1..12)).min(text.len()))),
            1 => drop(text.splice(
                at..at,
                pick(rng, &["'", "\"", "`", "#", "\n", " ", "=", "\\", ":"]).chars(),
            )),
            _ => {
                let from = rng.usize(0..=at);
                let again: Vec<char> = text[from..at].iter().take(30).copied().collect();
                drop(text.splice(at..at, again));
            }
        }
    }
    text.into_iter().collect()
}
