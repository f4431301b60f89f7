"""The simulator: the protocol code of the daemon, driven in virtual time and repeatable by seed."""
