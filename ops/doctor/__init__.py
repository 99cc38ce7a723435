"""`make doctor`: reports before a deploy what is missing or wrong.

It changes nothing and shows no secret. It sends only one GET to STS (for its clock) and, with
JWT_JWKS_URL, one GET for the keys. If the bucket has its own domain, it looks up that domain in
DNS.

patient.py collects the variables, and checks.py runs the checks. Each other module has the checks
of one topic.
"""
