"""The node as one state machine: verified state and events in, the desired kernel state out.

Pure code: what the kernel should hold is a function of verified state and time; the drivers in
node.kernel apply the difference.
"""
