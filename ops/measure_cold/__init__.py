"""`make measure-cold`: measures the cold start of a deployed function with a few calls.

plan.py reads what to call, and says first what it costs. calls.py sends the calls, and told.py
prints the results. bare.py is a function for the operator to deploy, which shows the platform's
part.
"""
