"""What tests/bench/run and tests/bench/instructions are made of."""
