# `just` lists the recipes. Each recipe runs the same script as CI.

set shell := ["bash", "-euc"]
set positional-arguments

_list:
    @just --list --unsorted

# Runs everything that a change must pass: about ten minutes.
ci:
    .ci/run

# Runs the checks that take too long for every change: about three hours.
long:
    .ci/long

# Installs the tools that the named steps need; without a name, those of `just ci`.
install *steps:
    .ci/steps/install "$@"

# Formats the code.
fmt:
    cargo fmt --all

# Runs the quick checks of a change: format, clippy, tests, docs.
check: format clippy test docs

# Checks the format.
format:
    .ci/steps/format

# Runs clippy.
clippy:
    .ci/steps/clippy

# Runs the tests of the workspace.
test:
    .ci/steps/test

# Builds the documentation and checks its links.
docs:
    .ci/steps/docs

# Runs one step of CI with its tools: `just step clients`. `ls .ci/steps` lists them.
step name *arguments:
    .ci/steps/install "$1"
    ".ci/steps/$1" "${@:2}"

# Writes server-bin/OPTIONS.md anew from the table of options.
options:
    UPDATE=1 cargo test -p ferricorn-cli the_reference_page
