"""`make doctor`: before a deploy, says what is missing or wrong.

Nothing is changed, no secret is shown, and nothing is sent but one bare GET to STS (for its clock)
and, with JWT_JWKS_URL, one for the keys. A bucket's own domain is looked up in DNS.

patient.py puts together what is examined, checks.py strings the checks together; each other module
holds those of one matter.
"""
