"""`make conform`: tests the project's assumptions about the cloud (docs/assumptions.toml).

By default the command tests a sandbox, which it starts itself. With CLOUD=1 it tests the operator's
own account.
"""
