"""Network namespaces with NATs on one machine, for the demo, the tests and the curious."""
