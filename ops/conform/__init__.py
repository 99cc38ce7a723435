"""`make conform`: tries what the project believes of the cloud (docs/assumptions.toml).

By itself against a sandbox that it starts; with CLOUD=1 against the operator's own account.
"""
