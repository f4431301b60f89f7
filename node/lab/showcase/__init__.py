"""The demo: a company's mesh, brought up and tried with real packets."""
