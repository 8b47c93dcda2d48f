"""The modules of tests/bench/run and tests/bench/instructions."""
