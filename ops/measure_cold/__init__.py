"""`make measure-cold`: the cold start of a deployed function, measured by a few calls from outside.

plan.py reads what to call, and says before what it costs; calls.py calls; told.py says what was
seen; bare.py is a function for the operator to deploy, which tells the platform's part apart.
"""
