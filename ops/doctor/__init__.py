"""`make doctor`: says what is missing or wrong, before a deploy.

It changes nothing and shows no secret. It sends only one GET to STS (for its clock) and, with
JWT_JWKS_URL, one for the keys. It looks up a bucket's own domain in DNS.

patient.py collects what is examined, and checks.py runs the checks. Each other module has the
checks of one topic.
"""
