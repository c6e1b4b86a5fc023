#!/usr/bin/env python3
"""Finds words that this project does not use, in code, comments, messages and documents.

Each entry is a pattern and what to write instead. They are calques and private words for things
that have a name in the field (see docs/glossary.md). Patterns ignore case, unless they name capital
letters, and a space in them matches a line break too.

    python3 .ci/words.py [PATH ...]     whole repository without arguments; exit 1 if any is found
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".rs", ".md", ".toml", ".py", ".mjs", ".js", ".ts", ".html", ".css", ".yml", ".yaml", ".sh", ".example"}
# This list itself, and texts that are data: what ELIZA says, and licences.
EXEMPT = (".ci/words.py", "LICENSE", "src/agents/eliza.json", "src/agents/backends/eliza/tests/",
          "tests/golden/", "tests/fuzz/corpus/")

BANNED = [
    # Private words for things that have a name.
    (r"set[ _-]aside|sets aside|setting aside", "quarantine, quarantined"),
    (r"tall(y|ies)\b", "counters"),
    (r"\bshield|\bfragile\b|\bhush", "panic guard, PanicSafe"),
    (r"\bfigures?\b", "metrics, numbers"),
    (r"\bledgers?\b", "turn store"),
    (r"\blanes?\b", "session worker"),
    (r"\balarms?\b", "next deadline, timer"),
    (r"\bfollowers?\b", "subscriber"),
    (r"\bleavings\b|\boutermost\b|\bhappenings\b", "a field term"),
    (r"kept_|(?<!sessions)_kept\b|\bKept[A-Z]", "retained"),
    (r"(disk's|database's|file's) room|room (on|of|in) (the|a|its) (disk|database|file)|disk('s)? room|no room left", "free space"),
    (r"\d+ of (a |every )?100 within|\d+ of 100\b", "p95"),
    (r"\brunning for\b", "uptime"),
    (r"(?<!\[)\bfolders?\b", "directory"),
    (r"asked again|asks again|ask again|asking again", "retried, retries"),
    (r"cannot be made\b|could not be made\b|can be made\b", "cannot be created"),
    # Calques.
    (r"(?<!there )\b(is|are|was|were|be) no (?!longer|more|less|fewer|different|worse|better|later|match|way|need|reason|room|smaller|larger)[a-z]", "is not a ..."),
    (r"\bfrom without\b|\bfrom within\b", "from outside, from inside"),
    (r"\bwhoever\b|\bwhosoever\b|\bnobody\b|\banybody\b|\bsomebody\b|\beverybody\b", "the client, no one, anyone, everyone"),
    (r"\btold\b", "reported, notified, sent, logged"),
    (r"\btell(s|ing)? of\b", "reports"),
    (r"\bin vain\b", "without effect; receives an error"),
    (r"\bspoil(t|ed|s)?\b", "corrupted, invalidated"),
    (r"(?<!leave )(?<!left )(?<!leaves )(?<!let )\balone\b", "only"),
    (r"\b(took|takes?|taken) up (again|where)\b|\bis taken up\b|\bare taken up\b", "resumed"),
    (r"\bbr(eak|eaks|oke|oken) off\b", "aborted, interrupted"),
    (r"\b(go|goes|went|going) on (?!the|a|an|line)\w+", "continues"),
    (r"\bof itself\b", "automatically"),
    (r"\bnow and then\b|\bagain and again\b|\bever again\b", "occasionally, repeatedly"),
    (r"\bwhat there (is|are|was)\b|\bwhat stands\b|\bwhere there is one\b|\bthat there (is|are) not\b", "name the thing"),
    (r"\bwhat is (wanted|meant|due|to come|to be|of use)\b", "name the thing"),
    (r"\bno (file|session|message|agent|one|id|number|text|object|UUID) at all\b", "not a ..."),
    (r"\bwarned of\b|\bpassed over\b|\btoo much to do\b", "say it plainly"),
    (r"; allowed (is|are)\b", "expected ..."),
    (r"\bseldom\b|\bthereof\b|\btherein\b|\bwherein\b|\bwhereupon\b|\bhence\b|\bthus\b", "rarely, therefore, so"),
    (r"\b(is|are|was|were) of (no|any) use\b|\bof use any ?more\b", "is useful, is needed"),
    (r"\bhas its say\b|\bhave a say\b|\bmakes? do with\b|\bdo(es)? without\b", "say it plainly"),
    (r"\bmeets? (with )?(a|an|the|its|their) (session|record|row|message|caller)s?\b", "finds, reads"),
    (r"\bas it (were|came)\b|\bcome what may\b|\bat one go\b|\bin one go\b", "say it plainly"),
    (r"\bmends?\b|\bmended\b|\bmending\b", "fixes, repairs"),
    (r"\bgive(s|n)? way\b|\bgave way\b|\bgiving way\b", "is evicted"),
    (r"\bheld up by\b|\bholds? up\b", "blocks, delays"),
    (r"\blasts? (for )?as long as\b", "lives as long as"),
]


def files(arguments):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", *arguments],
                            cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if path.is_file() and not name.startswith(EXEMPT):
            if path.suffix in SUFFIXES or name in ("justfile", ".ci/run", ".env.example"):
                yield name, path.read_text(encoding="utf-8")


def flatten(text):
    """Joins the lines of comments and paragraphs, and returns the line of each character beside it."""
    flat, lines, line, end = [], [], 1, 0
    for match in re.finditer(r"[ \t]*\n[ \t]*(?:(?://[/!]?|#|\*)[ \t]?)?", text):
        flat.append(text[end:match.start()] + " ")
        lines.extend([line] * (match.start() - end + 1))
        line += 1
        end = match.end()
    flat.append(text[end:])
    lines.extend([line] * (len(text) - end))
    return "".join(flat), lines


def main():
    patterns = [(re.compile(pattern, 0 if "[A-Z]" in pattern else re.IGNORECASE), instead)
                for pattern, instead in BANNED]
    found = 0
    for name, text in files(sys.argv[1:]):
        flat, lines = flatten(text)
        for pattern, instead in patterns:
            for match in pattern.finditer(flat):
                found += 1
                print(f'{name}:{lines[match.start()]}: "{match.group()}": write {instead}')
    if found:
        print(f"{found} words that this project does not use", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
