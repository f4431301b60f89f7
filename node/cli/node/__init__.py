"""What a node's operator does: join, up, down, status, peers, ping, why, publish."""
