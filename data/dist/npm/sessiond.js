#!/usr/bin/env node
// Runs the sessiond of this platform. Its binary is in an optional dependency of this package, of
// which npm installs the one that fits.
"use strict";

const { spawn } = require("node:child_process");
const { isatty } = require("node:tty");

const { optionalDependencies } = require("../package.json");

const FORWARDED = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"];

function fail(reason) {
  console.error(`sessiond: ${reason}`);
  process.exit(1);
}

/** Returns the path of the binary. */
function binary() {
  const platform = `${process.platform}-${process.arch}`;
  const name = `@sessiond/${platform}`;
  if (!(name in optionalDependencies)) {
    const known = Object.keys(optionalDependencies).map((it) => it.replace("@sessiond/", ""));
    fail(
      `there is no binary for ${platform}, only for ${known.join(", ")}. ` +
        "Build it from its sources, with `cargo build --release --locked`.",
    );
  }
  try {
    return require.resolve(`${name}/bin/sessiond`);
  } catch {
    const glibc = process.platform === "linux" ? ", on a system with glibc (Alpine has none)" : "";
    fail(`the package ${name} is missing. Install sessiond again without --omit=optional${glibc}.`);
  }
}

/** Runs the binary as a child, which gets the signals and decides how this process ends. */
function runAsChild(file, args) {
  let child;
  // Before the start, so that no signal ends only this process.
  for (const signal of FORWARDED) {
    process.on(signal, () => {
      // A terminal interrupts the child itself, and it should see one Ctrl-C once.
      if (signal !== "SIGINT" || !isatty(0)) {
        child.kill(signal);
      }
    });
  }
  child = spawn(file, args, { stdio: "inherit" });
  child.on("error", (error) => fail(`${file} cannot be started: ${error.message}`));
  child.on("exit", (code, signal) => {
    if (signal === null) {
      process.exit(code);
    }
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

const file = binary();
const args = process.argv.slice(2);
// Newer versions of Node.js can replace this process, so that none remains in between.
if (process.execve) {
  process.execve(file, [file, ...args], process.env);
} else {
  runAsChild(file, args);
}
