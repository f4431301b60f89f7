"""The simulator: the daemon's protocol code in virtual time, repeatable by seed."""
