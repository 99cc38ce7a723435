"""`make measure-cold`: measures the cold start of a deployed function with a few calls.

plan.py reads what to call, and announces the price before the first call. calls.py sends the calls,
and told.py prints the results. bare.py is a function that the operator may deploy: it shows the
platform's part of a cold start.
"""
