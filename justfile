# Common commands. `just` lists them; install it with `pip install rust-just`.

_default:
    @just --list

# Serve on http://127.0.0.1:3000
run *arguments:
    cargo run --release -- {{ arguments }}

# Format the code
fmt:
    cargo fmt

# The quick checks of CI: links, words, spelling, format, clippy, documentation
check:
    python3 .ci/links.py
    python3 .ci/words.py
    typos
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings
    RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --locked

# Run tests; arguments are those of cargo test, such as `--test api renewal`
test *arguments:
    RUST_BACKTRACE=0 cargo test --locked {{ arguments }}

# Accept changed snapshots of start-up messages and metrics
snapshots:
    INSTA_UPDATE=always cargo test --test hardening start_messages
    INSTA_UPDATE=always cargo test --test api metrics_snapshot

# Write the table of settings in docs/settings.md and .env.example
settings:
    SESSIOND_WRITE_DOCS=1 cargo test --lib settings::documents

# Run the load generator, which compares with a bare server
load *arguments:
    cargo run --release --example load -- {{ arguments }}

# Run the benchmarks of the parts
bench *arguments:
    cargo bench {{ arguments }}

# Run a fuzz target for a minute: record, body, query, frame, character or line
fuzz target seconds="60":
    RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz -s none -O -a {{ target }} -- -max_total_time={{ seconds }}

# Make the packages of a release in target/packages, and test them
packages *binary:
    data/dist/build {{ binary }}
    SESSIOND_PACKAGES=target/packages cargo test --locked --test dist

# The whole check, as CI runs it
ci:
    bash .ci/run
