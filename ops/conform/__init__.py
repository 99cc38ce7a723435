"""`make conform`: tests the project's assumptions about the cloud (docs/assumptions.toml).

By default it uses a sandbox that it starts; with CLOUD=1 it uses the operator's own account.
"""
