"""The verbs, in the order they run: observe, select, analyze, plan, generate, validate, review,
merge, train, assess, decide.
"""
