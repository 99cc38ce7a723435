"""`make smoke`: calls a deployed function as each of its clients does, and checks the answers.

options.py reads what to check. wire.py, acs3.py and fc2_client.py send the calls. contract.py and
clients.py judge the answers. upload.py and acl.py use a token at OSS. checks.py runs the checks.
"""
