"""`make conform`: tests the project's assumptions about the cloud (docs/assumptions.toml).

By default it starts a sandbox and uses that. With CLOUD=1 it uses the operator's own account.
"""
