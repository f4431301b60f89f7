"""The daemon and the command line: sockets, timers, files and the kernel around the pure cores."""
