"""Policy: from the TOML that people write to the decision that every node makes.

Pure code: the compiler, the evaluator, the linter and the matrix are functions of their
arguments, so that any machine gets the same bytes and the same answer.
"""
