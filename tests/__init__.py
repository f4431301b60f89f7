"""Tests: a folder for each package, and beside them system, fuzz, conformance and house."""
